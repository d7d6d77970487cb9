"""A model call as the original computes it: the baseline of our times and numbers.

The sequence is padded with zero tokens, time vectors are kept per token, and camera, actions and text are computed
again in every step. Given latents are denoised along with the new ones.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn.functional import layer_norm, linear, pad

from li_env.kernels.attention import attend_joined
from li_env.kernels.rms_rotary import rms_rotary
from li_env.worlds.matrix_game_3.layout import TokenLayout
from li_env.worlds.matrix_game_3.model import ClipConditions, MatrixGame3Model
from li_env.worlds.matrix_game_3.rotation import sequence_rotation, slot_rotation

PADDED_LATENTS = 20
"""Latents to which the original pads every sequence: five of memory, the longest clip's fifteen."""

PaddedAttention = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""Attention of queries, keys and values [B, H, S, D], zero tokens included."""


def padded_velocity(
    model: MatrixGame3Model,
    x: torch.Tensor,
    timestep: float,
    conditions: ClipConditions,
    text: torch.Tensor,
    layout: TokenLayout,
    frames: int = PADDED_LATENTS,
    attention: PaddedAttention | None = None,
    wide: bool = False,
) -> torch.Tensor:
    """Velocity of all latents but memory.

    Args:
        model: the transformer.
        x: [B, T, C, h, w] latents: memory, given, new.
        timestep: of the new latents.
        conditions: what controls the clip; its ``text`` is not read.
        text: [B, n, text_dim] text states.
        layout: dense, of the T latents.
        frames: latents that the sequence is filled up to.
        attention: self-attention; by default dense over the real keys.
        wide: compute the self-attention's projections and the head in float32, as the original does under its autocast,
            weights cast anew in every call.

    Returns:
        float32 [B, T - memory, C, h, w].
    """
    dtype, eps, grid, shape = model.dtype, model.config.eps, layout.shape.grid, layout.shape
    stream = model.embed_patches(x).float()
    real = stream.shape[1]
    fill = (0, 0, 0, frames * grid[0] * grid[1] - real)
    stream = pad(stream, fill)
    times = torch.zeros(stream.shape[1], device=x.device)
    times[layout.known : real] = timestep
    e, time = model.embed_time(times)
    rotation, slots = sequence_rotation(model.config, conditions.latents, layout), slot_rotation(model.config, layout)
    of_tokens = slots.of_tokens(layout.frames)
    # [B, T, n, 6144]: a view for every latent, seen before or not.
    camera = conditions.camera[conditions.views.to(x.device)]
    p = model.embed_camera(pad(camera.flatten(1, 2), fill))
    for block, words in zip(model.transformer_blocks, model.embed_text(text), strict=True):
        shift1, scale1, gate1, shift2, scale2, gate2 = (block.modulation.float() + time).unbind(dim=1)
        z = (layer_norm(stream, stream.shape[-1:], eps=eps) * (1 + scale1) + shift1).to(dtype)
        # Zero tokens stand at no position: they are left unrotated.
        parts = ((slice(0, real), rotation), (slice(real, None), None))
        own = block.self_attn
        q, k, v = (_project(layer, z, wide) for layer in (own.q, own.k, own.v))
        heads = model.config.num_heads
        query, key = (
            torch.cat(
                [rms_rotary(x[:, tokens], heads, norm.weight, at, eps) for tokens, at in parts], dim=2
            ).to(dtype)
            for x, norm in ((q, own.norm_q), (k, own.norm_k))
        )  # fmt: skip
        value = v.unflatten(-1, (heads, -1)).transpose(1, 2).to(dtype)
        if attention is None:
            mixed = attend_joined(query, key[:, :, :real], value[:, :, :real])
        else:
            mixed = attention(query, key, value)
        stream = stream + _project(own.o, mixed.transpose(1, 2).flatten(2), wide) * gate1
        scale, shift = block.camera(p)
        stream = (1 + scale.float()) * stream + shift.float()
        weight, bias = block.norm3.weight.float(), block.norm3.bias.float()
        stream = layer_norm(stream, stream.shape[-1:], weight, bias, eps)
        z = stream.to(dtype)
        stream = stream + block.cross_attn.output(attend_joined(block.cross_attn.query(z), *words))
        if block.action_model is not None:
            module = block.action_model
            actions = module.prepare(conditions.mouse, conditions.keyboard, shape.memory, slots)
            seen = stream[:, :real].to(dtype)
            seen = seen + module.mouse(seen, actions, layout, slots)
            seen = seen + module.keyboard(seen, actions, of_tokens)
            stream = torch.cat((seen.float(), stream[:, real:]), dim=1)
        z = (layer_norm(stream, stream.shape[-1:], eps=eps) * (1 + scale2) + shift2).to(dtype)
        stream = stream + block.ffn(z) * gate2
    shift, scale = (model.head.modulation.float() + e[:, None]).unbind(dim=1)
    z = (layer_norm(stream, stream.shape[-1:], eps=eps) * (1 + scale) + shift).to(dtype)
    return model.unpatch(_project(model.head.head, z[:, :real], wide).float(), grid)[:, shape.memory :]


def _project(layer: nn.Linear, z: torch.Tensor, wide: bool) -> torch.Tensor:
    if not wide:
        out: torch.Tensor = layer(z)
        return out
    return linear(z.float(), layer.weight.float(), layer.bias.float())
