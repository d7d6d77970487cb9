"""Fidelity and time of block-sparse attention in a freedoom world over the retained ratio, with its real weights.

    python benchmarks/freedoom_sparse_fidelity.py --device cuda --out benchmarks/freedoom_sparse_fidelity.json
    python benchmarks/freedoom_sparse_fidelity.py --device cuda --world freedoom_large --weights DIR --tiles 4x4x8

The plain model drives along the paths. At every chunk after the warm-up the same chunk is generated again from the same
history, with attention that leaves out tiles: in the denoising calls alone, in the context pass alone, and in both.
So errors do not add up from chunk to chunk, and nothing but the attention differs. The presets leave this attention out
in freedoom, where it does not pay; here it is forced. The rivals' attention is measured beside it, and with ``--tiles``
other shapes of tiles. Times are of chunks whose context is full, all kinds of attention taking turns at every chunk.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from provenance import provenance

from li_env.accel.config import AccelConfig
from li_env.accel.plan import AttentionPlan, attention_density
from li_env.accel.runtime.engine import Engine
from li_env.accel.runtime.machine import device_name
from li_env.accel.world import BaseWorld
from li_env.evaluation.bench.paths import commanded_paths
from li_env.evaluation.bench.settings import BenchSettings
from li_env.evaluation.drive import batches
from li_env.files import atomic_write, write_json
from li_env.metrics import psnr
from li_env.worlds.registry import load_world

RATIOS = (0.1, 0.175, 0.3, 0.5, 0.75, 1.0)

Tile = tuple[int, int, int]
"""Latents, rows and columns."""

Kind = tuple[AttentionPlan, Tile]


@dataclass
class Errors:
    """Sums over the chunks of one kind of attention.

    Attributes:
        squares: mean squared error of the frames, one per chunk, from their PSNR.
        latents: relative error of the latents, one per chunk.
        milliseconds: of generation, one per chunk with a full context.
        density: nominal share of the attention, one per chunk.
    """

    squares: list[float] = field(default_factory=list)
    latents: list[float] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)
    density: list[float] = field(default_factory=list)

    def row(self) -> dict[str, Any]:
        """Return means; PSNR pooled over all frames, None where all are equal."""
        error = float(np.mean(self.squares))
        return {
            "chunks": len(self.squares),
            "pooled_psnr": None if error == 0 else -10 * float(np.log10(error)),
            "latent_error": float(np.mean(self.latents)),
            "milliseconds": float(np.median(self.milliseconds)) if self.milliseconds else None,
            "attention_density": float(np.mean(self.density)),
        }


def variants(ratios: Sequence[float], own: Tile, tiles: Sequence[Tile] = ()) -> dict[str, Kind]:
    """Return the kinds of attention by name, dense first.

    Args:
        ratios: shares of tiles that are kept.
        own: shape of the world's tiles.
        tiles: other shapes, for attention that leaves out tiles in both passes.
    """
    kinds = {"dense": (AttentionPlan(), own)}
    for ratio in ratios:
        for where, pair in (("denoising", (ratio, 1.0)), ("context pass", (1.0, ratio)), ("both", (ratio, ratio))):
            kinds[f"{where} {ratio:g}"] = AttentionPlan("block_sparse", *pair), own
        for tile in tiles:
            kinds[f"tiles {_words(tile)} {ratio:g}"] = AttentionPlan("block_sparse", ratio, ratio), tile
    kinds["bsa"] = AttentionPlan("bsa", 0.3125, 0.3125, dense_first_block=False), own
    kinds["svg"] = AttentionPlan("svg", band_width=2.0, dense_blocks=2, dense_steps=1), own
    return kinds


def tile_shape(text: str) -> Tile:
    """Read a shape such as 4x4x8: latents, rows and columns, at most 128 tokens.

    Raises:
        ValueError: another text, or more tokens.
    """
    numbers = tuple(int(part) for part in text.split("x"))
    if len(numbers) != 3 or min(numbers) < 1 or np.prod(numbers) > 128:
        raise ValueError(f"{text} is no tile")
    return numbers[0], numbers[1], numbers[2]


def _words(tile: Tile) -> str:
    return "x".join(map(str, tile))


def measure(world: BaseWorld, settings: BenchSettings, kinds: dict[str, Kind]) -> dict[str, Errors]:
    """Generate every chunk after the warm-up with every kind of attention."""
    config, spec = AccelConfig.preset("off"), world.spec
    engine, found = Engine(world, config), {name: Errors() for name in kinds}
    for group in batches(commanded_paths(world, settings), settings.batch):
        states = [path.begun.episode for path in group]
        for motions in zip(*(path.motions for path in group), strict=True):
            following, reference = engine.step(states, motions)
            if states[0].chunk >= config.warmup_chunks:
                for name, (attention, tile) in kinds.items():
                    plans = [replace(result.plan, attention=attention) for result in reference]
                    world.spec = replace(spec, tile_shape=tile)
                    _, made = engine.step(states, motions, plans)
                    world.spec = spec
                    for result, truth in zip(made, reference, strict=True):
                        add(found[name], result, truth, len(truth.plan.context) == spec.context_latents)
            states = following
    return found


def add(errors: Errors, made: Any, truth: Any, full: bool) -> None:
    """Add one chunk, compared with that of dense attention; ``full`` says whether its context is full."""
    decibels = psnr(*(torch.from_numpy(np.asarray(each.frames)) for each in (made, truth))).double()
    same = bool((np.asarray(made.frames) == np.asarray(truth.frames)).all())
    errors.squares.append(0.0 if same else float((10 ** (-decibels / 10)).mean()))
    errors.latents.append(float((made.latents - truth.latents).norm() / truth.latents.norm()))
    if full:
        errors.milliseconds.append(made.milliseconds["generate"])
    errors.density.append(attention_density(made.plan, len(made.latents)))


def plot(rows: dict[str, dict[str, Any]], ratios: Sequence[float], tiles: Sequence[Tile], path: Path) -> None:
    """Draw the PSNR and the time over the ratio."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4), layout="constrained")
    FigureCanvasAgg(figure)
    lines = ["denoising", "context pass", "both", *(f"tiles {_words(tile)}" for tile in tiles)]
    words = {"pooled_psnr": "PSNR to dense attention, pooled (dB)", "milliseconds": "generation of a chunk (ms)"}
    for axis, (measure, label) in zip(figure.subplots(1, 2), words.items(), strict=True):
        for where in lines:
            points = [(ratio, rows[f"{where} {ratio:g}"][measure]) for ratio in ratios]
            known = [(ratio, value) for ratio, value in points if value is not None]
            axis.plot([ratio for ratio, _ in known], [value for _, value in known], "o-", label=where)
        for name, style in (("bsa", ":"), ("svg", "--"), ("dense", "-")):
            value = rows[name][measure]
            if value is not None:
                axis.axhline(value, linestyle=style, color="gray", label=name)
        axis.set_xlabel("share of tiles kept")
        axis.set_ylabel(label)
        axis.legend()
        axis.grid(alpha=0.3)
    figure.savefig(path, dpi=100, format="png")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--world", default="freedoom", help="freedoom or freedoom_large")
    parser.add_argument("--weights", type=Path, help="folder of its weights; those it ships by default")
    parser.add_argument("--tiles", type=tile_shape, nargs="*", default=[], help="other shapes of tiles, such as 2x4x16")
    parser.add_argument("--trajectories", nargs="+", default=["left-right", "forward-backward", "square", "random"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--chunks", type=int, default=16)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--ratios", type=float, nargs="+", default=list(RATIOS))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/freedoom_sparse_fidelity.json"))
    given = parser.parse_args(arguments)
    facts, world = provenance(), load_world(given.world, given.device, given.weights)
    settings = BenchSettings(
        ("off",), tuple(given.trajectories), tuple(given.seeds), 1, given.chunks, given.batch, game=False
    )
    found = measure(world, settings, variants(given.ratios, world.spec.tile_shape, given.tiles))
    rows = {name: errors.row() for name, errors in found.items()}
    for name, row in rows.items():
        print(f"{name:18}", {key: value if value is None else round(value, 4) for key, value in row.items()})
    report = {
        "provenance": facts,
        "device": device_name(world.device),
        "world": world.spec.name,
        "tile_shape": _words(world.spec.tile_shape),
        "context": world.spec.context_latents,
        "settings": settings.to_dict(),
        "rows": rows,
    }
    write_json(given.out, report)
    with atomic_write(given.out.with_suffix(".png")) as file:
        plot(rows, given.ratios, given.tiles, file)


if __name__ == "__main__":
    main()
