"""Reference videos: what the real game shows along the walks, rendered by several processes."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass

import numpy as np

from li_env.doom.collision import RADIUS
from li_env.doom.handmade import RADIUS as HANDMADE_RADIUS
from li_env.doom.handmade import freedoom_map_names, freedoom_renderer, my_way_home_renderer, read_map
from li_env.doom.maps import generate_map, write_wad
from li_env.doom.renderer import FRAME_SIZE, DoomRenderer, require_vizdoom
from li_env.doom.watchdog import temporary_folder
from li_env.evaluation.fidelity.settings import FidelitySettings
from li_env.evaluation.fidelity.walks import WALKS, Walk, looks, walks, world_matrices

HELD_OUT, HANDMADE, MY_WAY_HOME = "held-out maps", "hand-made Freedoom maps", "my_way_home"
"""Kinds of maps: random maps of a held-out split, and two kinds of maps out of the training's distribution."""

_WITH_DEPTH = ("walk", "mix")


@dataclass(frozen=True, eq=False)
class ReferenceVideos:
    """N trajectories of one kind.

    Attributes:
        frames: uint8 [N, L, H, W, 3], what the game shows.
        poses: [N, L, 4, 4] float64, camera-to-world in metres.
        first_look: [L], see `walks.Walk`.
        commanded, feasible: [N, L - 1, 3] (yaw degrees, right, forward metres); empty for revisits.
        depths: float16 [N, L, H, W] metres along the viewing axis; only where pixels are split by visibility.
    """

    frames: np.ndarray
    poses: np.ndarray
    first_look: np.ndarray
    commanded: np.ndarray
    feasible: np.ndarray
    depths: np.ndarray | None

    def __len__(self) -> int:
        return len(self.frames)


RenderedWalk = tuple[Walk, np.ndarray, np.ndarray | None]
"""Walk with its frames and depths."""


def render_videos(
    settings: FidelitySettings, on_job: Callable[[int, int], None]
) -> dict[tuple[str, str], ReferenceVideos]:
    """Render everything that the report compares with: (kind of maps, kind of walk) -> videos.

    Held-out maps have the kinds ``walk``, ``out_and_back``, ``spin`` and ``mix`` (`WALKS`), and ``look/...`` for each
    of `walks.LOOKS`; the other maps have only ``walk``. Trajectory i of every kind is on the i-th map from
    ``settings.first_map``.

    Args:
        settings: number and length of the videos.
        on_job: called with (jobs done, jobs in all).
    """
    require_vizdoom()
    workers = settings.workers or os.cpu_count() or 1
    jobs = _jobs(settings, workers)
    rendered: dict[tuple[int, int], dict[tuple[str, str], list[RenderedWalk]]] = {}
    # spawn: forking a process that holds CUDA or threads is not safe
    with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=multiprocessing.get_context("spawn")) as pool:
        waiting: dict[Future[dict[tuple[str, str], list[RenderedWalk]]], tuple[int, int]] = {
            pool.submit(function, *arguments): (order, row)
            for row, (order, function, arguments) in enumerate(jobs)
        }  # fmt: skip
        try:
            for done in as_completed(waiting):
                rendered[waiting[done]] = done.result()
                on_job(len(rendered), len(jobs))
        finally:
            for future in waiting:
                future.cancel()
    gathered: dict[tuple[str, str], list[RenderedWalk]] = {}
    for _, part in sorted(rendered.items()):
        for key, some in part.items():
            gathered.setdefault(key, []).extend(some)
    return {key: _videos(some) for key, some in gathered.items()}


def render_held_out(
    map_seeds: Sequence[int], length: int, seed: int, frame_size: tuple[int, int] = FRAME_SIZE
) -> dict[tuple[str, str], list[RenderedWalk]]:
    """Render all kinds of walks on each of some random maps."""
    maps = [generate_map(map_seed) for map_seed in map_seeds]
    rendered: dict[tuple[str, str], list[RenderedWalk]] = {}
    with temporary_folder("li-env-maps-") as folder:
        wad = folder / "maps.wad"
        write_wad(maps, wad)
        with DoomRenderer(wad, depth=True, frame_size=frame_size) as renderer:
            for index, doom_map in enumerate(maps):
                drawn = walks(doom_map, WALKS, length, RADIUS, doom_map.seed + seed)
                revisits = looks(doom_map, RADIUS, doom_map.seed + seed)
                drawn |= {f"look/{kind}": walk for kind, walk in revisits.items()}
                for kind, walk in drawn.items():
                    frames, depths = renderer.render(index, walk.doom_poses)
                    kept = depths.astype(np.float16) if kind in _WITH_DEPTH else None
                    rendered.setdefault((HELD_OUT, kind), []).append((walk, frames, kept))
    return rendered


def render_handmade(
    name: str, count: int, length: int, seed: int, frame_size: tuple[int, int] = FRAME_SIZE
) -> dict[tuple[str, str], list[RenderedWalk]]:
    """Render ``count`` walks on a map of freedoom2.wad, or in my_way_home if that is its name."""
    if name == MY_WAY_HOME:
        wanted = my_way_home_renderer(frame_size=frame_size)
    else:
        wanted = freedoom_renderer([name], frame_size=frame_size)
    with wanted as renderer:
        handmade = read_map(renderer, 0, name)
        rendered: list[RenderedWalk] = []
        for number in range(count):
            walk = walks(handmade, ("walk",), length, HANDMADE_RADIUS, 1000 * seed + number)["walk"]
            rendered.append((walk, renderer.render(0, walk.doom_poses), None))
    return {(MY_WAY_HOME if name == MY_WAY_HOME else HANDMADE, "walk"): rendered}


Job = tuple[int, Callable[..., dict[tuple[str, str], list[RenderedWalk]]], tuple[object, ...]]


def _jobs(settings: FidelitySettings, workers: int) -> list[Job]:
    """List (order of the kinds of maps, function, arguments); each job starts one game engine."""
    count, length = settings.trajectories, settings.walk_latents
    first, shape = settings.first_map, settings.size.frame_size
    size = max(1, min(4, -(-count // workers)))
    jobs: list[Job] = [
        (2, render_handmade, (MY_WAY_HOME, count, length, settings.seed, shape))
    ]  # the longest one first
    jobs += [
        (
            0,
            render_held_out,
            (tuple(range(first + begin, first + min(count, begin + size))), length, settings.seed, shape),
        )
        for begin in range(0, count, size)
    ]
    names = freedoom_map_names()
    shares = [len(range(index, count, len(names))) for index in range(len(names))]
    jobs += [
        (1, render_handmade, (name, share, length, settings.seed, shape))
        for name, share in zip(names, shares, strict=True)
        if share
    ]
    return jobs


def _videos(rendered: Sequence[RenderedWalk]) -> ReferenceVideos:
    taken = [walk for walk, _, _ in rendered]
    depths = [depth for _, _, depth in rendered if depth is not None]
    return ReferenceVideos(
        frames=np.stack([frames for _, frames, _ in rendered]),
        poses=world_matrices(np.stack([walk.doom_poses for walk in taken])),
        first_look=taken[0].first_look,
        commanded=np.stack([walk.commanded for walk in taken]),
        feasible=np.stack([walk.feasible for walk in taken]),
        depths=np.stack(depths) if depths else None,
    )
