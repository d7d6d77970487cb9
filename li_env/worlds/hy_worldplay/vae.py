"""The streaming video autoencoder of HY-WorldPlay: 16x in space, 4x in time, 32 channels.

Weights and the image encoder are `diffusers.AutoencoderKLHunyuanVideo15`. Its own ``decode`` makes another video than
the original does, because its middle attention looks back over frames; the original decodes one latent at a time and
its attention sees one frame. The decoder here walks through the same layers with frame memories in place of padding
and attention within each frame: equal to the original, whatever the number of latents per call.

Source: specification of HY-WorldPlay, section 7.1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor, nn

from li_env.worlds.streaming import (
    MEMORY_FRAMES,
    FrameMemory,
    StreamingDecoder,
    channels_last,
    rms_norm,
    single_head_attention,
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


def _decode(decoder: nn.Module, latents: Tensor, memories: Memories | None) -> tuple[Tensor, Memories]:
    """Run the decoder: latents [B, C, T, h, w], T = 1 without memories -> (video [B, 3, F, H, W], new memories)."""
    memory = FrameMemory(memories)
    layers: Any = decoder
    x = latents.contiguous(memory_format=torch.channels_last_3d)
    x = _conv(layers.conv_in, x, memory) + repeat(x, "b c t h w -> b (c n) t h w", n=layers.repeat)
    x = _residual(layers.mid_block.resnets[0], x, memory)
    for attention, block in zip(layers.mid_block.attentions, layers.mid_block.resnets[1:], strict=True):
        x = _residual(block, _attention(attention, x), memory)
    for level in layers.up_blocks:
        for block in level.resnets:
            x = _residual(block, x, memory)
        for upsampler in level.upsamplers or ():
            x = _upsample(upsampler, x, memory, first=memories is None)
    video = _conv(layers.conv_out, _norm_silu(layers.norm_out, x), memory)
    return video, memory.collected()


def _conv(layer: Any, x: Tensor, memory: FrameMemory) -> Tensor:
    """Causal 3x3x3 convolution; edges repeat, and so does the first frame of a video."""
    x = F.pad(x, (1, 1, 1, 1, 0, 0), mode="replicate")
    first = x[:, :, :1].expand(-1, -1, MEMORY_FRAMES, -1, -1)
    return F.conv3d(memory.extend(x, first), layer.conv.weight, layer.conv.bias)


def _norm_silu(layer: Any, x: Tensor) -> Tensor:
    return F.silu(rms_norm(x, layer.gamma)).to(x.dtype)


def _residual(block: Any, x: Tensor, memory: FrameMemory) -> Tensor:
    hidden = _conv(block.conv1, _norm_silu(block.norm1, x), memory)
    hidden = _conv(block.conv2, _norm_silu(block.norm2, hidden), memory)
    return hidden + (x if block.conv_shortcut is None else block.conv_shortcut(x))


def _attention(block: Any, x: Tensor) -> Tensor:
    normed = rms_norm(x, block.norm.gamma).to(x.dtype)
    return x + block.proj_out(
        single_head_attention(block.to_q(normed), block.to_k(normed), block.to_v(normed))
    )  # fmt: skip


def _upsample(layer: Any, x: Tensor, memory: FrameMemory, first: bool) -> Tensor:
    """Twice the size, and twice the frames where the layer works in time, but one frame of the first latent."""
    in_time = layer.add_temporal_upsample
    hidden = _conv(layer.conv, x, memory)
    if in_time and first:
        hidden = _shuffle(hidden, 1)
        hidden = hidden[:, : hidden.shape[1] // 2]
        shortcut = _repeat_channels(_shuffle(x, 1), layer.repeats // 2)
    elif in_time:
        hidden = _shuffle(hidden, 2)
        shortcut = _repeat_channels(_shuffle(x, 2), layer.repeats)
    else:
        hidden = _shuffle(hidden, 1)
        shortcut = _shuffle(_repeat_channels(x, layer.repeats), 1)
    return (hidden + shortcut).contiguous(memory_format=torch.channels_last_3d)


def _shuffle(x: Tensor, frames: int) -> Tensor:
    """Channels (rt, 2, 2, c) into ``frames`` = rt times the frames and twice the size."""
    return rearrange(
        x, "b (rt rh rw c) t h w -> b c (t rt) (h rh) (w rw)", rt=frames, rh=2, rw=2
    )  # fmt: skip


def _repeat_channels(x: Tensor, times: int) -> Tensor:
    return repeat(x, "b c t h w -> b (c n) t h w", n=times)


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
