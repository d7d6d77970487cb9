from __future__ import annotations

import numpy as np

from li_env.accel.geometry.camera import CameraMotion
from li_env.doom.collision import Walls
from li_env.doom.maps import generate_map
from li_env.doom.trajectories import simulate
from li_env.doom.tries import try_commands
from li_env.doom.walking import walk

SEEDS = 20_000_000, 20_000_001


def test_tried_commands_end_where_the_game_stops_them() -> None:
    maps = [generate_map(seed) for seed in SEEDS]
    which = [0, 0, 1]
    spaces, segments = [each.space for each in maps], [each.segments for each in maps]
    walks = simulate(spaces, segments, which, ["walk", "wall", "walk"], 24, np.random.default_rng(3))
    commanded, realised = try_commands(Walls(segments), np.array(which), walks, 2, np.random.default_rng(4))
    assert commanded.shape == realised.shape == (3, 24, 2, 4, 3)

    given = {row.tobytes() for row in walks.commanded.reshape(-1, 3)}
    assert all(motion.tobytes() in given for motion in commanded.reshape(-1, 3))

    starts = np.repeat(walks.doom_poses.reshape(-1, 3), 2, axis=0)
    motions = [
        [CameraMotion(yaw=y, right=r, forward=f) for y, r, f in row] for row in commanded.reshape(-1, 4, 3).tolist()
    ]
    expected, _ = walk(Walls(segments), np.repeat(which, 48), starts, motions)
    table = np.array([[(each.yaw, each.right, each.forward) for each in row] for row in expected])
    np.testing.assert_allclose(realised.reshape(-1, 4, 3), table, atol=1e-5)
    short = np.linalg.norm((commanded - realised)[..., 1:], axis=-1) > 0.05
    assert 5 < short.sum() < 0.9 * short.size  # some meet a wall, some do not


def test_commands_differ_between_poses_and_draws() -> None:
    one = generate_map(SEEDS[0])
    walks = simulate([one.space], [one.segments], [0], ["walk"], 24, np.random.default_rng(0))
    first, second = (
        try_commands(Walls([one.segments]), np.zeros(1, int), walks, 2, np.random.default_rng(seed))[0]
        for seed in (1, 2)
    )
    assert not np.array_equal(first, second)
    assert not np.array_equal(first[0, 0], first[0, 1]) and not np.array_equal(first[0, :, 0], first[0, :, 1])


def test_no_tries_give_empty_arrays() -> None:
    one = generate_map(SEEDS[0])
    walks = simulate([one.space], [one.segments], [0], ["walk"], 2, np.random.default_rng(0))
    commanded, realised = try_commands(Walls([one.segments]), np.zeros(1, int), walks, 0, np.random.default_rng(1))
    assert commanded.shape == realised.shape == (1, 2, 0, 4, 3)
