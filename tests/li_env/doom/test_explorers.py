import numpy as np
import pytest

from li_env.doom.explorers import EXPLORERS, KINDS, STEP, TURN
from li_env.doom.maps import generate_map
from li_env.doom.trajectories import simulate

MAPS = [generate_map(seed) for seed in range(6)]


def _walks(kind, count=24, length=64):
    which = [i % len(MAPS) for i in range(count)]
    rng = np.random.default_rng(1)
    return simulate([m.space for m in MAPS], [m.segments for m in MAPS], which, [kind] * count, length, rng)


def _revisits(poses):
    """Per walk: whether some later pose equals an earlier one, with at least 6 poses in between."""
    same = (np.abs(poses[:, :, None, :2] - poses[:, None, :, :2]).max(-1) <= 1.0) & (
        np.abs((poses[:, :, None, 2] - poses[:, None, :, 2] + 180) % 360 - 180) < 0.1
    )
    return np.triu(same, 7).any((1, 2))


def test_kinds():
    assert KINDS == ("walk", "out_and_back", "turn_around", "spin", "square", "detour", "wall") == tuple(EXPLORERS)


@pytest.mark.parametrize("kind", KINDS)
def test_motions_are_within_limits_and_mostly_whole_keys(kind):
    commanded = _walks(kind).commanded
    lengths = np.hypot(commanded[..., 1], commanded[..., 2]) * 32
    assert np.abs(commanded[..., 0]).max() <= TURN + 1e-4 and lengths.max() <= 40.0
    turns = np.abs(commanded[..., 0][np.abs(commanded[..., 0]) > 1e-3])
    assert (np.abs(turns - TURN) < 1e-3).mean() > 0.5
    if kind != "spin":
        assert (np.abs(lengths[lengths > 1e-3] - STEP) < 1e-2).mean() > 0.4


@pytest.mark.parametrize("kind", ["out_and_back", "spin", "square", "detour"])
def test_loops_come_back_to_the_same_pose(kind):
    assert _revisits(_walks(kind).doom_poses).mean() > 0.6


def test_spin_turns_full_circles_in_place():
    walks = _walks("spin", length=26)
    straight = np.abs(np.abs(walks.commanded[:, :24, 0]) - TURN).max(1) < 1e-3
    full = straight & (np.abs(walks.commanded[:, :24, 0].sum(1)) > 359)
    assert full.sum() >= 5
    np.testing.assert_array_equal(walks.doom_poses[full, 0], walks.doom_poses[full, 24])


def test_loops_avoid_walls_and_wall_walks_hit_them():
    def contacts(kind):
        walks = _walks(kind)
        return (np.abs(walks.commanded - walks.feasible).max(-1) > 0.01).mean()

    assert contacts("out_and_back") < 0.01 and contacts("detour") < 0.01
    assert contacts("wall") > 0.1 and contacts("walk") > 0.01
