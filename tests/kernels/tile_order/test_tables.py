from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from li_env.kernels.tile_order import tile_layout, tile_order, tile_table

lengths = st.lists(st.integers(1, 128), max_size=6)


@settings(deadline=None)
@given(batch=st.lists(lengths, min_size=1, max_size=4), gap=st.integers(0, 3))
def test_tables_give_back_what_they_were_made_from(batch, gap):
    starts = [np.cumsum([gap, *(n + gap for n in b)])[: len(b)] for b in batch]
    table = tile_table(starts, batch)
    for number, (start, length) in enumerate(zip(starts, batch, strict=True)):
        assert table.starts[number, : len(length)].tolist() == start.tolist()
        assert table.lengths[number].tolist() == [*length, *[0] * (table.entries.shape[1] - len(length))]
    assert table.counts == tuple(len(b) for b in batch)
    assert table.covered == tuple(sum(b) for b in batch)
    assert table.extent == max((int(s[-1]) + n[-1] for s, n in zip(starts, batch, strict=True) if n), default=0)


@settings(deadline=None)
@given(
    ranges=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 700)), min_size=1, max_size=4),
    longest=st.integers(1, 128),
)
def test_always_kept_ranges_are_cut_without_loss_full_pieces_first(ranges, longest):
    at, spans = longest, []
    for gap, size in ranges:
        spans.append((at + gap, at + gap + size))
        at += gap + size
    layout = tile_layout(tile_table([[0]], [[5]]), tile_table([[0]], [[longest]]), [spans])
    full, count = layout.always.counts[0].tolist()
    entries = layout.always.entries[0, :count]
    starts, sizes = (entries >> 8).tolist(), (entries & 255).tolist()
    assert layout.block >= longest
    assert all(size == layout.block for size in sizes[:full])
    assert all(0 < size < layout.block for size in sizes[full:])
    tokens = sorted(token for start, size in zip(starts, sizes, strict=True) for token in range(start, start + size))
    assert tokens == [token for first, stop in spans for token in range(first, stop)]


def test_text_and_current_chunk_of_hy_worldplay():
    order = tile_order((12, 30, 52), (4, 8, 4))
    own = tile_order((4, 30, 52), (4, 8, 4))
    text, context, chunk = 900, order.permutation.numel(), own.permutation.numel()
    layout = tile_layout(
        tile_table([own.starts], [own.lengths]),
        tile_table([order.starts + text], [order.lengths]),
        [[(0, text), (text + context, text + context + chunk)]],
    )
    assert layout.block == 128
    assert layout.keys.counts == (156,)
    assert layout.queries.covered == (6240,)
    # 7 full pieces and 4 tokens of text, 48 full pieces and 96 tokens of the chunk.
    assert layout.always.counts.tolist() == [[55, 57]]


@pytest.mark.parametrize(
    ("starts", "sizes", "message"),
    [
        ([[0]], [[129]], r"tiles\[0\]: tile of 129 tokens: allowed are 1 to 128"),
        ([[0]], [[0]], r"tiles\[0\]: tile of 0 tokens"),
        ([[-1]], [[4]], r"tiles\[0\]: tiles must lie in"),
        ([[0], [0, 7]], [[8], [8, 8]], r"tiles\[1\]: two tiles overlap at token 7"),
        ([[0, 9]], [[8]], r"tiles\[0\]: starts \(2,\) and lengths \(1,\)"),
        ([], [], "batch of 0 in starts"),
    ],
)
def test_bad_tiles_are_named(starts, sizes, message):
    with pytest.raises(ValueError, match=message):
        tile_table(starts, sizes)


@pytest.mark.parametrize(
    ("keys", "always", "message"),
    [
        (([[0]], [[8]]), [[(4, 12)]], r"always\[0\]: overlaps another range or a key tile at token 4"),
        (([[]], [[]]), [[(0, 9), (8, 12)]], "overlaps another range or a key tile at token 8"),
        (([[]], [[]]), [[(5, 5)]], r"always\[0\]: range \(5, 5\)"),
        (([[]], [[]]), (), r"keys\[0\]: empty context"),
        (([[0], [0]], [[4], [4]]), (), "batch: 1 in queries, 2 in keys"),
    ],
)
def test_bad_layouts_are_named(keys, always, message):
    with pytest.raises(ValueError, match=message):
        tile_layout(tile_table([[0]], [[8]]), tile_table(*keys), always)
