import numpy as np
import pytest

from li_env.doom.collision import RADIUS, Walls
from li_env.doom.known_maps import known_map
from li_env.doom.splits import VALIDATION
from li_env.evaluation.fidelity.walks import is_clear
from li_env.evaluation.world import loops
from li_env.evaluation.world.loop_paths import KINDS, find_loop, loop


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_leg_comes_again(kind):
    found = loop(kind, 2, (0.0, 0.0), 90.0)
    poses = found.doom_poses
    assert len(poses) % 4 == 0 and found.first.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(poses[found.second], poses[found.first])
    np.testing.assert_array_equal(poses[:3, :2], [[0, 0], [0, 24], [0, 48]])
    steps = np.hypot(*np.diff(poses[:, :2], axis=0).T)
    turns = np.abs((np.diff(poses[:, 2]) + 180) % 360 - 180)
    assert steps.max() < 26 and turns.max() < 15.1 and not ((steps > 1) & (turns > 1)).any()
    assert found.second[0] == {"ABA": 2 + 12 + 2 + 12, "ABCA": 2 + 8 + 2 + 8 + 2 + 8}[kind]


def test_the_corners_of_a_triangle():
    poses = loop("ABCA", 4, (0.0, 0.0), 0.0).doom_poses
    np.testing.assert_allclose(poses[4, :2], (96, 0), atol=1)
    np.testing.assert_allclose(poses[4 + 8 + 4, :2], (48, -96 * np.sqrt(0.75)), atol=1)
    np.testing.assert_allclose(poses[4 + 8 + 4 + 8 + 4, :2], (0, 0), atol=1)


def test_loops_fit_between_walls_and_long_ones_nowhere():
    known = known_map(VALIDATION[5])
    for kind in KINDS:
        found = find_loop(known, kind, 2, np.random.default_rng(0))
        assert found is not None and is_clear(Walls([known.segments], RADIUS), found.doom_poses, RADIUS)
    assert find_loop(known, "ABCA", 200, np.random.default_rng(0)) is None


def test_a_world_that_repeats_known_poses_closes_every_loop(measurement):
    rows = {tuple(unit.labels.values()): unit.run() for unit in loops.units(measurement)}
    assert len(rows) == 2 * 2 * 2  # kinds, scans, first looks; longer legs do not fit into a quick look
    for kind in KINDS:
        found = rows[("off", None, kind, 2, "real")]
        assert found["loops"] == 2 and found["first_look"] is None
        assert found["frames_between"] == {"ABA": 25, "ABCA": 27}[kind]
        assert found["game"]["psnr"]["mean"] == 99.0, "the game's first look is in the memory"
        invented = rows[("off", None, kind, 2, "generated")]
        assert invented["first_look"]["psnr"]["mean"] == 99.0, "the world repeats what it invented"
        assert invented["game_psnr_by_frame"][0] == 99.0, "the start frame is the game's"
        assert max(invented["game_psnr_by_frame"][1:]) < 20, "and everything else is wrong"
