"""Sizes of the model, and the reading of the published ``config.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from li_env.validation import MOST_WIDTH, check_number, check_whole, shown
from li_env.worlds.common.transformer import TransformerConfig

_FIXED: dict[str, Any] = {
    "patch_size": [1, 1, 1],
    "concat_condition": True,
    "mlp_act_type": "gelu_tanh",
    "mm_single_blocks_depth": 0,
    "qkv_bias": True,
    "qk_norm": True,
    "qk_norm_type": "rms",
    "guidance_embed": False,
    "use_meanflow": False,
    "text_projection": "single_refiner",
    "text_pool_type": None,
    "glyph_byT5_v2": True,
    "vision_projection": "linear",
    "use_cond_type_embedding": True,
}
"""Values that this implementation supports; another value means another model."""


@dataclass(frozen=True)
class HYWorldPlayConfig:
    """Sizes of the transformer; the defaults are those of the published 8B model.

    ``latent_channels`` are the channels of a latent, ``rope_dims`` the channels of a head that carry time, row and
    column, ``byt5_widths`` the input, inner and output width of the glyph text mapper.

    Source: docs/spec/hy_worldplay.md, section 1.1.
    """

    latent_channels: int = 32
    hidden_size: int = 2048
    heads: int = 16
    depth: int = 54
    mlp_ratio: float = 4.0
    rope_dims: tuple[int, int, int] = (16, 56, 56)
    rope_theta: float = 256.0
    text_width: int = 3584
    vision_width: int = 1152
    byt5_widths: tuple[int, int, int] = (1472, 2048, 2048)
    refiner_depth: int = 2

    def __post_init__(self) -> None:
        if self.hidden_size % self.heads:
            raise ValueError(f"hidden_size={self.hidden_size!r} is not a multiple of heads={self.heads}")
        if sum(self.rope_dims) != self.head_dim or any(size % 2 for size in self.rope_dims):
            raise ValueError(
                f"rope_dims={self.rope_dims!r} is not usable; allowed: even numbers that add up to {self.head_dim}"
            )
        if self.head_dim % 4:
            raise ValueError(f"heads={self.heads!r}: channels per head are {self.head_dim}; allowed: a multiple of 4")

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.heads

    @property
    def transformer(self) -> TransformerConfig:
        """Sizes of the vision stream: the input carries latent, image latent and mask."""
        return TransformerConfig(
            in_channels=2 * self.latent_channels + 1,
            out_channels=self.latent_channels,
            hidden_size=self.hidden_size,
            heads=self.heads,
            depth=self.depth,
            mlp_ratio=self.mlp_ratio,
            modulation="block",
            action_labels=True,
        )

    @classmethod
    def from_dict(
        cls, data: Mapping[str, Any], byt5_widths: tuple[int, int, int] = (1472, 2048, 2048)
    ) -> HYWorldPlayConfig:
        """Read the transformer's published ``config.json``; keys that do not matter here are ignored.

        Raises:
            ValueError: a key is missing, or its value belongs to another variant of the model.
        """
        for key, wanted in _FIXED.items():
            value = data.get(key, wanted)
            if (list(value) if isinstance(value, tuple) else value) != wanted:
                raise ValueError(
                    f"config {key}={shown(value)} is another model than HY-WorldPlay 8B; allowed: {wanted!r}"
                )
        try:
            channels = check_whole("config in_channels", data["in_channels"], 1, MOST_WIDTH)
            dims = data["rope_dim_list"]
            if not isinstance(dims, list) or len(dims) != 3:
                raise ValueError(f"config rope_dim_list={shown(dims)} is not allowed; use three even numbers")
            config = cls(
                latent_channels=channels,
                hidden_size=check_whole("config hidden_size", data["hidden_size"], 1, MOST_WIDTH),
                heads=check_whole("config heads_num", data["heads_num"], 1, 1024),
                depth=check_whole("config mm_double_blocks_depth", data["mm_double_blocks_depth"], 1, 1024),
                mlp_ratio=float(check_number("config mlp_width_ratio", data["mlp_width_ratio"], 0, 64, above=True)),
                rope_dims=(
                    check_whole("config rope_dim_list", dims[0], 0, MOST_WIDTH),
                    check_whole("config rope_dim_list", dims[1], 0, MOST_WIDTH),
                    check_whole("config rope_dim_list", dims[2], 0, MOST_WIDTH),
                ),
                rope_theta=float(check_number("config rope_theta", data["rope_theta"], 1, 1e9)),
                text_width=check_whole("config text_states_dim", data["text_states_dim"], 1, MOST_WIDTH),
                vision_width=check_whole("config vision_states_dim", data["vision_states_dim"], 1, MOST_WIDTH),
                byt5_widths=byt5_widths,
            )
        except KeyError as missing:
            raise ValueError(f"config {missing.args[0]!r} is missing: not a config.json of HY-WorldPlay 8B") from None
        if data.get("out_channels", channels) != channels:
            raise ValueError(f"config out_channels={shown(data['out_channels'])}; allowed: in_channels={channels}")
        return config
