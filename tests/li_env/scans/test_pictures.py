from __future__ import annotations

import cv2
import numpy as np

from li_env.scans.pictures import coverage, view_sheet, write_map
from tests.li_env.scans.room import level, room_scan

ROOM = room_scan(2)


def test_the_sheet_shows_views_evenly_with_their_numbers():
    sheet = view_sheet(ROOM, views=4, columns=2)
    assert sheet.shape == (2 * 50 + 2, 2 * 66 + 2, 3)
    for place, number in zip(((2, 2), (2, 68), (52, 2), (52, 68)), (0, 5, 10, 15), strict=True):
        cell = sheet[place[0] : place[0] + 48, place[1] : place[1] + 64]
        np.testing.assert_array_equal(cell[:24], ROOM.images[number][:24])
        assert (cell[30:] != ROOM.images[number][30:]).any(), "the number"
    assert view_sheet(ROOM, views=99, columns=8).shape == (2 * 50 + 2, 8 * 66 + 2, 3)


def test_coverage_counts_spots_in_front():
    poses = np.stack([level(0, 0, 0), level(0, 0, 90), level(2, 0, 0)])
    counts, (left, right, near, far) = coverage(poses, 90.0, 3.0, 4.0)

    def at(x: float, z: float) -> int:
        rows, columns = counts.shape
        return int(counts[int((z - near) / (far - near) * rows), int((x - left) / (right - left) * columns)])

    assert (at(0, 1), at(2, 1), at(1, 2), at(0, -1), at(-1, 0), at(0, 3.5)) == (1, 2, 2, 0, 0, 0)
    assert counts.max() == 2, "two headings of a spot count once"


def test_the_map_marks_wrong_views_and_walls(tmp_path):
    for name, more in (
        ("plain", {}),
        ("full", {"wrong": (3,), "walls": np.array([[-3.0, -3, 3, 3]]), "unit": "metres"}),
    ):
        write_map(tmp_path / f"{name}.png", ROOM, 90.0, 12.0, **more)
    plain, full = (cv2.imread(str(tmp_path / f"{name}.png")).astype(int) for name in ("plain", "full"))
    red = [((image[..., 2] > 200) & (image[..., :2] < 60).all(-1)).sum() for image in (plain, full)]
    assert red[0] == 0 and red[1] > 20


def test_one_spot_has_a_map_too(tmp_path):
    write_map(tmp_path / "map.png", room_scan(1), 90.0, 12.0)
    assert cv2.imread(str(tmp_path / "map.png")) is not None
