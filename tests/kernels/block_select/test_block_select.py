from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from li_env.kernels.block_select import block_select, selection_plan, tile_budget, tile_lists, tile_means
from li_env.kernels.block_select.naive import naive_block_select, naive_tile_means
from li_env.kernels.tile_order import TileLayout, tile_layout, tile_table
from tests.kernels.problems import Problem, make_problem, scatter

FIELDS = ("indices", "counts", "entries", "full_counts")
QUERIES, KEYS = [[30, 32, 7], [32, 32]], [[32, 32, 20, 32, 5, 32, 32], [32, 9]]


def make_layout(queries: list[list[int]], keys: list[list[int]]) -> TileLayout:
    rng = np.random.default_rng(0)
    tables = [tile_table([scatter(n, rng) for n in b], b) for b in (queries, keys)]
    return tile_layout(*tables, [[(10_000, 10_001)] for _ in queries])


@pytest.fixture
def problem(dtype, device) -> Problem:
    return make_problem(QUERIES, KEYS, [[40, 3], [64]], heads=3, width=40, dtype=dtype, device=device)


def test_means_use_true_lengths_and_read_nothing_outside(problem):
    means = naive_tile_means(problem.key, problem.layout.keys)
    starts, lengths = problem.layout.keys.starts, problem.layout.keys.lengths
    for b, tiles in enumerate(problem.layout.keys.counts):
        for tile in range(tiles):
            first = int(starts[b, tile])
            rows = problem.key[b, :, first : first + int(lengths[b, tile])].float()
            torch.testing.assert_close(means[b, :, tile], rows.mean(dim=1))
        assert (means[b, :, tiles:] == 0).all()


def test_triton_means_equal_the_readable_version(problem):
    from li_env.kernels.block_select.triton import triton_tile_means

    for x, table in ((problem.query, problem.layout.queries), (problem.key, problem.layout.keys)):
        torch.testing.assert_close(triton_tile_means(x, table), naive_tile_means(x, table), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("scores", ["random", "tied", "nan"])
@pytest.mark.parametrize("protect", [False, True])
def test_triton_selection_equals_the_readable_version(protect, scores, device):
    from li_env.kernels.block_select.triton import triton_block_select

    problem = make_problem(QUERIES, KEYS, [[40, 3], [64]], heads=3, width=40, device=device)
    masks = [np.random.default_rng(1).random((3, 7)) < 0.3, np.random.default_rng(2).random((2, 2)) < 0.5]
    plan = selection_plan(problem.layout, [0.45, 1.0], protected=masks if protect else None)
    queries = naive_tile_means(problem.query, problem.layout.queries)
    keys = naive_tile_means(problem.key, problem.layout.keys)
    if scores == "tied":
        keys = torch.randint(-1, 2, keys.shape, generator=torch.Generator().manual_seed(3)).to(keys)
        queries = queries.round()
    elif scores == "nan":
        keys[:, :, 1::2] = torch.nan
    expected, actual = naive_block_select(queries, keys, plan), triton_block_select(queries, keys, plan)
    for field in FIELDS:
        assert torch.equal(getattr(actual, field), getattr(expected, field)), field


batch = st.lists(
    st.tuples(st.lists(st.integers(1, 32), max_size=4), st.lists(st.integers(1, 32), max_size=9)),
    min_size=1,
    max_size=3,
)


@settings(max_examples=50, deadline=None)
@given(
    batch=batch, ratio=st.floats(0.01, 1.0), minimum=st.integers(0, 3), seed=st.integers(0, 99), protect=st.booleans()
)
def test_lists_are_valid_for_any_tiles(batch, ratio, minimum, seed, protect):
    queries, keys = [w[0] for w in batch], [w[1] for w in batch]
    rng = np.random.default_rng(seed)
    layout = make_layout(queries, keys)
    masks = [rng.random((len(q), len(k))) < 0.2 for q, k in batch]
    plan = selection_plan(layout, ratio, minimum, masks if protect else None)
    means = [
        torch.from_numpy(rng.integers(-2, 3, (len(batch), 2, table.entries.shape[1], 32)).astype(np.float32))
        for table in (layout.queries, layout.keys)
    ]
    lists = block_select(*means, plan)
    for b, (rows, tiles) in enumerate(batch):
        budget = tile_budget(ratio, len(tiles), minimum)
        for head in range(2):
            scores = (means[0][b, head] @ means[1][b, head].T).numpy()
            for row in range(len(rows)):
                count = int(lists.counts[b, head, row])
                kept = lists.indices[b, head, row, :count].tolist()
                forced = np.flatnonzero(masks[b][row]).tolist() if protect else []
                # Protected first, then by score, then by number.
                order = sorted(range(len(tiles)), key=lambda t: (t not in forced, -scores[row, t], t))
                assert kept == sorted(order[: max(budget, len(forced))])
                entries = lists.entries[b, head, row, :count]
                full = int(lists.full_counts[b, head, row])
                assert ((entries & 255)[:full] == layout.block).all()
                assert ((entries & 255)[full:] < layout.block).all()
                assert sorted(entries.tolist()) == sorted(layout.keys.entries[b, kept].tolist())
            assert (lists.counts[b, head, len(rows) :] == 0).all()


def test_selection_does_not_see_a_constant_that_is_orthogonal_to_the_queries():
    problem = make_problem(QUERIES, KEYS, [[], []], heads=2, width=32)
    query = problem.query.clone()
    query[..., 0] = 0
    shifted = problem.key.clone()
    shifted[..., 0] += 100
    plan = selection_plan(problem.layout, 0.4)
    means = tile_means(query, problem.layout.queries)
    lists = [block_select(means, tile_means(key, problem.layout.keys), plan) for key in (problem.key, shifted)]
    assert torch.equal(lists[0].indices, lists[1].indices)


@pytest.mark.parametrize(
    ("ratio", "tiles", "minimum", "kept"),
    # Budgets of docs/spec/hy_worldplay.md, section 9.4.
    [(0.175, 156, 1, 27), (0.175, 260, 1, 45), (0.3, 104, 7, 31), (0.3, 260, 7, 78), (0.3, 8, 7, 7), (0.1, 4, 1, 1),
     (0.5, 0, 1, 0), (1.0, 9, 1, 9)],
)  # fmt: skip
def test_budget(ratio, tiles, minimum, kept):
    assert tile_budget(ratio, tiles, minimum) == kept


@pytest.mark.parametrize("ratio", [0, -0.5, 1.01, float("nan"), "half"])
def test_ratio_out_of_range_is_named(ratio):
    with pytest.raises(ValueError, match=r"ratio=.*allowed is \(0, 1\]"):
        tile_budget(ratio, 10)


@pytest.mark.parametrize(
    ("indices", "counts", "message"),
    [
        ([[[[0, 3]]]], [[[2]]], r"indices\[0\]: tile 3: allowed is \[0, 3\)"),
        ([[[[-1, 2]]]], [[[1]]], r"indices\[0\]: tile -1"),
        ([[[[1, 1]]]], [[[2]]], "tile 1 is named twice"),
        ([[[[0, 1]]]], [[[3]]], r"counts: 3\.\.3: allowed is \[0, 2\]"),
        ([[[[0], [1]]]], [[[1, 1]]], r"indices: shape \(1, 1, 2, 1\)"),
        ([[[[0, 1]]]], [[[1, 1]]], r"counts: shape \(1, 1, 2\)"),
    ],
)
def test_bad_lists_are_named(indices, counts, message):
    layout = make_layout([[32]], [[32, 32, 4]])
    with pytest.raises(ValueError, match=message):
        tile_lists(torch.tensor(indices), torch.tensor(counts), layout)


def test_lists_may_come_in_any_order_with_anything_behind_their_end():
    layout = make_layout([[32]], [[32, 5, 32, 32]])
    lists = tile_lists(torch.tensor([[[[3, 1, 0, 99]]]]), torch.tensor([[[3]]]), layout)
    assert lists.indices.tolist() == [[[[0, 1, 3, -1]]]]
    assert lists.full_counts.tolist() == [[[2]]]
    assert (lists.entries[0, 0, 0] & 255).tolist() == [32, 32, 5, 0]


def test_bad_means_and_masks_are_named():
    layout = make_layout([[32]], [[32, 4]])
    plan = selection_plan(layout, 0.5)
    queries, keys = torch.zeros(1, 2, 1, 32), torch.zeros(1, 2, 2, 32)
    with pytest.raises(ValueError, match="key_means: torch.float16"):
        block_select(queries, keys.half(), plan)
    with pytest.raises(ValueError, match=r"key_means: torch.float32 \(1, 2, 3, 32\)"):
        block_select(queries, torch.zeros(1, 2, 3, 32), plan)
    with pytest.raises(ValueError, match=r"protected\[0\]: shape \(2, 1\): \(1, 2\) is needed"):
        selection_plan(layout, 0.5, protected=[np.ones((2, 1), dtype=bool)])
    with pytest.raises(ValueError, match="ratio: 2 values for a batch of 1"):
        selection_plan(layout, [0.5, 0.5])
    with pytest.raises(ValueError, match="x: strides"):
        tile_means(torch.zeros(1, 64, 2, 32).transpose(1, 2), layout.queries)
    with pytest.raises(ValueError, match="tokens are needed"):
        tile_means(torch.zeros(1, 2, 31, 32), layout.queries)
