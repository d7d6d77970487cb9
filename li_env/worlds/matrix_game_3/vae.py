"""The streaming video autoencoder of Matrix-Game-3.0: Wan2.2's, 16x in space, 4x in time, 48 channels.

Weights and encoder are `diffusers.AutoencoderKLWan`. The decoder here walks through the same layers with the state of a
video in the caller's hands, so that a video goes on where the last call ended. Both rules for the first latent exist:

- ``"bypass"``: Wan2.2's own. The first latent skips the convolutions in time and is zero in their history.
- ``"double"``: Matrix-Game's. The first latent is treated like all others and the first of its two frames is dropped.
  The original applies it to every decoder; the light decoders were made for it.

The light decoders have the same layers at half or a quarter of the width.

Source: docs/spec/matrix_game_3.md, section 9.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor, nn

from li_env.kernels.extended_frames import extended_frames
from li_env.kernels.frame_conv import frame_conv
from li_env.validation import check_choice
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

FirstLatent = Literal["bypass", "double"]
ConvCaches = tuple[Tensor, ...]

LATENT_MEAN = (
    -0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557, -0.1382, 0.0542, 0.2813, 0.0891, 0.1570,
    -0.0098, 0.0375, -0.1825, -0.2246, -0.1207, -0.0698, 0.5109, 0.2665, -0.2108, -0.2158, 0.2502, -0.2055, -0.0322,
    0.1109, 0.1567, -0.0729, 0.0899, -0.2799, -0.1230, -0.0313, -0.1649, 0.0117, 0.0723, -0.2839, -0.2083, -0.0520,
    0.3748, 0.0152, 0.1957, 0.1433, -0.2944, 0.3573, -0.0548, -0.1681, -0.0667,
)  # fmt: skip
LATENT_STD = (
    0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.4990, 0.4818, 0.5013, 0.8158, 1.0344, 0.5894, 1.0901, 0.6885, 0.6165,
    0.8454, 0.4978, 0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146, 0.8986, 0.5659, 0.7069, 0.5338, 0.4889, 0.4917,
    0.4069, 0.4999, 0.6866, 0.4093, 0.5709, 0.6065, 0.6415, 0.4944, 0.5726, 1.2042, 0.5458, 1.6887, 0.3971, 1.0600,
    0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744,
)  # fmt: skip
"""Statistics of Wan2.2's latents by channel; the transformer sees (latent - mean) / deviation."""

SEGMENT_LATENTS = 4
"""Latents that run through the decoder at once; more would only take more memory, the frames are the same."""


class StreamingVAE(StreamingDecoder):
    """Image to latent, latents to frames.

    Args:
        vae: a `diffusers.AutoencoderKLWan` with ``is_residual=True`` and ``patch_size=2``, on its device and in the
            dtype to compute in; for a light decoder its ``decoder_base_dim`` is smaller.
        first_latent: ``"bypass"`` or ``"double"``, see above.

    Raises:
        ValueError: an unknown ``first_latent``.
    """

    def __init__(self, vae: Any, first_latent: FirstLatent = "bypass") -> None:
        super().__init__(vae.device, vae.dtype)
        check_choice("first_latent", first_latent, ("bypass", "double"))
        self.vae: Any = channels_last(vae.eval().requires_grad_(False))
        self.first_latent = first_latent
        self.mean, self.std = (
            torch.tensor(values, device=self.device).view(-1, 1, 1, 1)
            for values in (vae.config.latents_mean, vae.config.latents_std)
        )

    @torch.no_grad()
    def encode_video(self, video: Tensor) -> Tensor:
        """Encode a video [B, 3, 4 n + 1, H, W] in [-1, 1] to normalised latents [B, C, n + 1, h, w] float32.

        Latents are the mode of the distribution, without sampling.
        """
        latents = self.vae.encode(video.to(self.device, self.dtype)).latent_dist.mode().float()
        return (latents - self.mean) / self.std

    def encode_image(self, image: np.ndarray) -> Tensor:
        """Encode an image uint8 [H, W, 3], sides multiples of 16, to a latent [C, h, w] float32."""
        return self.encode_video(self._still(image, 1))[0, :, 0]

    def encode_still(self, image: np.ndarray) -> Tensor:
        """Encode an image as a video that stands still: its second latent, of frames 1 to 4."""
        return self.encode_video(self._still(image, STILL_FRAMES))[0, :, 1]

    def encoder_key(self) -> str:
        return weights_key(self.vae.encoder)

    def _still(self, image: np.ndarray, frames: int) -> Tensor:
        pixels = torch.from_numpy(np.ascontiguousarray(image)).to(self.device).float() / 127.5 - 1
        return pixels.permute(2, 0, 1)[None, :, None].expand(-1, -1, frames, -1, -1)

    def decode_video(self, latents: Tensor, caches: ConvCaches | None) -> tuple[Tensor, ConvCaches]:
        """Decode latents; the first latent of a video gives one frame, each other one four."""
        latents = (latents.float() * self.std + self.mean).to(self.dtype)
        videos = []
        for segment in latents.split(SEGMENT_LATENTS, dim=2):
            video, caches = _decode(self.vae, segment, caches, self.first_latent)
            videos.append(video)
        assert caches is not None  # split gives at least one segment
        return torch.cat(videos, dim=2), caches


def _decode(vae: Any, latents: Tensor, caches: ConvCaches | None, rule: FirstLatent) -> tuple[Tensor, ConvCaches]:
    """Decode latents [B, C, T, h, w] to (video [B, 3, F, H, W], new caches).

    Inside, channels come last: [B, T, H, W, C].
    """
    cache, decoder, first = ConvCache(caches), vae.decoder, caches is None
    x = pointwise(vae.post_quant_conv, latents.permute(0, 2, 3, 4, 1).contiguous())
    x = _conv(decoder.conv_in, x, cache)
    x = _residual(decoder.mid_block.resnets[0], x, cache)
    for attention, block in zip(decoder.mid_block.attentions, decoder.mid_block.resnets[1:], strict=True):
        x = _residual(block, _attention(attention, x), cache)
    for level in decoder.up_blocks:
        hidden = x
        for block in level.resnets:
            hidden = _residual(block, hidden, cache)
        if level.upsampler is not None:
            hidden = _upsample(level.upsampler, hidden, cache, rule if first else None)
            hidden = hidden + _shortcut(level.avg_shortcut, x, first)
        x = hidden
    x = _conv(decoder.conv_out, x, cache, decoder.norm_out)
    size = vae.config.patch_size
    return rearrange(x, "b t h w (c pw ph) -> b c t (h ph) (w pw)", ph=size, pw=size), cache.collected()


def _conv(layer: Any, x: Tensor, cache: ConvCache, norm: Any = None, residual: Tensor | None = None) -> Tensor:
    """Convolve x causally (3x3x3), normed and activated if there is a norm; zeros around and before the frames."""
    extended = extended_frames(x, None if norm is None else norm.gamma.flatten(), cache.past(), "zero")
    cache.keep(extended[:, -CACHED_FRAMES:])
    return frame_conv(extended, layer.weight, layer.bias, residual)


def _residual(block: Any, x: Tensor, cache: ConvCache) -> Tensor:
    hidden = _conv(block.conv1, x, cache, block.norm1)
    shortcut = pointwise(block.conv_shortcut, x) if isinstance(block.conv_shortcut, nn.Conv3d) else x
    return _conv(block.conv2, hidden, cache, block.norm2, shortcut)


def _attention(block: Any, x: Tensor) -> Tensor:
    query, key, value = pointwise(block.to_qkv, rms_norm(x, block.norm.gamma)).chunk(3, dim=-1)
    return x + pointwise(block.proj, attend_within_frames(query, key, value))


def _upsample(layer: Any, x: Tensor, cache: ConvCache, rule: FirstLatent | None) -> Tensor:
    """Double the size, and the frames where the layer works in time; ``rule`` at the start of a video."""
    if layer.mode == "upsample3d":
        begin = x[:, :1] if rule == "bypass" else x[:, :0]
        doubled = _time_conv(layer.time_conv, x[:, begin.shape[1] :], cache)
        doubled = rearrange(doubled, "b t h w (two c) -> b (t two) h w c", two=2)
        x = torch.cat([begin, doubled[:, 1:] if rule == "double" else doubled], dim=1)
    batch = len(x)
    wide = repeat(x, "b t h w c -> (b t) (h two) (w too) c", two=2, too=2).permute(0, 3, 1, 2)
    convolution = layer.resample[1]
    out = F.conv2d(wide, convolution.weight, convolution.bias, padding=1).permute(0, 2, 3, 1)
    return out.reshape(batch, -1, *out.shape[1:])


def _time_conv(layer: Any, x: Tensor, cache: ConvCache) -> Tensor:
    """Convolve causally in time only, zeros before the first frame."""
    past = cache.past()
    if past is None:
        past = x.new_zeros(len(x), CACHED_FRAMES, *x.shape[2:])
    extended = torch.cat([past, x], dim=1)
    cache.keep(extended[:, -CACHED_FRAMES:])
    if not x.shape[1]:
        return x.new_empty(*x.shape[:-1], len(layer.weight))
    return F.conv3d(extended.permute(0, 4, 1, 2, 3), layer.weight, layer.bias).permute(0, 2, 3, 4, 1)


def _shortcut(layer: Any, x: Tensor, first: bool) -> Tensor:
    """Enlarge frames without weights: lay repeated channels out over time and space; one frame of the first latent."""
    times, sides = layer.factor_t, layer.factor_s
    out = rearrange(
        repeat_channels(x, layer.repeats),
        "b t h w (c ft fh fw) -> b (t ft) (h fh) (w fw) c", ft=times, fh=sides, fw=sides,
    )  # fmt: skip
    return out[:, times - 1 :] if first else out


RENAMED = (
    ("middle.0.", "mid_block.resnets.0."),
    ("middle.1.", "mid_block.attentions.0."),
    ("middle.2.", "mid_block.resnets.1."),
    ("residual.0.", "norm1."),
    ("residual.2.", "conv1."),
    ("residual.3.", "norm2."),
    ("residual.6.", "conv2."),
    ("shortcut.", "conv_shortcut."),
    ("head.0.", "norm_out."),
    ("head.2.", "conv_out."),
)
"""Parts of encoder and decoder names and their names in diffusers."""


def diffusers_name(name: str) -> str:
    """Return the name of a tensor of ``Wan2.2_VAE.pth`` in `diffusers.AutoencoderKLWan`."""
    whole = {"conv1": "quant_conv", "conv2": "post_quant_conv"}
    head, _, rest = name.partition(".")
    if head in whole:
        return f"{whole[head]}.{rest}"
    name = f"{head}.conv_in.{rest.removeprefix('conv1.')}" if rest.startswith("conv1.") else name
    # Inside a level, blocks are numbered on; the last one of a level that changes the size is its resampler.
    parts = name.split(".")
    if parts[1] in ("downsamples", "upsamples"):
        level = "down_blocks" if parts[1] == "downsamples" else "up_blocks"
        inner = ".".join(parts[5:])
        if inner.startswith(("resample.", "time_conv.")):
            return f"{head}.{level}.{parts[2]}.{level.split('_')[0]}sampler.{inner}"
        name = f"{head}.{level}.{parts[2]}.resnets.{parts[4]}.{inner}"
    for old, new in RENAMED:
        name = name.replace(f".{old}", f".{new}")
    return name
