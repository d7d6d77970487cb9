"""Operators of the rivals: fused, on this project's kernels, and unfused, on plain gather and scatter.

    python benchmarks/rival_operators.py --device cuda --dtype bfloat16 --out benchmarks/rival_operators_h200.json

One attention call of a denoising step: queries of the current chunk, keys of the text, the context and the chunk. Times
are medians in milliseconds, the variants taking turns:

- ``dense``: torch's own attention;
- ``bsa``: tile means, choice and attention on the kernels, tokens in tile order from the start;
- ``bsa unfused``: as published code does it around a sparse core, and as the paper timed it: pad and tile Q, K and V,
  average, score, choose, gather the chosen tiles, attend, scatter the result back to the usual order; its stages are
  timed one by one;
- ``svg``: classification of the heads and both bands on the kernels;
- ``svg unfused``: the same classification, reordered copies of all heads, and dense attention under a mask.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from provenance import provenance
from torch.nn.functional import pad, scaled_dot_product_attention

from li_env.accel.plan import AttentionPlan
from li_env.accel.runtime.machine import device_name
from li_env.files import write_json
from li_env.kernels.attention import attend_joined
from li_env.worlds.common.band_attention import BandShape, band_attention, classify, seen_keys
from li_env.worlds.common.tile_attention import BSA_TILE, ChunkShape, SparseAttention

RATIO = 0.3125
SHAPES = {
    "freedoom": ((6, 8), 6, 64, 0),
    "hy_worldplay": ((30, 52), 16, 128, 256),
}
"""Token grid, heads, channels per head and text tokens."""

Stages = dict[str, float]


class Timer:
    """Clock of the device, read in milliseconds."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._began = 0.0
        self.restart()

    def restart(self) -> None:
        """Wait for the device and begin."""
        self._wait()
        self._began = time.perf_counter()

    def lap(self) -> float:
        """Return the time since the last lap."""
        self._wait()
        now = time.perf_counter()
        taken, self._began = 1000 * (now - self._began), now
        return taken

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


def tiled(x: torch.Tensor, frames: int, grid: tuple[int, int]) -> torch.Tensor:
    """Copy tokens [B, H, T * h * w, D] into padded tiles [B, H, tiles, 128, D]."""
    x = x.unflatten(2, (frames, *grid))
    missing = [-size % extent for size, extent in zip((frames, *grid), BSA_TILE, strict=True)]
    x = pad(x, (0, 0, 0, missing[2], 0, missing[1], 0, missing[0]))
    for axis, extent in zip((2, 4, 6), BSA_TILE, strict=True):
        x = x.unflatten(axis, (-1, extent))
    return x.permute(0, 1, 2, 4, 6, 3, 5, 7, 8).flatten(5, 7).flatten(2, 4).contiguous()


def untiled(x: torch.Tensor, frames: int, grid: tuple[int, int]) -> torch.Tensor:
    """Invert `tiled` and drop the padding."""
    counts = [-(-size // extent) for size, extent in zip((frames, *grid), BSA_TILE, strict=True)]
    x = x.unflatten(2, counts).unflatten(5, BSA_TILE).permute(0, 1, 2, 5, 3, 6, 4, 7, 8)
    x = x.flatten(6, 7).flatten(4, 5).flatten(2, 3)
    return x[:, :, :frames, : grid[0], : grid[1]].flatten(2, 4)


def unfused_bsa(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, shape: ChunkShape, timer: Timer
) -> tuple[torch.Tensor, Stages]:
    """Attend to the best tiles of everything by gather and scatter; return the output and the time of each stage."""
    stages: Stages = {}
    timer.restart()
    text, context = shape.prefix, shape.context * shape.grid[0] * shape.grid[1]
    parts = [(slice(text, text + context), shape.context), (slice(text + context, None), shape.current)]
    queries = tiled(query, shape.current, shape.grid)
    real = tiled(torch.ones_like(query[:1, :1, :, :1]), shape.current, shape.grid)
    keys, values, present = (
        torch.cat([tiled(x[:, :, part], frames, shape.grid) for part, frames in parts], dim=2)
        for x in (key, value, torch.ones_like(key[:1, :1, :, :1]))
    )
    stages["tile"] = timer.lap()
    query_means, key_means = (x.float().sum(3) / n.float().sum(3) for x, n in ((queries, real), (keys, present)))
    stages["average"] = timer.lap()
    scores = query_means @ key_means.transpose(-1, -2)
    chosen = scores.topk(max(1, int(RATIO * keys.shape[2])), dim=-1).indices
    stages["choose"] = timer.lap()
    outputs = torch.empty_like(queries)
    stages["gather"] = stages["attend"] = 0.0
    for tile in range(queries.shape[2]):
        index = chosen[:, :, tile, :, None, None].expand(-1, -1, -1, *keys.shape[3:])
        seen = present.expand(*keys.shape[:2], -1, -1, -1).gather(2, index[..., :1]).flatten(2, 3)
        own = [
            torch.cat((x[:, :, :text], y.gather(2, index).flatten(2, 3)), dim=2)
            for x, y in ((key, keys), (value, values))
        ]
        mask = torch.cat((seen.new_ones(*seen.shape[:2], text, 1), seen), dim=2).transpose(-1, -2) > 0
        stages["gather"] += timer.lap()
        outputs[:, :, tile] = scaled_dot_product_attention(queries[:, :, tile], own[0], own[1], mask)
        stages["attend"] += timer.lap()
    made = untiled(outputs, shape.current, shape.grid)
    stages["scatter"] = timer.lap()
    return made, stages


def unfused_svg(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, band: BandShape) -> torch.Tensor:
    """Attend under the mask that fits each head, all heads computed by masks."""
    temporal = classify(query, key, value, band)
    rows = torch.arange(query.shape[2], device=query.device)
    masks = torch.stack([seen_keys(band, kind, rows) for kind in (False, True)])
    return scaled_dot_product_attention(query, key, value, masks[temporal.long()])


def measure(world: str, context: int, device: torch.device, dtype: torch.dtype, repeats: int) -> dict[str, Any]:
    """Time one call of every variant, and compare each unfused variant with the fused one."""
    grid, heads, width, text = SHAPES[world]
    shape = ChunkShape(grid, BSA_TILE, context, 4, 1, text)
    places = grid[0] * grid[1]
    generator = torch.Generator().manual_seed(0)
    counts = (4 * places, text + (context + 4) * places, text + (context + 4) * places)
    usual = [torch.randn(2, heads, n, width, generator=generator).to(device, dtype) for n in counts]
    sparse = SparseAttention(AttentionPlan("bsa", RATIO, RATIO, dense_first_block=False), shape, device)
    past = SparseAttention(AttentionPlan("bsa", RATIO, RATIO), shape, device).context
    band = BandShape(places, (context, context + 4), (0, context + 4), text, 2.0)
    end = text + context * places
    ordered = [
        sparse.denoising.rows(usual[0], 2),
        *(
            torch.cat((x[:, :, :text], past.rows(x[:, :, text:end], 2), sparse.denoising.rows(x[:, :, end:], 2)), 2)
            for x in usual[1:]
        ),
    ]
    timer, times, stages = Timer(device), {}, []
    outputs: dict[str, torch.Tensor] = {}
    calls: dict[str, Callable[[], torch.Tensor]] = {
        "dense": lambda: attend_joined(*usual),
        "bsa": lambda: sparse.denoising.attend_joined(1, *ordered, None),
        "svg": lambda: band_attention(*usual, band)[0],
        "svg unfused": lambda: unfused_svg(*usual, band),
    }
    for turn in range(repeats + 1):
        for name, call in calls.items():
            timer.restart()
            outputs[name] = call()
            taken = timer.lap()
            if turn:
                times.setdefault(name, []).append(taken)
        timer.restart()
        outputs["bsa unfused"], parts = unfused_bsa(*usual, shape, timer)
        if turn:
            times.setdefault("bsa unfused", []).append(sum(parts.values()))
            stages.append(parts)
    whole = sparse.denoising.back(outputs["bsa"].transpose(1, 2).flatten(2)[:, None]).flatten(1, 2)
    outputs["bsa"] = whole.unflatten(2, (heads, width)).transpose(1, 2)
    apart = {
        name: float((outputs[name] - outputs[f"{name} unfused"]).float().norm() / outputs[name].float().norm())
        for name in ("bsa", "svg")
    }
    return {
        "world": world,
        "context": context,
        "milliseconds": {name: float(np.median(values)) for name, values in times.items()},
        "stages of bsa unfused": {key: float(np.median([each[key] for each in stages])) for key in stages[0]},
        "difference of fused and unfused": apart,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--worlds", nargs="+", default=["freedoom"], choices=list(SHAPES))
    parser.add_argument("--contexts", type=int, nargs="+", default=[8, 20])
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/rival_operators.json"))
    given = parser.parse_args(arguments)
    facts, device = provenance(), torch.device(given.device)
    rows = []
    with torch.inference_mode():
        for world in given.worlds:
            for context in given.contexts:
                rows.append(measure(world, context, device, getattr(torch, given.dtype), given.repeats))
                print(rows[-1], flush=True)
    write_json(given.out, {"provenance": facts, "device": device_name(device), "dtype": given.dtype, "rows": rows})


if __name__ == "__main__":
    main()
