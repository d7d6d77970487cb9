from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from li_env.kernels.tile_order import tile_order
from li_env.kernels.tile_order.naive import naive_tiles, naive_walk

extents = st.tuples(st.integers(1, 7), st.integers(1, 9), st.integers(1, 9))
shapes = st.tuples(st.integers(1, 8), st.integers(1, 10), st.integers(1, 10))


@pytest.mark.parametrize(("cut", "naive"), [("grid", naive_tiles), ("serpentine", naive_walk)])
@settings(deadline=None)
@given(grid=extents, shape=shapes)
def test_equals_the_readable_version(cut, naive, grid, shape):
    order = tile_order(grid, shape, cut)
    tiles = naive(grid, shape)
    assert order.permutation.tolist() == [token for tile in tiles for token in tile]
    assert order.lengths.tolist() == [len(tile) for tile in tiles]
    assert order.starts.tolist() == np.cumsum([0, *(len(tile) for tile in tiles)])[:-1].tolist()


@settings(deadline=None)
@given(grid=extents, shape=shapes, cut=st.sampled_from(["grid", "serpentine"]))
def test_there_and_back_is_the_identity(grid, shape, cut):
    order = tile_order(grid, shape, cut)
    x = torch.arange(2 * grid[0] * grid[1] * grid[2]).view(2, -1)
    assert torch.equal(order.to_grid(order.to_tiles(x, 1), 1), x)
    assert order.lengths.max() <= shape[0] * shape[1] * shape[2]


def test_hy_worldplay_grid_has_the_tiles_of_its_specification():
    order = tile_order((20, 30, 52), (4, 8, 4))
    assert order.lengths.size == 5 * 4 * 13
    # 13 bottom-row tiles per four frames hold 6 rows of 8.
    assert np.bincount(order.lengths).nonzero()[0].tolist() == [96, 128]
    assert (order.lengths == 96).sum() == 5 * 13
    assert order.coordinates[0].tolist() == [0, 0, 0]
    assert order.coordinates[-1].tolist() == [4, 3, 12]


def test_serpentine_has_one_partial_tile_per_slab_and_stays_compact():
    grid, shape = (8, 30, 52), (4, 8, 4)
    order = tile_order(grid, shape, "serpentine")
    assert (order.lengths < 128).sum() == 2
    assert order.lengths.size == 2 * 49
    tokens = order.permutation.numpy()
    frame, row, column = np.unravel_index(tokens, grid)
    for start, length in zip(order.starts, order.lengths, strict=True):
        part = slice(start, start + length)
        assert np.ptp(frame[part]) <= 3
        assert np.ptp(row[part]) <= 7
        assert np.ptp(column[part]) <= 7


def test_neighbours_are_self_and_six():
    order = tile_order((12, 24, 24), (4, 8, 8))
    near = order.neighbours()
    middle = order.coordinates.tolist().index([1, 1, 1])
    assert near[middle].sum() == 7
    assert near[0].sum() == 4
    assert np.array_equal(near, near.T)


def test_orders_are_cached_and_their_tables_cannot_be_written():
    assert tile_order((4, 6, 8), (4, 3, 4)) is tile_order((4, 6, 8), (4, 3, 4))
    with pytest.raises(ValueError, match="read-only"):
        tile_order((4, 6, 8), (4, 3, 4)).starts[0] = 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((0, 6, 8), (4, 3, 4)), r"grid=\(0, 6, 8\)"),
        (((4, 6, 8), (4, 0, 4)), r"shape=\(4, 0, 4\)"),
        (((4, 6), (4, 3)), r"grid=\(4, 6\)"),
        (((4, 6, 8), (4, 3, 4), "rows"), "cut='rows': allowed are grid, serpentine"),
    ],
)
def test_bad_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        tile_order(*arguments)
