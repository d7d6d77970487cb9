from __future__ import annotations

import numpy as np
import pytest

from li_env.accel.geometry.camera import MotionLimits, follow
from li_env.evaluation.standard_paths import TRAJECTORIES, commands

LIMITS = MotionLimits(translation=0.75, rotation=15.0, pitch=False)


@pytest.mark.parametrize("name", TRAJECTORIES)
@pytest.mark.parametrize("length", [1, 3, 19, 63])
def test_as_many_motions_as_asked_for_within_the_limits(name, length):
    motions = commands(name, length, LIMITS, seed=3)
    assert len(motions) == length
    assert all(abs(m.yaw) in (0.0, 15.0) and abs(m.forward) in (0.0, 0.75) for m in motions)
    assert all((m.yaw != 0) != (m.forward != 0) for m in motions), "one key at a time"


@pytest.mark.parametrize("name", ["left-right", "forward-backward"])
def test_out_and_back_ends_where_it_began(name):
    poses = follow(np.eye(4), commands(name, 20, LIMITS, seed=0))
    np.testing.assert_allclose(poses[-1], np.eye(4), atol=1e-9)
    assert not np.allclose(poses[9], np.eye(4), atol=0.5)


def test_the_square_closes_and_has_four_sides():
    motions = commands("square", 60, LIMITS, seed=0)
    poses = follow(np.eye(4), motions)
    np.testing.assert_allclose(poses[-1], np.eye(4), atol=1e-9)
    corners = [tuple(poses[15 * side + 14, [0, 2], 3].round(6)) for side in range(4)]
    assert corners == [(0, 6.75), (6.75, 6.75), (6.75, 0), (0, 0)], "clockwise: it turns right"


def test_random_walks_follow_their_seed():
    assert commands("random", 40, LIMITS, seed=1) == commands("random", 40, LIMITS, seed=1)
    assert commands("random", 40, LIMITS, seed=1) != commands("random", 40, LIMITS, seed=2)


def test_an_unknown_name_is_named():
    with pytest.raises(ValueError, match="trajectory='squre' is unknown .did you mean 'square'"):
        commands("squre", 8, LIMITS, seed=0)
