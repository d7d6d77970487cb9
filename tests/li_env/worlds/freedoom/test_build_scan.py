from __future__ import annotations

import numpy as np
import pytest

from li_env.scans.agreement import compare_views
from li_env.worlds.freedoom.build_scan import build_scan, map_walls
from li_env.worlds.freedoom.ground_truth import FreedoomTruth
from li_env.worlds.freedoom.spec import SPEC
from li_env.worlds.freedoom.start_frames import StartFrames
from li_env.worlds.freedoom.weights import packaged_folder

pytest.importorskip("vizdoom")
SEED = 10_000_001


@pytest.fixture(scope="module")
def scan():
    parts = []
    built = build_scan(SEED, 9.0, 8, lambda done, total: parts.append((done, total)))
    assert parts[-1] == (len(built), len(built)) and len(parts) > 1
    return built


def test_views_are_the_games_from_their_poses(scan):
    truth = FreedoomTruth(StartFrames.load(packaged_folder()))
    some = [0, 5, len(scan) - 1]
    np.testing.assert_array_equal(truth.render([SEED], [scan.poses[some]])[0], scan.images[some])
    assert scan.map_seed == SEED and len(scan) % 8 == 0
    np.testing.assert_array_equal(scan.tilts, 0)


def test_a_scan_fits_the_world_as_it_is(scan):
    assert scan.fitted(SPEC.frame_size, SPEC.focal) is scan


def test_views_of_the_game_agree_with_their_poses_and_swapped_ones_do_not(scan):
    few = slice(0, 64)
    assert compare_views(scan.images[few], scan.poses[few], scan.intrinsics).wrong == ()
    poses = scan.poses[few].copy()
    poses[[10, 50]] = poses[[50, 10]]
    found = compare_views(scan.images[few], poses, scan.intrinsics)
    assert sorted(found.wrong) == [10, 50] and found.fits == {10: 50, 50: 10}


def test_a_scan_covers_the_map(scan):
    walls = map_walls(SEED)
    low, high = walls.reshape(-1, 2).min(0), walls.reshape(-1, 2).max(0)
    places = scan.poses[:, [0, 2], 3]
    assert (places > low).all() and (places < high).all()
    assert (np.ptp(places, axis=0) > 0.8 * (high - low)).all()


def test_too_many_views_are_refused_before_any_is_rendered(monkeypatch):
    monkeypatch.setattr("li_env.worlds.freedoom.build_scan.LocalRenderer", lambda **_: pytest.fail("rendered"))
    with pytest.raises(ValueError, match=r"spacing=1 with headings=64 makes [\d,]+ views of map 10000001") as caught:
        build_scan(SEED, 1.0, 64)
    wider = float(str(caught.value).rpartition("=")[2])
    monkeypatch.undo()
    assert len(build_scan(SEED, wider, 64)) <= 4096
