"""Decoding a chunk with HY-WorldPlay's autoencoder: how long it takes, and the fastest convolution for each layer.

    PYTHONPATH=. python benchmarks/hy_worldplay_vae_h200.py --device cuda --out benchmarks/hy_worldplay_vae_h200.json

Random weights of the published sizes; nothing but torch and triton is needed. About two minutes on an H200. ``--tiny``
runs a toy in seconds on a CPU.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from types import SimpleNamespace
from typing import Any

import torch
from decoders import Shape, largest_kernels, measure_decode, measure_layer, run
from torch import nn

from li_env.worlds.hy_worldplay.vae import StreamingVAE

CHUNK_LATENTS = 4
BAR_MS = 350.0


@dataclass(frozen=True)
class Sizes:
    """Sizes of a decoder: latent channels, channels per level from the coarsest, blocks per level, rows, columns."""

    latent: int = 32
    channels: tuple[int, ...] = (1024, 1024, 512, 256, 128)
    blocks: int = 3
    grid: tuple[int, int] = (30, 52)


TINY = Sizes(latent=4, channels=(16, 16, 8, 8, 4), blocks=2, grid=(2, 3))


class Norm(nn.Module):
    """Scale of a root mean square norm."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels, 1, 1, 1))


class Causal(nn.Module):
    """Weights of a causal convolution."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(channels, outputs, 3)


class Residual(nn.Module):
    """Weights of a residual block."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = Norm(channels), Causal(channels, channels)
        self.norm2, self.conv2 = Norm(channels), Causal(channels, channels)
        self.conv_shortcut = None


class Attention(nn.Module):
    """Weights of the attention in the middle."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = Norm(channels)
        self.to_q, self.to_k, self.to_v, self.proj_out = (nn.Conv3d(channels, channels, 1) for _ in range(4))


class Upsampler(nn.Module):
    """Weights of an upsampler."""

    def __init__(self, channels: int, outputs: int, in_time: bool) -> None:
        super().__init__()
        factor = 8 if in_time else 4
        self.conv = Causal(channels, factor * outputs)
        self.add_temporal_upsample, self.repeats = in_time, factor * outputs // channels


class Middle(nn.Module):
    """Residual block, attention, residual block."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attentions = nn.ModuleList([Attention(channels)])
        self.resnets = nn.ModuleList([Residual(channels), Residual(channels)])


class Level(nn.Module):
    """Residual blocks, and an upsampler on all levels but the last."""

    def __init__(self, sizes: Sizes, number: int) -> None:
        super().__init__()
        channels = sizes.channels[number]
        self.resnets = nn.ModuleList(Residual(channels) for _ in range(sizes.blocks))
        last = number + 1 == len(sizes.channels)
        upsampler = () if last else (Upsampler(channels, sizes.channels[number + 1], in_time=number < 2),)
        self.upsamplers = nn.ModuleList(upsampler)


class Decoder(nn.Module):
    """Weights of the decoder under the names that diffusers gives them."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        first, last = sizes.channels[0], sizes.channels[-1]
        self.repeat = first // sizes.latent
        self.conv_in, self.mid_block = Causal(sizes.latent, first), Middle(first)
        self.up_blocks = nn.ModuleList(Level(sizes, number) for number in range(len(sizes.channels)))
        self.norm_out, self.conv_out = Norm(last), Causal(last, 3)


class Autoencoder(nn.Module):
    """What `StreamingVAE` needs of an autoencoder to decode."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.decoder = Decoder(sizes)
        self.config = SimpleNamespace(scaling_factor=1.03682)

    @property
    def device(self) -> torch.device:
        return self.decoder.norm_out.gamma.device

    @property
    def dtype(self) -> torch.dtype:
        return self.decoder.norm_out.gamma.dtype


def shapes(sizes: Sizes) -> list[Shape]:
    """List the convolutions of a later chunk."""
    rows, columns = sizes.grid
    frames, last = CHUNK_LATENTS, len(sizes.channels) - 1
    out = [Shape(frames, rows, columns, sizes.latent, sizes.channels[0], 1)]
    for number, channels in enumerate(sizes.channels):
        blocks = 2 * sizes.blocks + (4 if number == 0 else 0)
        out.append(Shape(frames, rows, columns, channels, channels, blocks))
        if number < last:
            in_time = 2 if number < 2 else 1
            out.append(Shape(frames, rows, columns, channels, 4 * in_time * sizes.channels[number + 1], 1))
            frames, rows, columns = frames * in_time, 2 * rows, 2 * columns
    return [*out, Shape(frames, rows, columns, sizes.channels[-1], 3, 1)]


def measure(device: torch.device, tiny: bool, repeats: int) -> dict[str, Any]:
    """Layers, whole decodes for one and two episodes, kernels."""
    sizes, dtype = (TINY if tiny else Sizes()), torch.float16 if device.type == "cuda" else torch.float32
    layers = [measure_layer(shape, device, dtype, repeats) for shape in shapes(sizes)]
    torch.manual_seed(0)
    with torch.device(device):
        codec = StreamingVAE(Autoencoder(sizes).to(dtype))
    latents = [torch.randn(CHUNK_LATENTS, sizes.latent, *sizes.grid, device=device) for _ in range(2)]
    result: dict[str, Any] = {
        "dtype": str(dtype),
        "sizes": asdict(sizes),
        "bar_ms": BAR_MS,
        "layers": layers,
        "decode": [measure_decode(codec, latents[:count], CHUNK_LATENTS, repeats) for count in (1, 2)],
    }
    if device.type == "cuda":
        result["kernels_ms"] = largest_kernels(codec, latents[0])
        print(json.dumps(result["kernels_ms"], indent=1), flush=True)
    return result


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Measure and write."""
    return run(__doc__, argv, measure)


if __name__ == "__main__":
    main()
