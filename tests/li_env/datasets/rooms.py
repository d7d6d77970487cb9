"""Test rooms under names that worlds of any process can load, and runs of ``li-env collect`` in them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from li_env.cli import main
from li_env.cli._collecting import open_player as open_real_player
from li_env.tasks import EpisodeDataset, EpisodeRecord
from li_env.worlds.registry import register_world
from tests.analytic_world import SPEC, AnalyticWorld
from tests.film_world import SHAPES, FilmWorld

EPISODES = 12


def room(device: str, weights: str | None) -> AnalyticWorld:
    return AnalyticWorld(device, replace(SPEC, fps=8.0))


def film(device: str, weights: str | None, shape: str = "freedoom") -> FilmWorld:
    return FilmWorld(*SHAPES[shape])


def register() -> None:
    register_world("room", room, "an empty room", "test licence")
    for shape in SHAPES:
        register_world(f"film {shape}", lambda device, weights, shape=shape: film(device, weights, shape), "numbers")


def open_player(manifest):
    """Open the player on a worker of Ray, which has not registered the rooms."""
    register()
    return open_real_player(manifest)


register()


def episode_file(folder: Path) -> Path:
    path = folder / "episodes.json"
    if not path.exists():
        rng = np.random.default_rng(0)
        turns, distances = rng.uniform(-np.pi, np.pi, EPISODES), rng.uniform(1.5, 3.4, EPISODES)
        records = [
            EpisodeRecord(0, (0.0, 0.0, 0.0), (float(w * np.sin(a)), float(w * np.cos(a)), 0.0))
            for a, w in zip(turns, distances, strict=True)
        ]
        EpisodeDataset(tuple(records), {}).write(path)
    return path


def words(folder: Path, out: Path, *more: str, world: str = "room") -> list[str]:
    return [
        *("collect", "--world", world, "--dataset", str(episode_file(folder)), "--agent", "seeker", "--max-steps", "6"),
        *("--threads", "1", "--device", "cpu", "--episodes", f"0:{EPISODES}", "--out", str(out), *more),
    ]


def collected(folder: Path, out: Path, *more: str, world: str = "room") -> Path:
    assert main(words(folder, out, *more, world=world)) == 0
    return out
