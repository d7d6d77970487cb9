"""Navigation episodes of the PPO benchmarks: training maps, and held-out maps for the evaluation. Needs ViZDoom."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

from provenance import provenance

from li_env.doom.splits import TEST, TRAINING
from li_env.files import read_json, write_json
from li_env.tasks import EpisodeDataset, NavigationRules
from li_env.worlds.freedoom.build_episodes import build_episodes

HELD_OUT = ("open", "detour")
"""Sets of the evaluation: goals 4 to 12 m away wherever they are; goals 8 to 20 m away behind a wall (detour 1.3)."""

_PART = 16  # maps that one process builds episodes for


def build_part(seeds: range, near: float, far: float, detour: float, starts: int, seed: int) -> EpisodeDataset | None:
    """Build episodes of some maps; None where nothing fits."""
    rules = replace(NavigationRules.default(), goal_distance=(near, far))
    try:
        return build_episodes(seeds, 2, starts, seed, rules, detour)
    except ValueError:
        return None


def training_set(task: str) -> str:
    """Return the name of the training episodes of a task of the benchmark."""
    return "train_detour" if task == "detour" else "train_open"


def navigation_sets(folder: Path, maps: int, episodes: int) -> dict[str, Path]:
    """Build the episode files, or take those that an earlier run left in the folder; returns files by set.

    Args:
        folder: for the files.
        maps: training maps of every set; near goals among the episodes are where an agent first learns to stop.
        episodes: of every held-out set; their maps lie beyond those of the shipped start frames.
    """
    asked, note = {"maps": maps, "episodes": episodes}, folder / "sets.json"
    names = ("train_open", "train_detour", *HELD_OUT)
    files = {name: folder / f"{name}.json" for name in names}
    if note.is_file():
        built = read_json(note, "sets")
        if {key: built.get(key) for key in asked} != asked:
            raise ValueError(f"{note} was built with other numbers of maps and episodes; use another folder")
        return files
    wanted = {
        "train_open": [(TRAINING[:maps], 1.5, 12.0, 1.0, 4, 0)],
        "train_detour": [(TRAINING[:maps], 2.0, 20.0, 1.0, 2, 0), (TRAINING[maps : 3 * maps], 5.0, 20.0, 1.2, 4, 0)],
        "open": [(TEST[1000 : 1000 + max(1, episodes // 4)], 4.0, 12.0, 1.0, 2, 0)],
        "detour": [(TEST[1000 : 1000 + episodes], 8.0, 20.0, 1.3, 2, 0)],
    }
    with ProcessPoolExecutor(os.cpu_count(), mp_context=multiprocessing.get_context("spawn")) as pool:
        futures = {
            name: [
                pool.submit(build_part, seeds[first : first + _PART], *rest)
                for seeds, *rest in parts
                for first in range(0, len(seeds), _PART)
            ]
            for name, parts in wanted.items()
        }
        for name, parts in futures.items():
            data = EpisodeDataset.join([made for part in parts if (made := part.result()) is not None])
            kept = data.episodes[:episodes] if name in HELD_OUT else data.episodes
            EpisodeDataset(kept, data.frames).write(files[name])
    write_json(note, {**asked, "provenance": provenance()})
    return files
