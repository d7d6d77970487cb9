"""Sizes of the Matrix-Game-3.0 transformer, read from the published ``config.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from li_env.validation import MOST_WIDTH, check_number, check_whole, shown
from li_env.worlds.matrix_game_3.time_axis import LATENT_FRAMES

CAMERA_CHANNELS = 6
"""Values of one pixel of the camera map: camera position, then ray direction."""

LATENT_PIXELS = 16
"""Video pixels along one side of a latent pixel."""


@dataclass(frozen=True)
class ActionConfig:
    """Sizes of the action modules; names as in the published file.

    Attributes:
        blocks: transformer blocks that have an action module.
        heads_num: attention heads.
        hidden_size: width of one embedded keyboard row.
        keyboard_dim_in, mouse_dim_in: numbers in one row.
        keyboard_hidden_dim, mouse_hidden_dim: width of the two attentions over time.
        rope_dim_list: channels per head that rotate with (time, row, column); only those of time are ever used.
        rope_theta: base of the rotation.
        windows_size: latents whose rows one latent sees.
    """

    blocks: tuple[int, ...]
    heads_num: int
    hidden_size: int
    keyboard_dim_in: int
    keyboard_hidden_dim: int
    mouse_dim_in: int
    mouse_hidden_dim: int
    rope_dim_list: tuple[int, int, int]
    rope_theta: float = 256.0
    windows_size: int = 3

    @property
    def window_rows(self) -> int:
        """Action rows that one latent sees."""
        return LATENT_FRAMES * self.windows_size


@dataclass(frozen=True)
class MatrixGame3Config:
    """Sizes of the transformer (docs/spec/matrix_game_3.md, section 1.2); names as in the published file.

    Attributes:
        in_dim, out_dim: latent channels.
        dim, num_heads, num_layers, ffn_dim: of the transformer.
        freq_dim: width of the time features.
        text_dim, text_len: width and number of text states.
        sigma_theta: spread of the rotation bases over the heads.
        eps: of all norms but one.
        action_config: the action modules.
    """

    in_dim: int
    out_dim: int
    dim: int
    ffn_dim: int
    freq_dim: int
    num_heads: int
    num_layers: int
    text_len: int = 512
    text_dim: int = 4096
    sigma_theta: float = 0.8
    eps: float = 1e-6
    action_config: ActionConfig = field(kw_only=True)

    @property
    def head_dim(self) -> int:
        """Channels of one attention head."""
        return self.dim // self.num_heads

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> MatrixGame3Config:
        """Read the published ``config.json``; keys that describe nothing of the network are ignored.

        Raises:
            ValueError: a key is missing, or the file describes another kind of model.
        """
        for key, only in _ONLY.items():
            value = data.get(key, only)
            if (tuple(value) if isinstance(value, list) else value) != only:
                raise ValueError(f"{key}={shown(value)} is another model than Matrix-Game-3.0; allowed: {only!r}")
        actions = data.get("action_config")
        if not isinstance(actions, Mapping):
            raise ValueError(
                f"action_config={shown(actions)} is not usable; allowed: a mapping of the action modules' sizes"
            )
        for key in ("enable_keyboard", "enable_mouse"):
            if actions.get(key, True) is not True:
                raise ValueError(f"action_config.{key}={shown(actions[key])} is not supported; allowed: true")
        action = _pick(ActionConfig, actions, "action_config.")
        for key, count in (("blocks", None), ("rope_dim_list", 3)):
            values = action[key]
            if not isinstance(values, list | tuple) or (count and len(values) != count) or len(values) > 1024:
                raise ValueError(f"action_config.{key}={shown(values)} is not allowed; use a list of whole numbers")
            action[key] = tuple(check_whole(f"action_config.{key}", value, 0, MOST_WIDTH) for value in values)
        return cls(**{**_pick(cls, data, ""), "action_config": ActionConfig(**action)})


_ONLY: dict[str, Any] = {
    "model_type": "ti2v",
    "patch_size": (1, 2, 2),
    "use_memory": True,
    "cross_attn_norm": True,
    "qk_norm": True,
}
"""Keys with the only value that this network can take."""


def _pick(config: type[Any], data: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    values = {entry.name: data[entry.name] for entry in fields(config) if entry.name in data}
    optional = ("text_len", "text_dim", "sigma_theta", "eps", "rope_theta", "windows_size")
    for entry in fields(config):
        if entry.name not in values and entry.name not in optional:
            raise ValueError(f"{prefix}{entry.name} is missing from the model's config")
    for name, value in values.items():
        if name in _NUMBERS:
            check_number(f"{prefix}{name}", value, 0, 1e9, above=True)
        elif name not in ("action_config", "blocks", "rope_dim_list"):
            check_whole(f"{prefix}{name}", value, 1, 1024 if name in _COUNTS else MOST_WIDTH)
    return values


_NUMBERS = ("sigma_theta", "eps", "rope_theta")
_COUNTS = ("num_heads", "num_layers", "heads_num", "windows_size")


PUBLISHED = MatrixGame3Config(
    in_dim=48,
    out_dim=48,
    dim=3072,
    ffn_dim=14336,
    freq_dim=256,
    num_heads=24,
    num_layers=30,
    action_config=ActionConfig(
        blocks=tuple(range(15)),
        heads_num=16,
        hidden_size=128,
        keyboard_dim_in=6,
        keyboard_hidden_dim=1024,
        mouse_dim_in=2,
        mouse_hidden_dim=1024,
        rope_dim_list=(8, 28, 28),
    ),
)
"""Sizes of the published model, 6.47 billion parameters."""
