"""Retrieval policies of the freedoom world side by side, against the real game: how many latents are worth retrieving.

    python benchmarks/freedoom_policies.py --device cuda --out benchmarks/freedoom_memory_policies_h200.json

    python benchmarks/freedoom_policies.py --device cuda --split validation --seeds 16 --batch 64 --repeats 1 --out FILE

Every row is preset ``all`` with other settings of what it looks back at and how many steps it takes, driven like
`li-env bench` drives presets. ``coverage alone`` is a world that asks for no sink and no retrieved group
(`WorldSpec.sink_latents` and `WorldSpec.fewest_memory_groups` = 0), compared with the plain model in the same run.
Needs ViZDoom for the game. About a minute on an H200.

``--split test`` begins at the shipped start frames. Those maps are for final numbers: choose a policy on those of
``--split validation``, at random places of as many maps as ``--seeds`` says.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from provenance import provenance

from li_env.accel.config import AccelConfig
from li_env.accel.world import StartViews
from li_env.evaluation.bench.run import EVERY, benchmark
from li_env.evaluation.bench.settings import BenchSettings, Variant
from li_env.files import write_json
from li_env.worlds.freedoom.ground_truth import FreedoomTruth
from li_env.worlds.freedoom.start_frames import StartFrames
from li_env.worlds.freedoom.world import FreedoomWorld
from li_env.worlds.registry import load_world

ALONE = "coverage alone"

FIRST_PLACE = 77
"""Number that seeds, together with a map's own, the place where its rollouts begin."""

POLICIES: dict[str, dict[str, Any]] = {
    "all": {},
    "whole groups": {"memory_group_latents": None},
    "warm-up of one chunk": {"warmup_chunks": 1},
    "whole groups, warm-up of one chunk": {"memory_group_latents": None, "warmup_chunks": 1},
    "whole groups, whole sink": {"memory_group_latents": None, "memory_sink": 4},
    "sink alone": {"memory_groups": 1},
    "no sink": {"memory_sink": 0, "memory_group_latents": None},
    "groups that add a tenth": {"memory_threshold": 0.1},
    "four steps exploring": {"denoising": "shortened"},
    "four steps": {"denoising": "full"},
    "two recent chunks": {"window_chunks": 2},
    "three recent chunks": {"window_chunks": 3},
    "two nearest groups": {"memory": "nearest_view", "memory_groups": 2},
    "two recent chunks, nearest group": {"window_chunks": 2, "memory": "nearest_view", "memory_groups": 1},
}
"""Changes to preset ``all``, by name."""


@dataclass(frozen=True)
class Policies(BenchSettings):
    """`BenchSettings` whose variants are ``off`` and policies; ``names`` are of `POLICIES`, or `ALONE`."""

    names: tuple[str, ...] = ()

    @property
    def variants(self) -> tuple[Variant, ...]:
        """What is run: the plain model first."""
        full = AccelConfig.preset("all")
        chosen = [Variant(name, full.replace(name=name, **POLICIES.get(name, {}))) for name in self.names]
        return (Variant("off", AccelConfig.preset("off")), *chosen)


def begin_on_validation_maps(world: FreedoomWorld, count: int) -> None:
    """Put ``count`` start frames of validation maps, one each, in the place of a world's own."""
    truth = world.ground_truth
    maps = truth.maps("validation")[:count]
    poses = [truth.sample_pose(seed, np.random.default_rng([FIRST_PLACE, seed])) for seed in maps]
    frames = np.stack([frame for (frame,) in truth.render(maps, [pose[None] for pose in poses])])
    places = np.array([(pose[0, 3], pose[2, 3], np.degrees(np.arctan2(pose[0, 2], pose[2, 2]))) for pose in poses])
    world.ground_truth = FreedoomTruth(StartFrames(frames, np.array(maps), places))
    world.start_views = StartViews(frames)


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--trajectories", nargs="+", default=list(BenchSettings.trajectories))
    parser.add_argument("--seeds", type=int, default=4, help="rollouts per trajectory")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--chunks", type=int, default=16)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--split", choices=("validation", "test"), default="test")
    parser.add_argument("--no-game", action="store_true", help="leave the comparison with the game out")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(argv)
    facts, world = provenance(), load_world("freedoom", device=given.device)
    if given.split == "validation":
        begin_on_validation_maps(world, given.seeds)
    settings = Policies(
        trajectories=tuple(given.trajectories),
        seeds=tuple(range(given.seeds)),
        repeats=given.repeats,
        chunks=given.chunks,
        batch=given.batch,
        game=not given.no_game,
        names=tuple(POLICIES),
    )
    report = benchmark(world, settings)
    world.spec = replace(world.spec, fewest_memory_groups=0, sink_latents=0)  # type: ignore[misc]
    alone = benchmark(world, replace(settings, names=(ALONE,)))
    # Both benchmarks run `off` on the same latents; its second run only serves as the base of the speed-up.
    rows = report["rows"] + [row for row in alone["rows"] if row["preset"] == ALONE]
    head = {"provenance": facts, "settings": settings.to_dict(), "split": given.split, "policies": POLICIES}
    report = {**head, **report, "rows": rows}
    write_json(given.out, report)
    for row in rows:
        if row["trajectory"] == EVERY:
            game, near = row["game"]["pooled_psnr"], row["against_off"]["pooled_psnr"]
            shown = "" if near is None else f", {near:.2f} dB to off"
            shown += "" if game is None else f", {game:.2f} dB to the game, sharpness {row['game']['sharpness']:.3f}"
            faster = row["speed_up"]["median"]
            print(f"{row['preset']:36}{faster:.2f} x, {row['context_latents']:.1f} latents{shown}")
    return report


if __name__ == "__main__":
    main()
