"""Agents that play the same episodes in the game and in a world, without and with a scan: part of the measurement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from li_env.accel.world import BaseWorld
from li_env.agents.agreement import agreement
from li_env.agents.base import ACTION_SPACE
from li_env.agents.evaluate import evaluate
from li_env.agents.registry import make_agent
from li_env.env import LightInteractionEnv
from li_env.evaluation.world.measurement import Measurement, Unit
from li_env.fitted_scans import FittedScan
from li_env.scans.scan import Scan
from li_env.tasks.dataset import EpisodeDataset
from li_env.worlds.freedoom.build_episodes import build_episodes
from li_env.worlds.freedoom.sizes import SMALL
from li_env.worlds.registry import load_world

MAX_STEPS = 32
"""Steps until an episode is cut."""

Rows = list[dict[str, float]]


class _Episodes:
    """Episodes on the maps of the measurement, made when they are first needed, and what agents did in the game."""

    def __init__(self, measurement: Measurement) -> None:
        self.measurement = measurement
        self._game: dict[str, Rows] = {}
        self._fitted: dict[float, dict[int, FittedScan]] = {}

    @cached_property
    def dataset(self) -> EpisodeDataset:
        """One goal and one start per map; a map without room for such a pair has none."""
        settings = self.measurement.settings
        return build_episodes(
            settings.map_seeds,
            goals_per_map=1,
            starts_per_goal=1,
            seed=settings.seed,
            frame_size=settings.size.frame_size,
        )

    def in_the_game(self, agent: str) -> Rows:
        """Play in the game."""
        if agent not in self._game:
            settings = self.measurement.settings
            workers = 0 if settings.workers == 1 else min(settings.workers or 8, settings.trajectories)
            game = load_world("freedoom_game", workers=workers, size=settings.size.name)
            try:
                self._game[agent] = self._play(
                    self._env(game, "off"), agent, [{"episode": index} for index in self._indices]
                )
            finally:
                game.close()
        return self._game[agent]

    def inside(self, agent: str, preset: str, scan: float | None) -> Rows:
        """Play in the world, in the scan of each episode's map."""
        env = self._env(self.measurement.world, preset)
        options: list[dict[str, Any]] = [{"episode": index} for index in self._indices]
        if scan is not None:
            fitted = self._scans(scan)
            for episode, option in zip(self.dataset.episodes, options, strict=True):
                assert episode.map_seed is not None
                option["scan"] = fitted[episode.map_seed]
        return self._play(env, agent, options)

    def _env(self, world: BaseWorld, preset: str) -> LightInteractionEnv:
        """Make an environment that shows agents frames of the small size, which they are trained with."""
        return LightInteractionEnv(
            world, preset, ACTION_SPACE, "frame", task="pointgoal", dataset=self.dataset, frame_size=SMALL.frame_size
        )

    @property
    def _indices(self) -> range:
        return range(len(self.dataset.episodes))

    def _play(self, env: LightInteractionEnv, agent: str, options: Sequence[dict[str, Any]]) -> Rows:
        settings = self.measurement.settings
        player = make_agent(agent, env, settings.seed, device=settings.device)
        return evaluate(env, player, options, MAX_STEPS, settings.seed)

    def _scans(self, spacing: float) -> dict[int, FittedScan]:
        """Fit the scans of all maps; their latents are those of the measurement."""
        if spacing not in self._fitted:
            measurement = self.measurement
            banks, seeds = measurement.banks(spacing), measurement.settings.map_seeds
            assert banks is not None
            views = measurement.game.views(spacing, [*range(len(seeds))])
            self._fitted[spacing] = {
                seed: FittedScan(Scan(images, bank.poses, map_seed=seed), bank)
                for seed, (images, _), bank in zip(seeds, views, banks, strict=True)
            }
        return self._fitted[spacing]


def units(measurement: Measurement, mapper: Path, say: Callable[[str], None]) -> list[Unit]:
    """List seeker and mapper under every preset, without and with the first scan.

    Args:
        measurement: world, game and settings.
        mapper: folder of the trained mapper.
        say: takes one line if it is not there.
    """
    agents = {"seeker": "seeker", "mapper": str(mapper)}
    if not mapper.is_dir():
        say(f"the mapper plays no episodes: {mapper} is no folder of a trained agent")
        del agents["mapper"]
    episodes = _Episodes(measurement)
    return [
        Unit({"preset": preset, "scan": scan, "agent": name}, partial(_compare, episodes, agent, preset, scan))
        for preset, scan in measurement.settings.variants
        for name, agent in agents.items()
    ]


def _compare(episodes: _Episodes, agent: str, preset: str, scan: float | None) -> dict[str, Any]:
    return agreement(episodes.in_the_game(agent), episodes.inside(agent, preset, scan))
