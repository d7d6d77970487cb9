from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from li_env.accel.geometry.camera import CameraMotion, move
from li_env.tasks.seen_area import SeenArea, ViewWedge

WEDGE = ViewWedge(angle=90.0, distance=8.0)

poses = st.builds(
    lambda yaw, pitch, right, forward: move(np.eye(4), CameraMotion(yaw, pitch, right, forward)),
    st.floats(-180, 180),
    st.floats(-60, 60),
    st.floats(-30, 30),
    st.floats(-30, 30),
)


def cells_one_by_one(wedge: ViewWedge, pose: np.ndarray) -> set[tuple[int, int]]:
    """Apply the definition, cell by cell, over a generous square, with margins at the borders left to either side."""
    x, z = pose[0, 3], pose[2, 3]
    heading = math.atan2(-pose[2, 0], pose[0, 0])  # of the right axis
    seen = set()
    reach = int(wedge.distance / wedge.cell) + 3
    for i in range(math.floor(x / wedge.cell) - reach, math.floor(x / wedge.cell) + reach + 1):
        for j in range(math.floor(z / wedge.cell) - reach, math.floor(z / wedge.cell) + reach + 1):
            dx, dz = (i + 0.5) * wedge.cell - x, (j + 0.5) * wedge.cell - z
            bearing = (math.atan2(dx, dz) - heading + math.pi) % (2 * math.pi) - math.pi
            if math.hypot(dx, dz) <= wedge.distance and abs(bearing) <= math.radians(wedge.angle / 2):
                seen.add((i, j))
    return seen


@given(pose=poses, angle=st.floats(30, 150))
@settings(max_examples=40, deadline=None)
def test_a_view_covers_the_cells_of_its_wedge(pose, angle):
    wedge = ViewWedge(angle, 8.0)
    covered = {tuple(cell) for cell in wedge.covered(pose[None]).tolist()}
    expected = cells_one_by_one(wedge, pose)
    # A centre exactly on the border may fall on either side of it in floating point.
    assert len(covered ^ expected) <= 2
    assert abs(len(covered) - wedge.cells) < 0.15 * wedge.cells + 10


def test_heading_and_pitch():
    east = move(np.eye(4), CameraMotion(yaw=90.0))
    cells = WEDGE.covered(east[None])
    assert (cells[:, 0] >= 0).all(), "a turn to the right looks along +x"
    assert cells[:, 1].min() < 0 < cells[:, 1].max()
    up = move(east, CameraMotion(pitch=80.0))
    np.testing.assert_array_equal(WEDGE.covered(up[None]), cells)


@given(track=st.lists(poses, min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_new_cells_are_counted_once_in_any_order(track):
    views = np.stack(track)
    union = {tuple(cell) for cell in WEDGE.covered(views).tolist()}
    at_once, new = SeenArea(WEDGE).look(views)
    one_by_one, total = SeenArea(WEDGE), 0
    for view in views[::-1]:
        one_by_one, fresh = one_by_one.look(view[None])
        total += fresh
    assert new == total == len(union) == at_once.cells == one_by_one.cells
    assert at_once.area == pytest.approx(len(union) * 0.25)
    assert at_once.contains(np.array(sorted(union))).all()
    assert at_once.look(views)[1] == 0, "a second look shows nothing new"


def test_looking_leaves_the_old_map_alone():
    before, _ = SeenArea(WEDGE).look(np.eye(4)[None])
    tiles = {key: tile.copy() for key, tile in before._tiles.items()}
    ahead = move(np.eye(4), CameraMotion(forward=5.0))
    after, new = before.look(ahead[None])
    fork, also_new = before.look(ahead[None])
    assert new == also_new > 0
    assert after.cells == fork.cells == before.cells + new
    assert before._tiles.keys() == tiles.keys()
    for key, tile in tiles.items():
        np.testing.assert_array_equal(before._tiles[key], tile)


def test_untouched_tiles_are_shared_however_large_the_map():
    area = SeenArea(WEDGE)
    pose = np.eye(4)
    for _ in range(200):
        pose = move(pose, CameraMotion(forward=5.0))
        area, _ = area.look(pose[None])
    following, _ = area.look(move(pose, CameraMotion(forward=5.0))[None])
    copied = [key for key, tile in following._tiles.items() if area._tiles.get(key) is not tile]
    assert len(area._tiles) > 60
    assert len(copied) <= 9, "a view reaches 9 map tiles at most"


def test_many_worlds_at_once_are_the_worlds_one_by_one():
    rng = np.random.default_rng(0)
    tracks = [
        np.stack([move(np.eye(4), CameraMotion(*row)) for row in rng.normal(0, 12, (int(rng.integers(1, 6)), 4))])
        for _ in range(70)
    ]
    maps = [SeenArea(WEDGE).look(track[:1])[0] for track in tracks]
    for before, track, canvases in zip(maps, tracks, WEDGE.canvases_of(tracks), strict=True):
        (alone, few), (among, many) = before.look(track), before.add(canvases)
        assert (few, alone.cells) == (many, among.cells)
        np.testing.assert_array_equal(alone.contains(WEDGE.covered(track)), True)
        np.testing.assert_array_equal(among.contains(WEDGE.covered(track)), True)


@pytest.mark.parametrize("step", [0.5, 40.0])
def test_worlds_that_take_as_many_steps_are_drawn_together(step):
    """Draw near views, which share a rectangle, and views too far from each other for one."""
    rng = np.random.default_rng(1)
    motions = rng.normal(0, 1, (40, 4, 4)) * (40.0, 0.0, step, step)
    tracks = [np.stack([move(np.eye(4), CameraMotion(*row)) for row in rows]) for rows in motions]
    for track, canvases in zip(tracks, WEDGE.canvases_of(tracks), strict=True):
        alone = {tuple(cell) for cell in WEDGE.covered(track).tolist()}
        among = {tuple(cell) for corner, canvas in canvases for cell in (np.argwhere(canvas) + corner).tolist()}
        assert among == alone
