"""A small replacement for a published video decoder: rougher frames in a few milliseconds.

It reads checkpoints of the TAEHV kind (``taehv1_5.pth`` for HunyuanVideo-1.5's latents, ``taew2_2.pth`` for Wan2.2's):
three stages of two-dimensional convolutions, in which every block also sees its input of the frame before. All sizes
are read off the tensors. Such decoders take latents as the transformer sees them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import isqrt
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from li_env.worlds.common.checkpoints import TensorFile
from li_env.worlds.common.streaming_codec import StreamingDecoder, VideoCodec

ConvCaches = tuple[Tensor, ...]


@dataclass(frozen=True, eq=False)
class Layer:
    """One numbered layer of a checkpoint: ``kind`` is ``block``, ``grow`` (in time) or ``conv``."""

    kind: str
    tensors: dict[str, Tensor]

    def conv(self, x: Tensor, name: str = "") -> Tensor:
        """Apply the convolution called ``name`` to x [N, C, H, W], zeros around it."""
        weight = self.tensors[f"{name}weight"]
        return F.conv2d(x, weight, self.tensors.get(f"{name}bias"), padding=weight.shape[-1] // 2)


class TinyDecoder(StreamingDecoder):
    """Decodes with a small network and encodes images with the published autoencoder.

    Args:
        path: the checkpoint; what it has besides ``decoder.<number>.*`` is left out.
        full: the codec that encodes images.
        device: where to run.
        dtype: in what to compute.
        latent_channels: what the checkpoint has to take.

    Raises:
        ValueError: the file is missing or is no such decoder.
    """

    def __init__(
        self, path: Path, full: VideoCodec, device: torch.device, dtype: torch.dtype, latent_channels: int
    ) -> None:
        super().__init__(device, dtype)
        self.full = full
        if not path.is_file():
            raise ValueError(f"tiny_decoder={str(path)!r} does not exist; allowed: a checkpoint of the TAEHV kind")
        self.layers = list(_read_layers(path, device, dtype))
        kinds = [layer.kind for layer in self.layers]
        grows = [layer for layer in self.layers if layer.kind == "grow"]
        if not grows or kinds[0] != "conv" or kinds[-1] != "conv":
            raise ValueError(f"{path} is no decoder of the TAEHV kind: its layers are {', '.join(kinds) or 'missing'}")
        found = self.layers[0].tensors["weight"].shape[1]
        if found != latent_channels:
            raise ValueError(f"{path} takes {found} latent channels; allowed: {latent_channels}")
        self.frames = 1
        for layer in grows:
            self.frames *= _growth(layer)
        self.patch = isqrt(len(self.layers[-1].tensors["weight"]) // 3)

    def encode_image(self, image: np.ndarray) -> Tensor:
        return self.full.encode_image(image)

    def encode_still(self, image: np.ndarray) -> Tensor:
        return self.full.encode_still(image)

    def encoder_key(self) -> str:
        return self.full.encoder_key()

    def decode_video(self, latents: Tensor, caches: ConvCaches | None) -> tuple[Tensor, ConvCaches]:
        """Decode a batch of videos; of the first latent only the last frame is kept."""
        batch = len(latents)
        old = iter(caches) if caches is not None else None
        new: list[Tensor] = []
        x = latents.transpose(1, 2).flatten(0, 1)
        x = F.relu(self.layers[0].conv(3 * torch.tanh(x / 3)))
        for layer in self.layers[1:-1]:
            if layer.kind == "block":
                frames = x.unflatten(0, (batch, -1))
                before = torch.zeros_like(frames[:, :1]) if old is None else next(old)
                new.append(frames[:, -1:].clone())
                x = _block(layer, x, torch.cat([before, frames[:, :-1]], dim=1).flatten(0, 1))
            elif layer.kind == "grow":
                x = layer.conv(F.interpolate(x, scale_factor=2, mode="nearest"), "conv.")
                x = x.unflatten(1, (_growth(layer), -1)).flatten(0, 1)
            else:
                x = layer.conv(x)
        x = F.pixel_shuffle(self.layers[-1].conv(F.relu(x)), self.patch)
        video = x.unflatten(0, (batch, -1)).transpose(1, 2) * 2 - 1
        return (video if caches is not None else video[:, :, self.frames - 1 :]), tuple(new)


def _block(layer: Layer, x: Tensor, past: Tensor) -> Tensor:
    hidden = F.relu(layer.conv(torch.cat([x, past], dim=1), "conv.0."))
    hidden = layer.conv(F.relu(layer.conv(hidden, "conv.2.")), "conv.4.")
    return F.relu(hidden + (layer.conv(x, "skip.") if "skip.weight" in layer.tensors else x))


def _growth(layer: Layer) -> int:
    """Return how many frames the layer makes of one."""
    outputs, inputs = layer.tensors["conv.weight"].shape[:2]
    return outputs // inputs


def _read_layers(path: Path, device: torch.device, dtype: torch.dtype) -> Iterator[Layer]:
    file = TensorFile(path, lambda name: name if re.match(r"decoder\.\d+\.", name) else None)
    for number in sorted({int(name.split(".")[1]) for name in file.shapes}):
        prefix = f"decoder.{number}."
        tensors = {
            name.removeprefix(prefix): file[name].to(device, dtype) for name in file.shapes if name.startswith(prefix)
        }
        if "conv.4.weight" in tensors:
            kind = "block"
        elif "conv.weight" in tensors:
            kind = "grow"
        elif "weight" in tensors:
            kind = "conv"
        else:
            raise ValueError(f"{path} is no decoder of the TAEHV kind: decoder.{number} has {', '.join(tensors)}")
        yield Layer(kind, tensors)
