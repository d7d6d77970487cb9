"""Causal video decoders as pure functions: latents and what earlier calls left behind in, frames and the new rest out.

A causal decoder looks back two frames in each of its convolutions. Those frames are the whole state of a video: they
are handed in and handed out as a `DecodeStream` and never written to. So two episodes cannot mix, a fork keeps a
reference, and episodes that are equally far are decoded as one batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor, nn

MEMORY_FRAMES = 2
"""Frames that a convolution with three taps in time needs from before."""


@dataclass(frozen=True, eq=False)
class DecodeStream:
    """What a decoder remembers of one video: per convolution its last two input frames, with a leading axis of 1."""

    memories: tuple[Tensor, ...]


@runtime_checkable
class VideoCodec(Protocol):
    """What a world needs of an autoencoder; anything with these methods can take the place of the published one.

    A smaller decoder of your own (for faster, rougher frames) is a class whose ``encode_image`` calls the published
    encoder and whose ``decode_batch`` runs your network; its streams may be any immutable object.
    """

    def encode_image(self, image: np.ndarray) -> Tensor:
        """uint8 [H, W, 3] -> latent [C, h, w] as the transformer sees it."""
        ...

    def decode_batch(
        self, latents: Sequence[Tensor], streams: Sequence[DecodeStream | None]
    ) -> tuple[list[np.ndarray], list[DecodeStream]]:
        """Per episode latents [T, C, h, w] and its stream -> (uint8 frames [F, H, W, 3], stream for the next call)."""
        ...


class ConvCache:
    """Hands each convolution its earlier frames, in the order of calls, and collects the new ones."""

    def __init__(self, memories: tuple[Tensor, ...] | None) -> None:
        self._old = memories
        self._new: list[Tensor] = []

    def past(self) -> Tensor | None:
        """The two frames that came before the next convolution's input; ``None`` at the start of a video."""
        return None if self._old is None else self._old[len(self._new)]

    def keep(self, frames: Tensor) -> None:
        """Remember the last two input frames of this convolution; a copy, so that nothing else stays alive."""
        self._new.append(frames.clone(memory_format=torch.contiguous_format))

    def collected(self) -> tuple[Tensor, ...]:
        """The memories for the next call."""
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
    def decode_video(self, latents: Tensor, memories: tuple[Tensor, ...] | None) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Latents [B, C, T, h, w] and memories (``None``: a new video) -> (video [B, 3, F, H, W], new memories).

        Latents are as the transformer sees them, the video is meant to lie in [-1, 1] and need not be clamped.
        """

    def decode(self, latents: Tensor, stream: DecodeStream | None) -> tuple[np.ndarray, DecodeStream]:
        """Latents [T, C, h, w] that follow ``stream`` -> (uint8 frames [F, H, W, 3], the stream for the next call).

        The first latent of a video gives one frame, each other one four.
        """
        frames, streams = self.decode_batch([latents], [stream])
        return frames[0], streams[0]

    @torch.no_grad()
    def decode_batch(
        self, latents: Sequence[Tensor], streams: Sequence[DecodeStream | None]
    ) -> tuple[list[np.ndarray], list[DecodeStream]]:
        """`decode` for several episodes at once; those with equal shapes that are all new or all begun run together.

        Raises:
            ValueError: no latents, or latents that are not [T, C, h, w].
        """
        groups: dict[tuple[object, ...], list[int]] = defaultdict(list)
        for index, (chunk, stream) in enumerate(zip(latents, streams, strict=True)):
            if chunk.ndim != 4 or not len(chunk):
                raise ValueError(f"latents: shape {tuple(chunk.shape)}; allowed: [T, C, h, w] with T >= 1")
            groups[(*chunk.shape, stream is None)].append(index)
        frames: dict[int, np.ndarray] = {}
        after: dict[int, DecodeStream] = {}
        for members in groups.values():
            batch = torch.stack([latents[index] for index in members]).to(self.device, self.dtype)
            known = [stream.memories for index in members if (stream := streams[index]) is not None]
            joined = tuple(parts[0] if len(parts) == 1 else torch.cat(parts) for parts in zip(*known, strict=True))
            video, memories = self.decode_video(batch.transpose(1, 2), joined if known else None)
            pixels = to_pixels(video).cpu().numpy()
            for row, index in enumerate(members):
                frames[index] = pixels[row]
                after[index] = DecodeStream(_row(memories, row, len(members)))
        order = range(len(latents))
        return [frames[index] for index in order], [after[index] for index in order]


def _row(memories: tuple[Tensor, ...], row: int, rows: int) -> tuple[Tensor, ...]:
    """One episode's part of a batch; a copy where there are others, so that it does not keep them alive."""
    return memories if rows == 1 else tuple(memory[row : row + 1].clone() for memory in memories)


def to_pixels(video: Tensor) -> Tensor:
    """[..., 3, F, H, W] in [-1, 1] -> uint8 [..., F, H, W, 3], clamped and rounded."""
    levels = (video.float().clamp(-1, 1) + 1).mul(127.5).round().to(torch.uint8)
    return levels.movedim(-4, -1).contiguous()


def channels_last(model: nn.Module) -> nn.Module:
    """The model itself, weights of its convolutions laid out with channels last (what GPUs convolve fastest)."""
    for layer in model.modules():
        if isinstance(layer, nn.Conv3d):
            layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last_3d)
        elif isinstance(layer, nn.Conv2d):
            layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last)
    return model


def rms_norm(x: Tensor, gamma: Tensor) -> Tensor:
    """Bring x [..., C] to length sqrt(C) and scale it with ``gamma``, any shape of C values; computed in float32."""
    wide = x.float()
    length = wide.square().sum(-1, keepdim=True).sqrt().clamp_min(1e-12)
    return (wide * (x.shape[-1] ** 0.5 / length) * gamma.flatten().float()).to(x.dtype)


def pointwise(layer: Any, x: Tensor) -> Tensor:
    """A convolution with one tap, as a product over the channels of x [..., C]."""
    return F.linear(x, layer.weight.flatten(1), layer.bias)


def attend_within_frames(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention among the places of each frame by itself, one head of all channels; all [B, T, H, W, C]."""
    tokens = [rearrange(x, "b t h w c -> (b t) 1 (h w) c") for x in (query, key, value)]
    return F.scaled_dot_product_attention(tokens[0], tokens[1], tokens[2]).reshape(query.shape)


def repeat_channels(x: Tensor, times: int) -> Tensor:
    """Every channel of x [B, T, H, W, C] ``times`` times, side by side."""
    return repeat(x, "b t h w c -> b t h w (c n)", n=times)
