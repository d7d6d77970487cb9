"""Times of streaming video decoders and of their convolutions, for the benchmarks in this folder."""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from on_device import milliseconds
from provenance import provenance
from torch import Tensor

from li_env.kernels.extended_frames import extended_frames
from li_env.kernels.frame_conv import fits_triton, naive_frame_conv
from li_env.worlds.common.streaming_codec import StreamingDecoder


@dataclass(frozen=True)
class Shape:
    """One kind of 3x3x3 convolution of a call: its frames, its channels, and how many there are."""

    frames: int
    rows: int
    columns: int
    channels: int
    outputs: int
    times: int


@contextmanager
def library_convolution() -> Iterator[None]:
    """Every convolution through torch."""
    with patch("li_env.kernels.frame_conv.fits_triton", lambda *_: False):
        yield


def measure_layer(shape: Shape, device: torch.device, dtype: torch.dtype, repeats: int) -> dict[str, Any]:
    """Compare one convolution of torch with the kernel's block shapes."""
    x = torch.randn(1, shape.frames, shape.rows, shape.columns, shape.channels, device=device, dtype=dtype)
    gamma = torch.ones(shape.channels, device=device, dtype=dtype)
    weight = torch.randn(shape.outputs, shape.channels, 3, 3, 3, device=device, dtype=dtype)
    weight = (weight / (27 * shape.channels) ** 0.5).contiguous(memory_format=torch.channels_last_3d)
    bias, extended = torch.zeros(shape.outputs).to(x), extended_frames(x, gamma, None)
    tera = 2e-12 * 27 * shape.frames * shape.rows * shape.columns * shape.channels * shape.outputs
    row: dict[str, Any] = {**vars(shape), "tflop": round(tera, 3)}
    row["extend_ms"] = milliseconds(device, lambda: extended_frames(x, gamma, None), repeats)
    row["torch_ms"] = milliseconds(device, lambda: naive_frame_conv(extended, weight, bias, None), repeats)
    row["torch_tflops"] = round(1000 * tera / max(row["torch_ms"], 1e-3), 1)
    if fits_triton(extended, weight):
        row |= measure_kernel(extended, weight, bias, device, repeats)
        best = min(value for key, value in row.items() if key.startswith("kernel"))
        row["kernel_tflops"] = round(1000 * tera / best, 1)
    print(json.dumps(row), flush=True)
    return row


def measure_kernel(
    extended: Tensor, weight: Tensor, bias: Tensor, device: torch.device, repeats: int
) -> dict[str, float]:
    """Measure milliseconds of the kernel by block shape, and its distance from torch."""
    from li_env.kernels.frame_conv.triton import NARROW, PICTURE, SLIM, WIDE, triton_frame_conv

    configs = {
        "wide": WIDE,
        "narrow": NARROW,
        "slim": SLIM,
        "picture": PICTURE,
        "square": replace(NARROW, pixels=128, stages=5),
        "deep": replace(NARROW, pixels=128, depth=128, stages=3),
    }
    expected = naive_frame_conv(extended, weight, bias, None).float()
    out: dict[str, float] = {}
    for name, config in configs.items():
        picture = len(weight) <= PICTURE.channels
        if picture != (config is PICTURE) or extended.shape[-1] % config.depth:
            continue
        if not picture and len(weight) % config.channels:
            continue
        found = triton_frame_conv(extended, weight, bias, None, config).float()
        out[f"error_{name}"] = float((found - expected).norm() / expected.norm())
        call = lambda config=config: triton_frame_conv(extended, weight, bias, None, config)  # noqa: E731
        out[f"kernel_{name}_ms"] = milliseconds(device, call, repeats)
    return out


def measure_decode(codec: StreamingDecoder, latents: Sequence[Tensor], first: int, repeats: int) -> dict[str, Any]:
    """Measure the first call (``first`` latents), later calls and memory of whole decodes, all episodes together."""
    device, begin = codec.device, [part[:1].expand(first, -1, -1, -1) for part in latents]
    new: list[None] = [None] * len(latents)
    out: dict[str, Any] = {"episodes": len(latents), "latents": len(latents[0])}
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    began = time.perf_counter()
    _, streams = codec.decode_batch(begin, new)
    frames, _ = codec.decode_batch(latents, streams)
    out["frames"] = len(frames[0])
    out["first_use_ms"] = round(1000 * (time.perf_counter() - began), 1)
    out["first_chunk_ms"] = milliseconds(device, lambda: codec.decode_batch(begin, new), repeats)
    out["chunk_ms"] = milliseconds(device, lambda: codec.decode_batch(latents, streams), repeats)
    out["stream_gib"] = round(sum(cache.nbytes for cache in streams[0].caches) / 2**30, 3)
    if device.type == "cuda":
        out["peak_gib"] = round(torch.cuda.max_memory_allocated(device) / 2**30, 2)
    with library_convolution():
        plain, _ = codec.decode_batch(latents, streams)
        out["chunk_ms_torch_convolutions"] = milliseconds(device, lambda: codec.decode_batch(latents, streams), repeats)
    out["largest_difference_of_255"] = int(abs(frames[0].astype(int) - plain[0]).max())
    print(json.dumps(out), flush=True)
    return out


def largest_kernels(codec: StreamingDecoder, latents: Tensor) -> dict[str, float]:
    """Milliseconds by kernel on the device, of one later call; the largest twelve."""
    from torch.profiler import ProfilerActivity, profile

    _, stream = codec.decode(latents, None)
    codec.decode(latents, stream)
    with profile(activities=[ProfilerActivity.CUDA]) as record:
        codec.decode(latents, stream)
    times = {event.key[:90]: round(event.device_time_total / 1000, 3) for event in record.key_averages()}
    return dict(sorted(times.items(), key=lambda item: -item[1])[:12])


def run(
    description: str | None, argv: list[str] | None, measure: Callable[[torch.device, bool, int], dict[str, Any]]
) -> dict[str, Any]:
    """Read the command line, measure, write; ``measure`` gets the device, whether it is a toy run, and repeats."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--tiny", action="store_true", help="a toy decoder, for a CPU")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args(argv)
    device = torch.device(arguments.device)
    with torch.inference_mode():
        result = {
            "provenance": provenance(),
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor(),
            **measure(device, arguments.tiny, arguments.repeats),
        }
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return result
