"""Decoding a chunk with HY-WorldPlay's autoencoder: how long it takes, and the fastest convolution for each layer.

    PYTHONPATH=. python benchmarks/hy_worldplay_vae_h200.py --device cuda --out benchmarks/hy_worldplay_vae_h200.json

Random weights of the published sizes; nothing but torch and triton is needed. About two minutes on an H200. ``--tiny``
runs a toy in seconds on a CPU.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

from li_env.kernels.extended_frames import extended_frames
from li_env.kernels.frame_conv import fits_triton, naive_frame_conv
from li_env.worlds.hy_worldplay.vae import StreamingVAE

CHUNK_LATENTS = 4
BAR_MS = 350.0


@dataclass(frozen=True)
class Sizes:
    """Of a decoder: latent channels, channels per level from the coarsest, blocks per level, rows and columns."""

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


def milliseconds(call: Callable[[], Any], device: torch.device, repeats: int) -> float:
    """Median time of a call after two to warm up."""
    times = []
    for _ in range(repeats + 2):
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        began = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times[2:])


@contextmanager
def library_convolution() -> Iterator[None]:
    """Every convolution through torch."""
    with patch("li_env.kernels.frame_conv.fits_triton", lambda *_: False):
        yield


def measure_layers(sizes: Sizes, device: torch.device, dtype: torch.dtype, repeats: int) -> list[dict[str, Any]]:
    """Each kind of convolution of a steady chunk: torch against the kernel with several block shapes."""
    rows, columns = sizes.grid
    frames, rows_out = CHUNK_LATENTS, []
    shapes: list[tuple[int, int, int, int, int, int]] = []
    for number, channels in enumerate(sizes.channels):
        blocks = 2 * sizes.blocks + (4 if number == 0 else 0)
        shapes.append((frames, rows, columns, channels, channels, blocks))
        if number + 1 < len(sizes.channels):
            in_time = number < 2
            shapes.append((frames, rows, columns, channels, (8 if in_time else 4) * sizes.channels[number + 1], 1))
            frames, rows, columns = frames * (2 if in_time else 1), 2 * rows, 2 * columns
    for frames, rows, columns, channels, outputs, times in shapes:
        x = torch.randn(1, frames, rows, columns, channels, device=device, dtype=dtype)
        gamma = torch.ones(channels, device=device, dtype=dtype)
        weight = torch.randn(outputs, channels, 3, 3, 3, device=device, dtype=dtype) / (27 * channels) ** 0.5
        weight, bias = weight.contiguous(memory_format=torch.channels_last_3d), torch.zeros(outputs).to(x)
        extended = extended_frames(x, gamma, None)
        tera = 2e-12 * 27 * frames * rows * columns * channels * outputs
        row: dict[str, Any] = {
            "frames": frames, "rows": rows, "columns": columns, "channels": channels, "outputs": outputs,
            "times_per_chunk": times, "tflop": round(tera, 3),
            "extend_ms": milliseconds(lambda x=x, gamma=gamma: extended_frames(x, gamma, None), device, repeats),
            "torch_ms": milliseconds(
                lambda e=extended, w=weight, b=bias: naive_frame_conv(e, w, b, None), device, repeats
            ),
        }  # fmt: skip
        if fits_triton(extended, weight):
            row |= measure_kernel(extended, weight, bias, device, repeats)
            best = min(value for key, value in row.items() if key.startswith("kernel"))
            row["kernel_tflops"] = round(1000 * tera / best, 1)
        row["torch_tflops"] = round(1000 * tera / row["torch_ms"], 1)
        rows_out.append(row)
        print(json.dumps(row), flush=True)
    return rows_out


def measure_kernel(
    extended: Tensor, weight: Tensor, bias: Tensor, device: torch.device, repeats: int
) -> dict[str, float]:
    """Milliseconds of the kernel by block shape, and how far it is from torch."""
    from li_env.kernels.frame_conv.triton import NARROW, WIDE, triton_frame_conv

    square = replace(NARROW, pixels=128, stages=5)
    configs = {
        "wide": WIDE,
        "narrow": NARROW,
        "square": square,
        "deep": replace(NARROW, stages=3, depth=128, pixels=128),
    }
    expected = naive_frame_conv(extended, weight, bias, None).float()
    out: dict[str, float] = {}
    for name, config in configs.items():
        if len(weight) % config.channels or extended.shape[-1] % config.depth:
            continue
        found = triton_frame_conv(extended, weight, bias, None, config).float()
        out[f"error_{name}"] = float((found - expected).norm() / expected.norm())
        call = lambda config=config: triton_frame_conv(extended, weight, bias, None, config)  # noqa: E731
        out[f"kernel_{name}_ms"] = milliseconds(call, device, repeats)
    return out


def measure_decode(
    sizes: Sizes, device: torch.device, dtype: torch.dtype, repeats: int, episodes: int
) -> dict[str, Any]:
    """First chunk, steady chunk and memory of whole decodes; per call, for all episodes together."""
    torch.manual_seed(0)
    with torch.device(device):
        vae = StreamingVAE(Autoencoder(sizes).to(dtype))
    latents = [torch.randn(CHUNK_LATENTS, sizes.latent, *sizes.grid, device=device) for _ in range(episodes)]
    out: dict[str, Any] = {"episodes": episodes}
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    began = time.perf_counter()
    _, streams = vae.decode_batch(latents, [None] * episodes)
    vae.decode_batch(latents, streams)
    out["first_use_ms"] = 1000 * (time.perf_counter() - began)
    out["first_chunk_ms"] = milliseconds(lambda: vae.decode_batch(latents, [None] * episodes), device, repeats)
    out["chunk_ms"] = milliseconds(lambda: vae.decode_batch(latents, streams), device, repeats)
    out["stream_gib"] = sum(memory.nbytes for memory in streams[0].memories) / 2**30
    if device.type == "cuda":
        out["peak_gib"] = torch.cuda.max_memory_allocated(device) / 2**30
    frames, _ = vae.decode_batch(latents, streams)
    with library_convolution():
        plain, _ = vae.decode_batch(latents, streams)
        out["chunk_ms_torch_convolutions"] = milliseconds(lambda: vae.decode_batch(latents, streams), device, repeats)
    out["largest_difference_of_255"] = int(abs(frames[0].astype(int) - plain[0]).max())
    print(json.dumps(out), flush=True)
    return out


def measure_kernels(sizes: Sizes, device: torch.device, dtype: torch.dtype) -> dict[str, float]:
    """Milliseconds by kernel on the device, of one steady chunk; the largest twelve."""
    from torch.profiler import ProfilerActivity, profile

    with torch.device(device):
        vae = StreamingVAE(Autoencoder(sizes).to(dtype))
    latents = torch.randn(CHUNK_LATENTS, sizes.latent, *sizes.grid, device=device)
    _, stream = vae.decode(latents, None)
    vae.decode(latents, stream)
    with profile(activities=[ProfilerActivity.CUDA]) as record:
        vae.decode(latents, stream)
    times = {event.key[:90]: event.device_time_total / 1000 for event in record.key_averages()}
    return dict(sorted(times.items(), key=lambda item: -item[1])[:12])


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--tiny", action="store_true", help="a toy decoder, for a CPU")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args(argv)
    device, sizes = torch.device(arguments.device), TINY if arguments.tiny else Sizes()
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    with torch.inference_mode():
        result: dict[str, Any] = {
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor(),
            "torch": torch.__version__,
            "dtype": str(dtype),
            "sizes": asdict(sizes),
            "bar_ms": BAR_MS,
            "layers": measure_layers(sizes, device, dtype, arguments.repeats),
            "decode": [measure_decode(sizes, device, dtype, arguments.repeats, count) for count in (1, 2)],
        }
        if device.type == "cuda":
            result["kernels_ms"] = measure_kernels(sizes, device, dtype)
            print(json.dumps(result["kernels_ms"], indent=1), flush=True)
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return result


if __name__ == "__main__":
    main()
