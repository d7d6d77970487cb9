from __future__ import annotations

import sys

import numpy as np
import pytest

from li_env.accel.geometry.camera import CameraMotion, follow
from li_env.accel.world import StartViews
from li_env.doom.collision import Walls
from li_env.doom.trajectories import world_poses
from li_env.doom.walking import doom_poses, walk
from li_env.errors import MissingExtraError
from li_env.evaluation.bench.paths import commanded_paths
from li_env.evaluation.bench.real_paths import played_paths
from li_env.evaluation.bench.settings import BenchSettings
from li_env.evaluation.camera_path import CameraPath
from li_env.worlds.freedoom.ground_truth import FreedoomTruth
from li_env.worlds.freedoom.start_frames import StartFrames
from li_env.worlds.freedoom.weights import packaged_folder
from tests.analytic_world import AnalyticWorld

ROOM = np.array([[-100, -100, 100, -100], [100, -100, 100, 100], [100, 100, -100, 100], [-100, 100, -100, -100.0]])


class PlacedWorld(AnalyticWorld):
    """Start frames of the freedoom world: all that a game needs to know."""

    def __init__(self) -> None:
        super().__init__()
        starts = StartFrames.load(packaged_folder())
        self.start_views = StartViews(starts.frames)
        self.ground_truth = FreedoomTruth(starts)


def test_poses_return_from_the_game():
    poses = np.array([[1.0, -2.5, 90.0], [0.0, 3.0, -45.0]])
    np.testing.assert_allclose(world_poses(doom_poses(poses)), poses, atol=1e-5)


def test_free_motions_stay_the_commanded_ones_and_walls_shorten_them():
    moves = (CameraMotion(forward=0.75), CameraMotion(yaw=90.0), *[CameraMotion(forward=0.75)] * 4)
    (happened,), paths = walk(Walls([ROOM]), np.zeros(1, int), np.zeros((1, 3)), [moves])
    assert happened[:5] == moves[:5]
    assert happened[5].forward == pytest.approx((83 - 3 * 24) / 32), "17 map units before the wall"
    np.testing.assert_allclose(paths[0, -1], [24, -83, 270], atol=1e-6)  # east, then to the right: south
    end = follow(np.eye(4), happened)[-1]
    np.testing.assert_allclose(end[[0, 2], 3] * 32, [83, 24], atol=1e-6)


def test_a_world_without_ground_truth_has_no_game():
    world = AnalyticWorld()
    with pytest.raises(ValueError, match="has no ground truth"):
        played_paths(world, commanded_paths(world, BenchSettings(seeds=(0,), chunks=4)))


def test_the_game_shows_the_start_frame_first_and_what_lies_ahead_later():
    pytest.importorskip("vizdoom")
    world = PlacedWorld()
    settings = BenchSettings(trajectories=("left-right", "forward-backward"), seeds=(0, 1), chunks=4)
    commanded = commanded_paths(world, settings)
    played = played_paths(world, commanded)
    for path in played:
        assert path.real.shape == (16, 96, 128, 3)
        assert np.abs(path.real[0].astype(int) - path.image).max() <= 1
        assert [len(chunk) for chunk in path.motions] == [3, 4, 4, 4]
    turned: CameraPath = played[0]
    assert turned.motions == commanded[0].motions, "turning is never blocked"
    np.testing.assert_array_equal(turned.real[14], turned.real[0])
    assert np.abs(turned.real[7].astype(int) - turned.real[0]).mean() > 5


def test_without_the_extra_the_message_names_it_and_the_way_around(monkeypatch):
    monkeypatch.setitem(sys.modules, "vizdoom", None)
    world = PlacedWorld()
    with pytest.raises(
        MissingExtraError, match=r"--no-game leaves it out.* needs ViZDoom: pip install 'li-env\[doom\]'"
    ):
        played_paths(world, commanded_paths(world, BenchSettings(seeds=(0,), chunks=4)))
