"""Test rooms under names that worlds of any process can load, and runs of ``li-env collect`` in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from li_env.accel.geometry.camera import CameraMotion
from li_env.accel.world import BaseWorld
from li_env.cli import main
from li_env.cli._collecting import open_player as open_real_player
from li_env.scans.scan import Scan
from li_env.tasks import EpisodeDataset, EpisodeRecord
from li_env.worlds.registry import register_world
from tests.analytic_world import SPEC, AnalyticWorld
from tests.film_world import SHAPES, FilmWorld
from tests.room_scan import room_scan

EPISODES = 12
MAPS = (7, 8, 9)
"""Maps of the episodes in the mapped room, four episodes of each map one after the other."""


def room(device: str, weights: str | None) -> AnalyticWorld:
    return AnalyticWorld(device, replace(SPEC, fps=8.0))


class Straight:
    """Lengths of straight lines to a goal."""

    def __init__(self, goal: tuple[float, float]) -> None:
        self.goal = goal

    def at(self, points: np.ndarray) -> np.ndarray:
        return np.hypot(*(points - self.goal).T)

    near = at


class Lengths:
    """Knows that every map is the empty room."""

    def distance(self, map_id: int, goal: tuple[float, float]) -> Straight:
        return Straight(goal)

    def walk(self, map_ids: Sequence[int], poses: np.ndarray, motions: Sequence[Sequence[CameraMotion]]) -> list:
        return [tuple(each) for each in motions]


class MappedRoom(AnalyticWorld):
    """Shows the same room for every map."""

    ground_truth = Lengths()  # type: ignore[assignment]


def mapped_room(device: str, weights: str | None) -> MappedRoom:
    return MappedRoom(device, replace(SPEC, fps=8.0))


class NoEncoder(MappedRoom):
    """Makes latents of no picture."""

    encode = BaseWorld.encode


def film(device: str, weights: str | None, shape: str = "freedoom") -> FilmWorld:
    return FilmWorld(*SHAPES[shape])


def register() -> None:
    register_world("room", room, "an empty room", "test licence")
    register_world("mapped room", mapped_room, "an empty room with maps", "test licence")
    register_world("no encoder", lambda device, weights: NoEncoder(device, replace(SPEC, fps=8.0)), "for this test")
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


@cache
def views_of_the_room() -> Scan:
    whole = room_scan()
    return Scan(whole.images[::3], whole.poses[::3])


def mapped_file(folder: Path) -> Path:
    """Write the episodes of `episode_file`, on `MAPS`."""
    path = folder / "mapped.json"
    if not path.exists():
        plain = EpisodeDataset.read(episode_file(folder)).episodes
        EpisodeDataset(tuple(replace(each, map_seed=MAPS[index // 4]) for index, each in enumerate(plain)), {}).write(
            path
        )
    return path


def scan_of(map_seed: int) -> Scan:
    """Return a scan of a map, a few centimetres from those of the others."""
    room = views_of_the_room()
    poses = room.poses.copy()
    poses[:, 0, 3] += 0.01 * map_seed
    return Scan(room.images, poses, map_seed=map_seed)


def scans(folder: Path) -> Path:
    """Write a scan of every map."""
    there = folder / "scans"
    for seed in MAPS:
        file = there / f"map_{seed}.npz"
        if not file.exists():
            there.mkdir(exist_ok=True)
            scan_of(seed).save(file)
    return there


def grounded_words(folder: Path, out: Path, *more: str) -> list[str]:
    """Return the command of a collection in the mapped room; its episode file and scans are in ``folder``."""
    own = ("--dataset", str(mapped_file(folder)), "--scans", str(scans(folder)))
    return words(folder, out, *own, *more, world="mapped room")


def grounded(folder: Path, out: Path, *more: str) -> Path:
    assert main(grounded_words(folder, out, *more)) == 0
    return out
