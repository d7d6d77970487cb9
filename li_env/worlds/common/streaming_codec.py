"""Causal video decoders as pure functions: latents and the cached frames in, video frames and new cached frames out.

A causal decoder looks back two frames in each of its convolutions. These frames are the whole state of a video. The
caller passes them in and receives new ones as a `DecodeStream`, which nothing writes to. So two episodes cannot mix,
and a fork keeps a reference. Episodes that are all new or all begun are decoded as one batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor, nn

from li_env.accel.grouping import equal_groups

CACHED_FRAMES = 2
"""Earlier frames that a convolution with three taps in time needs."""

STILL_FRAMES = 5
"""Frames of a still video whose second latent stands for four equal frames."""


@dataclass(frozen=True, eq=False)
class DecodeStream:
    """State of a decoder in one video: per convolution its last two input frames, with a leading axis of 1."""

    caches: tuple[Tensor, ...]


@runtime_checkable
class VideoCodec(Protocol):
    """Autoencoder of a world; anything with these methods can replace the published one.

    A smaller decoder of your own (for faster, rougher frames) is a class whose ``encode_image``, ``encode_still`` and
    ``encoder_key`` call the published codec and whose ``decode_batch`` runs your network; its streams may be any
    immutable object.
    """

    def encode_image(self, image: np.ndarray) -> Tensor:
        """Encode an image uint8 [H, W, 3] to a latent [C, h, w] as the transformer sees it."""
        ...

    def encode_still(self, image: np.ndarray) -> Tensor:
        """Encode an image uint8 [H, W, 3] as four equal frames inside a video, to one latent [C, h, w]."""
        ...

    def encoder_key(self) -> str:
        """Return a text that is equal only for encoders that make the same latents; empty if nobody knows."""
        ...

    def decode_batch(
        self, latents: Sequence[Tensor], streams: Sequence[DecodeStream | None]
    ) -> tuple[list[np.ndarray], list[DecodeStream]]:
        """Decode latents [T, C, h, w] per episode to (uint8 frames [F, H, W, 3], streams for the next call)."""
        ...


class ConvCache:
    """Earlier frames of each convolution, read in the order of calls, and the new frames for the next call."""

    def __init__(self, caches: tuple[Tensor, ...] | None) -> None:
        self._old = caches
        self._new: list[Tensor] = []

    def past(self) -> Tensor | None:
        """Return the two frames before the next convolution's input; ``None`` at the start of a video."""
        return None if self._old is None else self._old[len(self._new)]

    def keep(self, frames: Tensor) -> None:
        """Store the last two input frames of this convolution; a copy, so that nothing else stays alive."""
        self._new.append(frames.clone(memory_format=torch.contiguous_format))

    def collected(self) -> tuple[Tensor, ...]:
        """Return the caches for the next call."""
        return tuple(self._new)


class StreamingDecoder(ABC):
    """Streaming decode for one or many episodes on top of `decode_video`.

    Args:
        device: where the weights are.
        dtype: in what the decoder computes.
    """

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self.device = device
        self.dtype = dtype

    @abstractmethod
    def decode_video(self, latents: Tensor, caches: tuple[Tensor, ...] | None) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Decode latents [B, C, T, h, w] and caches (None for a new video) to (video [B, 3, F, H, W], new caches).

        Latents are as the transformer sees them, the video is meant to lie in [-1, 1] and need not be clamped.
        """

    def decode(self, latents: Tensor, stream: DecodeStream | None) -> tuple[np.ndarray, DecodeStream]:
        """Decode latents [T, C, h, w] that follow ``stream`` to (uint8 frames [F, H, W, 3], stream for the next call).

        The first latent of a video gives one frame, each other one four.
        """
        frames, streams = self.decode_batch([latents], [stream])
        return frames[0], streams[0]

    @torch.no_grad()
    def decode_batch(
        self, latents: Sequence[Tensor], streams: Sequence[DecodeStream | None]
    ) -> tuple[list[np.ndarray], list[DecodeStream]]:
        """Decode several episodes at once; equal shapes that are all new or all begun run together.

        Raises:
            ValueError: no latents, or latents that are not [T, C, h, w].
        """
        keys = []
        for chunk, stream in zip(latents, streams, strict=True):
            if chunk.ndim != 4 or not len(chunk):
                raise ValueError(f"latents: shape {tuple(chunk.shape)}; allowed: [T, C, h, w] with T >= 1")
            keys.append((*chunk.shape, stream is None))
        frames: dict[int, np.ndarray] = {}
        after: dict[int, DecodeStream] = {}
        for members in equal_groups(keys):
            batch = torch.stack([latents[index] for index in members]).to(self.device, self.dtype)
            known = [stream.caches for index in members if (stream := streams[index]) is not None]
            joined = tuple(parts[0] if len(parts) == 1 else torch.cat(parts) for parts in zip(*known, strict=True))
            video, caches = self.decode_video(batch.transpose(1, 2), joined if known else None)
            pixels = to_pixels(video).cpu().numpy()
            for row, index in enumerate(members):
                frames[index] = pixels[row]
                after[index] = DecodeStream(_row(caches, row, len(members)))
        order = range(len(latents))
        return [frames[index] for index in order], [after[index] for index in order]


def _row(caches: tuple[Tensor, ...], row: int, rows: int) -> tuple[Tensor, ...]:
    """Return one episode's part of a batch; a copy where there are others, so that it does not keep them alive."""
    return caches if rows == 1 else tuple(cache[row : row + 1].clone() for cache in caches)


def to_pixels(video: Tensor) -> Tensor:
    """Convert a video [..., 3, F, H, W] in [-1, 1] to uint8 [..., F, H, W, 3], clamped and rounded."""
    levels = (video.float().clamp(-1, 1) + 1).mul(127.5).round().to(torch.uint8)
    return levels.movedim(-4, -1).contiguous()


def channels_last(model: nn.Module) -> nn.Module:
    """Return the model itself, its convolution weights laid out with channels last (what GPUs convolve fastest)."""
    for layer in model.modules():
        if isinstance(layer, nn.Conv3d):
            layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last_3d)
        elif isinstance(layer, nn.Conv2d):
            layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last)
    return model


def rms_norm(x: Tensor, gamma: Tensor) -> Tensor:
    """Scale x [..., C] to length sqrt(C) and multiply by ``gamma``, any shape of C values; computed in float32."""
    wide = x.float()
    length = wide.square().sum(-1, keepdim=True).sqrt().clamp_min(1e-12)
    return (wide * (x.shape[-1] ** 0.5 / length) * gamma.flatten().float()).to(x.dtype)


def pointwise(layer: Any, x: Tensor) -> Tensor:
    """Apply a convolution with one tap as a product over the channels of x [..., C]."""
    return F.linear(x, layer.weight.flatten(1), layer.bias)


def attend_within_frames(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attend among the pixels of each frame, one head of all channels; all [B, T, H, W, C]."""
    tokens = [rearrange(x, "b t h w c -> (b t) 1 (h w) c") for x in (query, key, value)]
    return F.scaled_dot_product_attention(tokens[0], tokens[1], tokens[2]).reshape(query.shape)


def repeat_channels(x: Tensor, times: int) -> Tensor:
    """Repeat every channel of x [B, T, H, W, C] ``times`` times, side by side."""
    return repeat(x, "b t h w c -> b t h w (c n)", n=times)
