"""Time of decoding a chunk with the three decoders of Matrix-Game-3.0's autoencoder.

    PYTHONPATH=. python benchmarks/matrix_game_3_vae_h200.py --device cuda --out benchmarks/matrix_game_3_vae_h200.json

Random weights of the published sizes; nothing but torch and triton is needed. About two minutes on an H200. ``--tiny``
runs a toy in seconds on a CPU.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from types import SimpleNamespace
from typing import Any

import torch
from decoders import Shape, largest_kernels, measure_decode, measure_layer, run
from torch import nn

from li_env.worlds.matrix_game_3.vae import LATENT_MEAN, LATENT_STD, SEGMENT_LATENTS, StreamingVAE

FIRST_LATENTS, CLIP_LATENTS = 15, 10
MULTIPLIERS = (4, 4, 4, 2, 1)
"""Widths of the levels, from the coarsest, over the base width; level n goes from number n to n + 1."""


@dataclass(frozen=True)
class Sizes:
    """Sizes of a decoder: base width, blocks per level, rows and columns of a latent."""

    width: int = 256
    blocks: int = 3
    grid: tuple[int, int] = (44, 80)


DECODERS = {"full": 256, "light": 128, "lighter": 64}


class Norm(nn.Module):
    """Scale of a root mean square norm."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels, 1, 1, 1))


class Residual(nn.Module):
    """Weights of a residual block."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = Norm(channels), nn.Conv3d(channels, outputs, 3)
        self.norm2, self.conv2 = Norm(outputs), nn.Conv3d(outputs, outputs, 3)
        self.conv_shortcut = nn.Identity() if channels == outputs else nn.Conv3d(channels, outputs, 1)


class Attention(nn.Module):
    """Weights of the attention in the middle."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = Norm(channels)
        self.norm.gamma = nn.Parameter(torch.ones(channels, 1, 1))
        self.to_qkv, self.proj = nn.Conv2d(channels, 3 * channels, 1), nn.Conv2d(channels, channels, 1)


class Resample(nn.Module):
    """Weights of an upsampler."""

    def __init__(self, channels: int, in_time: bool) -> None:
        super().__init__()
        self.mode = "upsample3d" if in_time else "upsample2d"
        self.resample = nn.Sequential(nn.Identity(), nn.Conv2d(channels, channels, 3))
        if in_time:
            self.time_conv = nn.Conv3d(channels, 2 * channels, (3, 1, 1))


class Level(nn.Module):
    """Residual blocks, and an upsampler on all levels but the last."""

    def __init__(self, sizes: Sizes, number: int) -> None:
        super().__init__()
        channels, outputs = (sizes.width * MULTIPLIERS[index] for index in (number, number + 1))
        self.resnets = nn.ModuleList(
            Residual(channels if block == 0 else outputs, outputs) for block in range(sizes.blocks)
        )
        in_time, last = number < 2, number + 2 == len(MULTIPLIERS)
        self.upsampler = None if last else Resample(outputs, in_time)
        times = 2 if in_time else 1
        self.avg_shortcut = SimpleNamespace(factor_t=times, factor_s=2, repeats=outputs * times * 4 // channels)


class Decoder(nn.Module):
    """Weights of the decoder under the names that diffusers gives them."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        first = sizes.width * MULTIPLIERS[0]
        self.conv_in, self.mid_block = nn.Conv3d(len(LATENT_MEAN), first, 3), nn.Module()
        self.mid_block.attentions = nn.ModuleList([Attention(first)])
        self.mid_block.resnets = nn.ModuleList([Residual(first, first), Residual(first, first)])
        self.up_blocks = nn.ModuleList(Level(sizes, number) for number in range(len(MULTIPLIERS) - 1))
        self.norm_out, self.conv_out = Norm(sizes.width), nn.Conv3d(sizes.width, 12, 3)


class Autoencoder(nn.Module):
    """What `StreamingVAE` needs of an autoencoder to decode."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.decoder = Decoder(sizes)
        self.post_quant_conv = nn.Conv3d(len(LATENT_MEAN), len(LATENT_MEAN), 1)
        self.config = SimpleNamespace(latents_mean=LATENT_MEAN, latents_std=LATENT_STD, patch_size=2)

    @property
    def device(self) -> torch.device:
        return self.decoder.norm_out.gamma.device

    @property
    def dtype(self) -> torch.dtype:
        return self.decoder.norm_out.gamma.dtype


def shapes(sizes: Sizes) -> list[Shape]:
    """List the convolutions of one segment of a later chunk."""
    rows, columns = sizes.grid
    frames, first = SEGMENT_LATENTS, sizes.width * MULTIPLIERS[0]
    out = [Shape(frames, rows, columns, first, first, 4)]
    for number in range(len(MULTIPLIERS) - 1):
        channels, outputs = (sizes.width * MULTIPLIERS[index] for index in (number, number + 1))
        same = 2 * sizes.blocks - (channels != outputs)
        out.append(Shape(frames, rows, columns, outputs, outputs, same))
        if channels != outputs:
            out.append(Shape(frames, rows, columns, channels, outputs, 1))
        if number + 2 < len(MULTIPLIERS):
            frames, rows, columns = frames * (2 if number < 2 else 1), 2 * rows, 2 * columns
    return [*out, Shape(frames, rows, columns, sizes.width, 12, 1)]


def measure(device: torch.device, tiny: bool, repeats: int) -> dict[str, Any]:
    """Measure layers, whole chunks and kernels of every decoder."""
    whole = Sizes(width=8, blocks=2, grid=(2, 3)) if tiny else Sizes()
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    result: dict[str, Any] = {"dtype": str(dtype), "sizes": asdict(whole), "decoders": {}}
    latents = torch.randn(CLIP_LATENTS, len(LATENT_MEAN), *whole.grid, device=device)
    for name, width in DECODERS.items():
        sizes = replace(whole, width=whole.width * width // DECODERS["full"])
        torch.manual_seed(0)
        with torch.device(device):
            codec = StreamingVAE(Autoencoder(sizes).to(dtype), "bypass" if name == "full" else "double")
        entry: dict[str, Any] = {"layers": [measure_layer(shape, device, dtype, repeats) for shape in shapes(sizes)]}
        entry["decode"] = measure_decode(codec, [latents], FIRST_LATENTS, repeats)
        if device.type == "cuda":
            entry["kernels_ms"] = largest_kernels(codec, latents)
            print(json.dumps(entry["kernels_ms"], indent=1), flush=True)
        result["decoders"][name] = entry
    return result


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Measure and write."""
    return run(__doc__, argv, measure)


if __name__ == "__main__":
    main()
