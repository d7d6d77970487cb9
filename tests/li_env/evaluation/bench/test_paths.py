from __future__ import annotations

import numpy as np
import pytest

from li_env.accel.geometry.camera import STILL
from li_env.accel.world import StartViews
from li_env.evaluation.bench.paths import commanded_paths
from li_env.evaluation.bench.settings import BenchSettings
from li_env.evaluation.drive import batches
from tests.analytic_world import AnalyticWorld

SETTINGS = BenchSettings(trajectories=("left-right", "forward-backward"), seeds=(0, 1, 2), chunks=4)


def test_paths_hold_every_trajectory_and_seed_with_its_start_frame():
    world = AnalyticWorld()
    paths = commanded_paths(world, SETTINGS)
    assert [(path.trajectory, path.seed) for path in paths] == [
        (name, seed) for name in SETTINGS.trajectories for seed in SETTINGS.seeds
    ]
    assert [path.start for path in paths[:3]] == [0, 1, 0], "modulo the number of start frames"
    np.testing.assert_array_equal(paths[1].image, world.start_views.images[1])
    assert [len(chunk) for chunk in paths[0].motions] == [3, 4, 4, 4]
    assert STILL not in paths[0].flat


def test_a_batch_never_mixes_trajectories():
    groups = batches(commanded_paths(AnalyticWorld(), SETTINGS), 2)
    assert [[(c.trajectory, c.seed) for c in group] for group in groups] == [
        [("left-right", 0), ("left-right", 1)],
        [("left-right", 2)],
        [("forward-backward", 0), ("forward-backward", 1)],
        [("forward-backward", 2)],
    ]


def test_a_world_without_start_frames_is_refused():
    world = AnalyticWorld()
    world.start_views = StartViews()
    with pytest.raises(ValueError, match="world='analytic' has no start frames"):
        commanded_paths(world, SETTINGS)
