"""The streaming video autoencoder of HY-WorldPlay: 16x in space, 4x in time, 32 channels.

Weights and the image encoder are `diffusers.AutoencoderKLHunyuanVideo15`. Its own ``decode`` makes another video than
the original does, because its middle attention looks back over frames; the original decodes one latent at a time and
its attention sees one frame. The decoder here walks through the same layers with frame memories in place of padding
and attention within each frame: equal to the original, whatever the number of latents per call.

Source: docs/spec/hy_worldplay.md, section 7.1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from li_env.kernels.extended_frames import extended_frames
from li_env.kernels.frame_conv import frame_conv
from li_env.worlds.common.streaming_codec import (
    MEMORY_FRAMES,
    ConvCache,
    StreamingDecoder,
    attend_within_frames,
    channels_last,
    pointwise,
    repeat_channels,
    rms_norm,
)

Memories = tuple[Tensor, ...]


class StreamingVAE(StreamingDecoder):
    """Image to latent, latents to frames, with the state of a video in the caller's hands.

    Args:
        vae: a `diffusers.AutoencoderKLHunyuanVideo15`, on its device and in the dtype to compute in.
    """

    def __init__(self, vae: Any) -> None:
        super().__init__(vae.device, vae.dtype)
        self.vae: Any = channels_last(vae.eval().requires_grad_(False))

    @torch.no_grad()
    def encode_image(self, image: np.ndarray) -> Tensor:
        """uint8 [H, W, 3], sides multiples of 16 -> latent [C, h, w] float32: the mode, scaled for the transformer."""
        pixels = torch.from_numpy(np.ascontiguousarray(image)).to(self.device).float() / 127.5 - 1
        video = pixels.permute(2, 0, 1)[None, :, None].to(self.dtype)
        return self.vae.encode(video).latent_dist.mode()[0, :, 0].float() * self.vae.config.scaling_factor

    def decode_video(self, latents: Tensor, memories: Memories | None) -> tuple[Tensor, Memories]:
        """See `StreamingDecoder.decode_video`."""
        latents = latents.to(self.dtype) / self.vae.config.scaling_factor
        videos = []
        if memories is None:
            # Upsamplers in time make one frame of the first latent, so it goes alone.
            video, memories = _decode(self.vae.decoder, latents[:, :, :1], None)
            videos, latents = [video], latents[:, :, 1:]
        if latents.shape[2]:
            video, memories = _decode(self.vae.decoder, latents, memories)
            videos.append(video)
        return torch.cat(videos, dim=2), memories


def _decode(layers: Any, latents: Tensor, memories: Memories | None) -> tuple[Tensor, Memories]:
    """Latents [B, C, T, h, w], T = 1 without memories -> (video [B, 3, F, H, W], new memories).

    Inside, channels come last: [B, T, H, W, C].
    """
    memory = ConvCache(memories)
    x = latents.permute(0, 2, 3, 4, 1).contiguous()
    x = _conv(layers.conv_in, x, memory, residual=repeat_channels(x, layers.repeat))
    x = _residual(layers.mid_block.resnets[0], x, memory)
    for attention, block in zip(layers.mid_block.attentions, layers.mid_block.resnets[1:], strict=True):
        x = _residual(block, _attention(attention, x), memory)
    for level in layers.up_blocks:
        for block in level.resnets:
            x = _residual(block, x, memory)
        for upsampler in level.upsamplers or ():
            x = _upsample(upsampler, x, memory, first=memories is None)
    video = _conv(layers.conv_out, x, memory, layers.norm_out)
    return video.permute(0, 4, 1, 2, 3), memory.collected()


def _conv(layer: Any, x: Tensor, memory: ConvCache, norm: Any = None, residual: Tensor | None = None) -> Tensor:
    """Causal 3x3x3 convolution of x, normed and activated if there is a norm; edges and the first frame repeat."""
    extended = extended_frames(x, None if norm is None else norm.gamma.flatten(), memory.past())
    memory.keep(extended[:, -MEMORY_FRAMES:])
    return frame_conv(extended, layer.conv.weight, layer.conv.bias, residual)


def _residual(block: Any, x: Tensor, memory: ConvCache) -> Tensor:
    hidden = _conv(block.conv1, x, memory, block.norm1)
    shortcut = x if block.conv_shortcut is None else pointwise(block.conv_shortcut, x)
    return _conv(block.conv2, hidden, memory, block.norm2, shortcut)


def _attention(block: Any, x: Tensor) -> Tensor:
    normed = rms_norm(x, block.norm.gamma)
    query, key, value = (pointwise(layer, normed) for layer in (block.to_q, block.to_k, block.to_v))
    return x + pointwise(block.proj_out, attend_within_frames(query, key, value))


def _upsample(layer: Any, x: Tensor, memory: ConvCache, first: bool) -> Tensor:
    """Twice the size, and twice the frames where the layer works in time, but one frame of the first latent."""
    hidden = _conv(layer.conv, x, memory)
    if first and layer.add_temporal_upsample:
        hidden = _shuffle(hidden, 1)
        return hidden[..., : hidden.shape[-1] // 2] + repeat_channels(_shuffle(x, 1), layer.repeats // 2)
    frames = 2 if layer.add_temporal_upsample else 1
    # Repeating channels before or after the shuffle is the same, because each output gets whole channels.
    return _shuffle(hidden, frames) + repeat_channels(_shuffle(x, frames), layer.repeats)


def _shuffle(x: Tensor, frames: int) -> Tensor:
    """Channels (rt, 2, 2, c) into ``frames`` = rt times the frames and twice the size."""
    return rearrange(x, "b t h w (rt rh rw c) -> b (t rt) (h rh) (w rw) c", rt=frames, rh=2, rw=2)


RENAMED = (
    (".down.", ".down_blocks."),
    (".up.", ".up_blocks."),
    (".block.", ".resnets."),
    (".downsample.", ".downsamplers.0."),
    (".upsample.", ".upsamplers.0."),
    (".mid.block_1.", ".mid_block.resnets.0."),
    (".mid.block_2.", ".mid_block.resnets.1."),
    (".mid.attn_1.", ".mid_block.attentions.0."),
    (".attentions.0.q.", ".attentions.0.to_q."),
    (".attentions.0.k.", ".attentions.0.to_k."),
    (".attentions.0.v.", ".attentions.0.to_v."),
    (".nin_shortcut.", ".conv_shortcut."),
)
"""How parts of the checkpoint's own names are called in diffusers, replaced in this order."""


def diffusers_name(name: str) -> str:
    """The name of a checkpoint's tensor in `diffusers.AutoencoderKLHunyuanVideo15`."""
    for old, new in RENAMED:
        name = name.replace(old, new)
    return name
