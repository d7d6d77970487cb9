from __future__ import annotations

import numpy as np
import pytest

from li_env.scans.agreement import Agreement
from li_env.scans.report import field_of_view, lens_of, numbers_of, wrong_in_words
from li_env.scans.scan import Scan
from tests.li_env.scans.room import LENS, room_scan


def test_numbers():
    room = room_scan(3)
    numbers = numbers_of(Scan(room.images, room.poses, LENS, 5))
    assert (numbers["views"], numbers["spots"], numbers["image"], numbers["map"]) == (24, 3, "48 x 64", 5)
    assert numbers["field of view"] == "90 x 74 degrees"
    assert numbers["extent"] == "2.6 x 0 x 1.8 (x, y, z)"
    assert numbers["spacing"] == "1.58 to the nearest (median), 1.58 at most"
    assert numbers["tilt"] == "0.0 degrees (median), 0.0 at most"
    bare = numbers_of(Scan(room.images[:8], room.poses[:8]))
    assert (bare["spacing"], bare["spots"], bare["map"]) == ("one spot", 1, "unknown")
    assert bare["field of view"] == "the world's"


def test_the_lens_of_a_scan_or_the_worlds():
    room = room_scan(1)
    assert lens_of(room, (0.5, 0.8)) is room.intrinsics
    bare = Scan(room.images, room.poses)
    np.testing.assert_allclose(lens_of(bare, (0.5, 0.8)), [32, 38.4, 32, 24])
    assert field_of_view(bare, np.tile([32, 24, 32, 24.0], (8, 1))) == pytest.approx((90, 90))


def test_a_long_list_of_wrong_views_is_cut():
    found = Agreement(np.zeros(20), tuple(range(20)), {1: 4})
    assert wrong_in_words(found) == "0, 1 (fits the pose of view 4), 2, 3, 4, 5, 6, 7 and 12 more"
