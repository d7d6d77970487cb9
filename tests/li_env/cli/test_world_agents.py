"""Agents inside a world that walks as the game does agree with the game; inside another one they do not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from li_env.accel.geometry.camera import CameraMotion
from li_env.accel.world import MotionRequest
from li_env.cli._world_agents import units
from li_env.evaluation.world.game import Game
from li_env.evaluation.world.measurement import Measurement
from li_env.evaluation.world.settings import WorldSettings
from li_env.worlds.freedoom.ground_truth import FreedoomTruth
from li_env.worlds.freedoom.start_frames import StartFrames
from li_env.worlds.freedoom.weights import packaged_folder
from tests.li_env.evaluation.world.remembering_world import PictureRenderer, RememberingWorld

SETTINGS = WorldSettings(
    trajectories=1, chunks=2, spacings=(6.0,), headings=4, presets=("off",), workers=1, seed=5
)  # fmt: skip


class WalkingWorld(RememberingWorld):
    """Walks as the game does on one map; with ``held`` it never leaves its place."""

    def __init__(self, map_seed: int, held: bool) -> None:
        super().__init__()
        self.ground_truth = FreedoomTruth(StartFrames.load(packaged_folder()))
        self._map, self._held = map_seed, held

    def feasible_motions(self, requests: Sequence[MotionRequest]) -> list[tuple[CameraMotion, ...]]:
        if self._held:
            return [tuple(CameraMotion(yaw=move.yaw) for move in request.motions) for request in requests]
        poses = np.stack([request.pose for request in requests])
        return self.ground_truth.walk([self._map] * len(requests), poses, [request.motions for request in requests])


@pytest.mark.parametrize("held", [False, True])
def test_a_seeker_ends_as_in_the_game_where_the_world_walks_as_the_game_does(held: bool) -> None:
    pytest.importorskip("vizdoom")
    torch.set_num_threads(1)
    world = WalkingWorld(SETTINGS.map_seeds[0], held)
    said: list[str] = []
    measurement = Measurement(world, SETTINGS, Game(SETTINGS, PictureRenderer()))
    listed = units(measurement, Path("no/mapper"), said.append)
    assert [unit.labels["agent"] for unit in listed] == ["seeker", "seeker"]
    assert said == ["the mapper plays no episodes: no/mapper is no folder of a trained agent"]
    for row in [unit.run() for unit in listed]:
        assert row["episodes"] == 1
        assert row["same_success"] == (0.0 if held else 1.0)
        assert row["spl_difference"]["mean_absolute"] == (
            pytest.approx(row["spl"]["there"]) if held else pytest.approx(0.0, abs=1e-6)
        )
