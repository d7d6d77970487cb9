"""What the game shows on the maps of the measurement: walks, and views of scans; rendered when first asked for."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from li_env.doom.collision import RADIUS
from li_env.doom.known_maps import known_map
from li_env.doom.render_pool import FrameRenderer, LocalRenderer, RenderPool
from li_env.doom.renderer import MAP_UNITS_PER_METRE
from li_env.doom.scan_poses import scan_poses, scan_spots
from li_env.doom.trajectories import simulate
from li_env.evaluation.fidelity.reference_videos import ReferenceVideos
from li_env.evaluation.fidelity.walks import WALKS, Walk, walks, world_matrices
from li_env.evaluation.world.settings import WorldSettings
from li_env.scans.checks import MAX_VIEWS

BESIDE = 1.5
"""Metres from the start of a walk of the kind ``beside`` to the nearest spot of the scan."""

KINDS = (*WALKS, "beside")
"""Kinds of walks: those of `walks.WALKS`, and ``beside``: a walk that begins `BESIDE` the views of the first scan."""

_CANDIDATES = 24


class Game:
    """Reference videos and views of scans on held-out maps, one map per trajectory.

    Args:
        settings: of the measurement.
        renderer: shows poses; processes by default, as many as the settings say.
    """

    def __init__(self, settings: WorldSettings, renderer: FrameRenderer | None = None) -> None:
        self.settings = settings
        workers = min(settings.workers or os.cpu_count() or 1, settings.trajectories)
        if renderer is None:
            shape = settings.size.frame_size
            renderer = LocalRenderer(frame_size=shape) if workers == 1 else RenderPool(workers, frame_size=shape)
        self._renderer = renderer
        self._walks: dict[str, ReferenceVideos] = {}
        self._length = settings.fidelity().walk_latents

    def walks(self, kind: str) -> ReferenceVideos:
        """Return a walk of one of `KINDS` on every map, at least as long as own rollouts."""
        if kind not in self._walks:
            draw = self._beside if kind == "beside" else self._walk
            self._walks[kind] = self.shown([draw(map_seed, kind) for map_seed in self.settings.map_seeds])
        return self._walks[kind]

    def shown(self, taken: list[Walk], rows: list[int] | None = None) -> ReferenceVideos:
        """Render walks of equal length, one per map.

        Args:
            taken: the walks.
            rows: indices of their maps; all maps by default.
        """
        seeds = self.settings.map_seeds
        maps = [*seeds] if rows is None else [seeds[row] for row in rows]
        frames = self.render(maps, [walk.doom_poses for walk in taken])
        return ReferenceVideos(
            frames=np.stack(frames),
            poses=world_matrices(np.stack([walk.doom_poses for walk in taken])),
            first_look=taken[0].first_look,
            commanded=np.stack([walk.commanded for walk in taken]),
            feasible=np.stack([walk.feasible for walk in taken]),
            depths=None,
        )

    def views(self, spacing: float, rows: list[int]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Render the scans of some maps: (images uint8 [v, H, W, 3], Doom poses [v, 3]) of each."""
        cameras = [scan_poses(self.spots(row, spacing), self.settings.headings) for row in rows]
        frames = self.render([self.settings.map_seeds[row] for row in rows], cameras)
        return list(zip(frames, cameras, strict=True))

    def spots(self, row: int, spacing: float) -> np.ndarray:
        """Return the spots [k, 2] of a scan in map units, over the whole free space of a map.

        A map with more views than a scan may have keeps the spots that were chosen first, which cover the map a little
        less densely.
        """
        spots = scan_spots(known_map(self.settings.map_seeds[row]).space, spacing)
        return spots[: MAX_VIEWS // self.settings.headings]

    def render(self, map_seeds: Sequence[int], doom_poses: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Render Doom poses [n, 3] in each map: frames uint8 [n, H, W, 3] of each."""
        return self._renderer.render(map_seeds, doom_poses)

    def close(self) -> None:
        """Stop the game engines."""
        self._renderer.close()

    def _walk(self, map_seed: int, kind: str) -> Walk:
        return walks(known_map(map_seed), (kind,), self._length, RADIUS, map_seed + self.settings.seed)[kind]

    def _beside(self, map_seed: int, kind: str) -> Walk:
        """Draw walks and take the one that begins nearest to `BESIDE` metres from a spot."""
        known = known_map(map_seed)
        spots = self.spots(self.settings.map_seeds.index(map_seed), self.settings.spacings[0])
        rng = np.random.default_rng([map_seed, self.settings.seed, 4])
        drawn = simulate(
            [known.space], [known.segments], [0] * _CANDIDATES, ["walk"] * _CANDIDATES, self._length, rng, RADIUS
        )  # fmt: skip
        starts = drawn.doom_poses[:, 0, :2]
        away = np.linalg.norm(starts[:, None] - spots, axis=-1).min(1) / MAP_UNITS_PER_METRE
        row = int(np.abs(away - BESIDE).argmin())
        return Walk(
            drawn.doom_poses[row], np.full(self._length, -1), drawn.commanded[row], drawn.feasible[row]
        )  # fmt: skip
