"""The transformer of Matrix-Game-3.0 (docs/spec/matrix_game_3.md, section 3), in one readable file.

One bidirectional sequence holds memory latents, given latents and the new ones; there is no cache of keys and values
between steps. What does not change from step to step is computed once: the text (`MatrixGame3Model.embed_text`, once
per episode), and camera, actions and positions (`MatrixGame3Model.prepare`, once per clip).

Parameter names follow the published checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import linear, pad, silu

from li_env.kernels.attention import attend_joined
from li_env.kernels.residual_norm import add_camera_norm, add_cast, add_modulated_norm
from li_env.kernels.rms_rotary import RotaryTables, rms_rotary
from li_env.worlds.common.step_reuse import StepReuse
from li_env.worlds.matrix_game_3.action import ActionCache, ActionModule
from li_env.worlds.matrix_game_3.config import CAMERA_CHANNELS, LATENT_PIXELS, MatrixGame3Config
from li_env.worlds.matrix_game_3.layout import TokenLayout
from li_env.worlds.matrix_game_3.rotation import sequence_rotation, slot_rotation

PATCH = 2
"""Latent pixels along one side of a token."""

TextCache = tuple[tuple[torch.Tensor, torch.Tensor], ...]
"""Per block: keys and values [B, H, text_len, head_dim] of the text."""


@dataclass(frozen=True, eq=False)
class ClipConditions:
    """Conditions of one clip of B episodes.

    Attributes:
        latents: integers [B, T], absolute latent indices in the order of the sequence: memory, given, new.
        camera: [K, n, 6144], the camera map of every token of K different views.
        views: integers [B, T], the view of every latent.
        mouse, keyboard: [B, N, 2] and [B, N, 6], rows of the clip's frames.
        text: from `MatrixGame3Model.embed_text`.
    """

    latents: torch.Tensor
    camera: torch.Tensor
    views: torch.Tensor
    mouse: torch.Tensor
    keyboard: torch.Tensor
    text: TextCache


@dataclass(frozen=True, eq=False)
class BlockCache:
    """Inputs of one block that all steps of a clip share: camera scales and shifts [K * n, C], actions and text."""

    camera: tuple[torch.Tensor, torch.Tensor]
    actions: ActionCache | None
    text: tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True, eq=False)
class ClipCache:
    """Inputs of `MatrixGame3Model.forward` that all steps of a clip share; from `MatrixGame3Model.prepare`.

    Attributes:
        layout: of the tokens.
        rotation: of all tokens in the self-attention.
        camera_rows: int32 [B, S], the camera scale and shift of every token.
        slots, token_slots: rotation in the action modules, of the T slots and of all tokens.
        blocks: what each block needs.
    """

    layout: TokenLayout
    rotation: RotaryTables
    camera_rows: torch.Tensor
    slots: RotaryTables
    token_slots: RotaryTables
    blocks: tuple[BlockCache, ...]


class RMSNorm(nn.Module):
    """The weight of a root-mean-square norm over all channels, heads together; applied by `rms_rotary`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))


class Attention(nn.Module):
    """Projections of self-attention or cross-attention."""

    def __init__(self, config: MatrixGame3Config) -> None:
        super().__init__()
        self._heads, self._eps = config.num_heads, config.eps
        self.q = nn.Linear(config.dim, config.dim)
        self.k = nn.Linear(config.dim, config.dim)
        self.v = nn.Linear(config.dim, config.dim)
        self.o = nn.Linear(config.dim, config.dim)
        self.norm_q = RMSNorm(config.dim)
        self.norm_k = RMSNorm(config.dim)

    def query(self, z: torch.Tensor, rotation: RotaryTables | None = None, interleaved: bool = True) -> torch.Tensor:
        """Compute queries: [B, S, C] -> [B, H, S, D], ``interleaved`` as in `rms_rotary`."""
        return rms_rotary(self.q(z), self._heads, self.norm_q.weight, rotation, self._eps, interleaved=interleaved)

    def key_value(self, z: torch.Tensor, rotation: RotaryTables | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute keys and values: [B, S, C] -> twice [B, H, S, D]; the values are a view."""
        value = self.v(z).unflatten(-1, (self._heads, -1)).transpose(1, 2)
        return rms_rotary(self.k(z), self._heads, self.norm_k.weight, rotation, self._eps), value

    def output(self, mixed: torch.Tensor) -> torch.Tensor:
        """Project [B, H, S, D] to [B, S, C]."""
        out: torch.Tensor = self.o(mixed.transpose(1, 2).flatten(2))
        return out


class Block(nn.Module):
    """One transformer block."""

    def __init__(self, config: MatrixGame3Config, number: int) -> None:
        super().__init__()
        self._number, self._eps = number, config.eps
        self.modulation = nn.Parameter(torch.zeros(1, 6, config.dim))
        self.self_attn = Attention(config)
        self.cross_attn = Attention(config)
        self.norm3 = nn.LayerNorm(config.dim, eps=config.eps)
        self.ffn = nn.Sequential(
            nn.Linear(config.dim, config.ffn_dim), nn.GELU(approximate="tanh"), nn.Linear(config.ffn_dim, config.dim)
        )
        self.cam_injector_layer1 = nn.Linear(config.dim, config.dim)
        self.cam_injector_layer2 = nn.Linear(config.dim, config.dim)
        self.cam_scale_layer = nn.Linear(config.dim, config.dim)
        self.cam_shift_layer = nn.Linear(config.dim, config.dim)
        self.action_model: ActionModule | None = None
        if number in config.action_config.blocks:
            self.action_model = ActionModule(config.action_config, config.dim)

    def vectors(self, time: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return shift, scale, gate of attention, then of the feed-forward network: six times [2, C] float32."""
        return (self.modulation.float() + time).unbind(dim=1)

    def camera(self, p: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute scales and shifts [R, C] from camera embeddings ``p`` [R, C]."""
        g = self.cam_injector_layer2(silu(self.cam_injector_layer1(p))) + p
        return self.cam_scale_layer(g), self.cam_shift_layer(g)

    def feed_forward(self, z: torch.Tensor) -> torch.Tensor:
        """Run the feed-forward network on tokens [B, S, C]."""
        if z.device.type != "cuda":
            out: torch.Tensor = self.ffn(z)
            return out
        first: nn.Linear = self.ffn[0]  # type: ignore[assignment]
        second: nn.Linear = self.ffn[2]  # type: ignore[assignment]
        # Bias and GELU (its tanh form) in the matrix product itself: the hidden layer is written once.
        hidden = torch._addmm_activation(first.bias, z.flatten(0, 1), first.weight.t(), use_gelu=True)
        return second(hidden).view(z.shape)

    def forward(
        self, x: torch.Tensor, z: torch.Tensor, gate: torch.Tensor, own: BlockCache, clip: ClipCache, kept: slice
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Run everything between the first norm and the second one.

        An action module attends along time to what the text attention made of all tokens, so with one they are left
        out after its mouse attention only.

        Args:
            x: float32 [B, S, C], the residual stream.
            z: [B, S, C], normed and modulated.
            gate: [2, C] of the attention.
            own: of this block.
            clip: of the clip.
            kept: tokens whose result is read; those left out only serve as keys and values.

        Returns:
            (residual stream of the kept tokens, what has still to be added to it).
        """
        layout, dtype = clip.layout, z.dtype
        attending = slice(0, None) if self.action_model is not None else kept
        known = max(0, layout.known - attending.start)
        rotation = clip.rotation.of_tokens(attending) if attending.start else clip.rotation
        query = self.self_attn.query(z[:, attending], rotation, layout.is_dense(self._number))
        key, value = self.self_attn.key_value(z, clip.rotation)
        mixed = self.self_attn.output(layout.attend(self._number, query, key, value))
        x, z = add_camera_norm(
            x[:, attending], mixed, gate, own.camera, clip.camera_rows[:, attending],
            self.norm3.weight, self.norm3.bias, known, dtype, self._eps,
        )  # fmt: skip
        text = attend_joined(self.cross_attn.query(z), *own.text)
        delta = self.cross_attn.output(text)
        if self.action_model is not None and own.actions is not None:
            x, z = add_cast(x, delta, dtype)
            mouse = self.action_model.mouse(z, own.actions, layout, clip.slots)
            x, z = add_cast(x[:, kept], mouse[:, kept], dtype)
            slots = clip.token_slots.of_tokens(kept) if kept.start else clip.token_slots
            delta = self.action_model.keyboard(z, own.actions, slots)
        return x, delta


class Head(nn.Module):
    """The last, modulated layer."""

    def __init__(self, config: MatrixGame3Config) -> None:
        super().__init__()
        self.modulation = nn.Parameter(torch.zeros(1, 2, config.dim))
        self.head = nn.Linear(config.dim, config.out_dim * PATCH * PATCH)


class MatrixGame3Model(nn.Module):
    """The transformer.

    Args:
        config: its sizes. Build it under ``torch.device("meta")`` to load a checkpoint without initialising first.
    """

    def __init__(self, config: MatrixGame3Config) -> None:
        super().__init__()
        self.config = config
        width = config.dim
        self.patch_embedding = nn.Conv3d(config.in_dim, width, (1, PATCH, PATCH), stride=(1, PATCH, PATCH))
        camera = CAMERA_CHANNELS * (LATENT_PIXELS * PATCH) ** 2
        self.patch_embedding_wancamctrl = nn.Linear(camera, width)
        self.c2ws_hidden_states_layer1 = nn.Linear(width, width)
        self.c2ws_hidden_states_layer2 = nn.Linear(width, width)
        self.text_embedding = nn.Sequential(
            nn.Linear(config.text_dim, width), nn.GELU(approximate="tanh"), nn.Linear(width, width)
        )
        self.time_embedding = nn.Sequential(nn.Linear(config.freq_dim, width), nn.SiLU(), nn.Linear(width, width))
        self.time_projection = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))
        self.blocks = nn.ModuleList(Block(config, number) for number in range(config.num_layers))
        self.head = Head(config)

    @property
    def dtype(self) -> torch.dtype:
        """Type of the weights and of the large products."""
        return self.patch_embedding.weight.dtype

    def embed_text(self, states: torch.Tensor) -> TextCache:
        """Compute keys and values of every block from text states [B, n, text_dim], zero-padded to ``text_len``."""
        missing = self.config.text_len - states.shape[1]
        if missing < 0:
            raise ValueError(f"text: {states.shape[1]} states; allowed are up to {self.config.text_len}")
        embedded = self.text_embedding(pad(states.to(self.dtype), (0, 0, 0, missing)))
        return tuple(block.cross_attn.key_value(embedded) for block in self.transformer_blocks)

    def prepare(self, conditions: ClipConditions, layout: TokenLayout) -> ClipCache:
        """Compute what all steps of a clip share."""
        rotation = sequence_rotation(self.config, conditions.latents, layout)
        slots = slot_rotation(self.config, layout)
        p = self.embed_camera(conditions.camera.flatten(0, 1))
        rows, columns = layout.shape.grid
        own = layout.token_coords[:, 1] * columns + layout.token_coords[:, 2]
        views = conditions.views.to(own.device).index_select(1, layout.frames)
        blocks = []
        for block, text in zip(self.transformer_blocks, conditions.text, strict=True):
            actions = None
            if block.action_model is not None:
                memory = layout.shape.memory
                actions = block.action_model.prepare(conditions.mouse, conditions.keyboard, memory, slots)
            blocks.append(BlockCache(block.camera(p), actions, text))
        return ClipCache(
            layout,
            rotation,
            (views * (rows * columns) + own).int(),
            slots,
            slots.of_tokens(layout.frames),
            tuple(blocks),
        )

    def embed_camera(self, camera: torch.Tensor) -> torch.Tensor:
        """Embed the camera map of tokens [..., 6144] to [..., C], the same for all blocks."""
        p = self.patch_embedding_wancamctrl(camera.to(self.dtype))
        return p + self.c2ws_hidden_states_layer2(silu(self.c2ws_hidden_states_layer1(p)))

    def embed_patches(self, x: torch.Tensor) -> torch.Tensor:
        """Embed latents [B, T, C, h, w] as tokens [B, T * n, C] in (frame, row, column) order."""
        x = x.to(self.dtype).unflatten(-1, (-1, PATCH)).unflatten(-3, (-1, PATCH))  # [B, T, C, rows, 2, columns, 2]
        patches = x.permute(0, 1, 3, 5, 2, 4, 6).flatten(4).flatten(1, 3)
        return linear(patches, self.patch_embedding.weight.flatten(1), self.patch_embedding.bias)

    def unpatch(self, tokens: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
        """Shape the head's output [B, T * n, 4 * C] as (row, column, channel) to [B, T, C, h, w]."""
        x = tokens.unflatten(1, (-1, *grid)).unflatten(-1, (PATCH, PATCH, self.config.out_dim))
        return x.permute(0, 1, 6, 2, 4, 3, 5).flatten(-2).flatten(-3, -2)

    def embed_time(self, timesteps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Embed timesteps [n] as vectors float32 [n, C] for the head and [n, 6, C] for the blocks."""
        half = self.config.freq_dim // 2
        frequencies = 10000.0 ** (-torch.arange(half, dtype=torch.float64, device=timesteps.device) / half)
        angles = timesteps.double()[:, None] * frequencies
        features = torch.cat((angles.cos(), angles.sin()), dim=-1).float()
        first, _, second = self.time_embedding
        e = _linear32(silu(_linear32(features, first)), second)
        return e, _linear32(silu(e), self.time_projection[1]).unflatten(-1, (6, -1))

    def forward(
        self, x: torch.Tensor, timestep: float, clip: ClipCache, reuse: StepReuse | None = None
    ) -> torch.Tensor:
        """Run one model call.

        Args:
            x: [B, T, C, h, w] latents: memory, given, new.
            timestep: of the new latents, 0 to 1000; the others have time 0.
            clip: from `prepare`.
            reuse: whether the blocks run at all, and what they add if not.

        Returns:
            Velocity float32 [B, T', C, h, w] of the latents after those that ``clip.layout`` drops.
        """
        layout = clip.layout
        # Two rows are all there is: given latents have time 0, memory included.
        e, time = self.embed_time(torch.tensor([0.0, timestep], device=x.device))
        stream = layout.to_sequence(self.embed_patches(x), 1).float()
        delta, gate, eps = None, None, self.config.eps
        known, blocks = layout.known, self.transformer_blocks
        # The blocks hand over the kept tokens alone.
        before, runs = stream[:, layout.dropped :], True
        if reuse is not None:
            shift, scale, *_ = blocks[0].vectors(time)
            runs = reuse.begin(add_modulated_norm(stream.clone(), None, None, scale, shift, known, self.dtype, eps)[1])
            before = before.clone()
        for block, own in zip(blocks, clip.blocks, strict=True) if runs else ():
            shift1, scale1, gate1, shift2, scale2, gate2 = block.vectors(time)
            stream, z = add_modulated_norm(stream, delta, gate, scale1, shift1, known, self.dtype, eps)
            # Nothing but keys and values is read of the dropped tokens in the last block.
            kept = slice(layout.dropped, None) if block is blocks[-1] else slice(0, None)
            stream, delta = block(stream, z, gate1, own, clip, kept)
            known = layout.known - kept.start
            stream, z = add_modulated_norm(stream, delta, None, scale2, shift2, known, self.dtype, eps)
            delta, gate = block.feed_forward(z), gate2
        shift, scale = (self.head.modulation.float() + e[:, None]).unbind(dim=1)
        if reuse is not None:
            known = layout.known - layout.dropped
            if runs:
                stream, _ = add_modulated_norm(stream, delta, gate, scale, shift, known, self.dtype, eps)
            stream = reuse.finish(before, stream) if runs else reuse.reused(before)
            delta, gate = None, None
        _, z = add_modulated_norm(stream, delta, gate, scale, shift, known, self.dtype, eps)
        return self.unpatch(layout.kept_to_grid(self.head.head(z), 1).float(), layout.shape.grid)

    @property
    def transformer_blocks(self) -> list[Block]:
        """The blocks, typed."""
        return list(self.blocks)  # type: ignore[arg-type]


def _linear32(x: torch.Tensor, layer: nn.Module) -> torch.Tensor:
    """Apply a linear layer in float32 with weights of any type: for two rows this costs nothing."""
    return linear(x, layer.weight.float(), layer.bias.float())  # type: ignore[operator,union-attr,arg-type]
