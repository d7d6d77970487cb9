"""The streaming video autoencoder of HY-WorldPlay: 16x in space, 4x in time, 32 channels.

Weights and the image encoder are `diffusers.AutoencoderKLHunyuanVideo15`. Its own ``decode`` makes another video than
the original does, because its middle attention looks back over frames; the original decodes one latent at a time and
its attention sees one frame. The decoder here walks through the same layers with cached frames in place of padding
and attention within each frame: equal to the original, for any number of latents per call.

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
from li_env.worlds.common.encoder_key import weights_key
from li_env.worlds.common.streaming_codec import (
    CACHED_FRAMES,
    STILL_FRAMES,
    ConvCache,
    StreamingDecoder,
    attend_within_frames,
    channels_last,
    pointwise,
    repeat_channels,
    rms_norm,
)

ConvCaches = tuple[Tensor, ...]


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
        """Encode an image uint8 [H, W, 3], sides multiples of 16, to a latent [C, h, w] float32.

        The latent is the mode of the distribution, scaled for the transformer.
        """
        return self._encode(image, 1)[:, 0]

    @torch.no_grad()
    def encode_still(self, image: np.ndarray) -> Tensor:
        """Encode an image as a video that stands still: its second latent, of frames 1 to 4."""
        return self._encode(image, STILL_FRAMES)[:, 1]

    def encoder_key(self) -> str:
        return weights_key(self.vae.encoder)

    def _encode(self, image: np.ndarray, frames: int) -> Tensor:
        pixels = torch.from_numpy(np.ascontiguousarray(image)).to(self.device).float() / 127.5 - 1
        video = pixels.permute(2, 0, 1)[None, :, None].to(self.dtype).expand(-1, -1, frames, -1, -1)
        return self.vae.encode(video).latent_dist.mode()[0].float() * self.vae.config.scaling_factor

    def decode_video(self, latents: Tensor, caches: ConvCaches | None) -> tuple[Tensor, ConvCaches]:
        latents = latents.to(self.dtype) / self.vae.config.scaling_factor
        videos = []
        if caches is None:
            # Upsamplers in time make one frame of the first latent, so it goes alone.
            video, caches = _decode(self.vae.decoder, latents[:, :, :1], None)
            videos, latents = [video], latents[:, :, 1:]
        if latents.shape[2]:
            video, caches = _decode(self.vae.decoder, latents, caches)
            videos.append(video)
        return torch.cat(videos, dim=2), caches


def _decode(layers: Any, latents: Tensor, caches: ConvCaches | None) -> tuple[Tensor, ConvCaches]:
    """Decode latents [B, C, T, h, w], T = 1 without caches, to (video [B, 3, F, H, W], new caches).

    Inside, channels come last: [B, T, H, W, C].
    """
    cache = ConvCache(caches)
    x = latents.permute(0, 2, 3, 4, 1).contiguous()
    x = _conv(layers.conv_in, x, cache, residual=repeat_channels(x, layers.repeat))
    x = _residual(layers.mid_block.resnets[0], x, cache)
    for attention, block in zip(layers.mid_block.attentions, layers.mid_block.resnets[1:], strict=True):
        x = _residual(block, _attention(attention, x), cache)
    for level in layers.up_blocks:
        for block in level.resnets:
            x = _residual(block, x, cache)
        for upsampler in level.upsamplers or ():
            x = _upsample(upsampler, x, cache, first=caches is None)
    video = _conv(layers.conv_out, x, cache, layers.norm_out)
    return video.permute(0, 4, 1, 2, 3), cache.collected()


def _conv(layer: Any, x: Tensor, cache: ConvCache, norm: Any = None, residual: Tensor | None = None) -> Tensor:
    """Convolve x causally (3x3x3), normed and activated if there is a norm; edges and the first frame repeat."""
    extended = extended_frames(x, None if norm is None else norm.gamma.flatten(), cache.past())
    cache.keep(extended[:, -CACHED_FRAMES:])
    return frame_conv(extended, layer.conv.weight, layer.conv.bias, residual)


def _residual(block: Any, x: Tensor, cache: ConvCache) -> Tensor:
    hidden = _conv(block.conv1, x, cache, block.norm1)
    shortcut = x if block.conv_shortcut is None else pointwise(block.conv_shortcut, x)
    return _conv(block.conv2, hidden, cache, block.norm2, shortcut)


def _attention(block: Any, x: Tensor) -> Tensor:
    normed = rms_norm(x, block.norm.gamma)
    query, key, value = (pointwise(layer, normed) for layer in (block.to_q, block.to_k, block.to_v))
    return x + pointwise(block.proj_out, attend_within_frames(query, key, value))


def _upsample(layer: Any, x: Tensor, cache: ConvCache, first: bool) -> Tensor:
    """Double the size, and the frames where the layer works in time, but make one frame of the first latent."""
    hidden = _conv(layer.conv, x, cache)
    if first and layer.add_temporal_upsample:
        hidden = _shuffle(hidden, 1)
        return hidden[..., : hidden.shape[-1] // 2] + repeat_channels(_shuffle(x, 1), layer.repeats // 2)
    frames = 2 if layer.add_temporal_upsample else 1
    # Repeating channels before or after the shuffle is the same, because each output gets whole channels.
    return _shuffle(hidden, frames) + repeat_channels(_shuffle(x, frames), layer.repeats)


def _shuffle(x: Tensor, frames: int) -> Tensor:
    """Shuffle channels (rt, 2, 2, c) into ``frames`` = rt times the frames and twice the size."""
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
"""Parts of the checkpoint's names and their names in diffusers, replaced in this order."""


def diffusers_name(name: str) -> str:
    """Return the name of a checkpoint's tensor in `diffusers.AutoencoderKLHunyuanVideo15`."""
    for old, new in RENAMED:
        name = name.replace(old, new)
    return name
