"""What only a GPU can show: bfloat16, the Hopper kernel, graphs, no waiting. Skips itself without one."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from li_env.kernels.block_select import block_select, selection_plan, tile_means
from li_env.kernels.block_select.naive import naive_block_select, naive_tile_means
from li_env.kernels.block_sparse_attention import (
    block_sparse_attention,
    block_sparse_attention_with_lse,
    naive_block_sparse_attention,
    run_config,
)
from li_env.kernels.block_sparse_attention.configs import CONFIGS
from li_env.kernels.tile_order import tile_layout, tile_order, tile_table
from tests.kernels.problems import make_problem, relative_rms, used_rows

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")

BIG = {
    "query_lengths": [[128, 96, 7], [128, 128]],
    "key_lengths": [[128, 96, 128, 1, 128], [128, 120]],
    "always": [[400, 3], [128]],
}


def is_hopper() -> bool:
    return torch.cuda.is_available() and torch.cuda.get_device_capability()[0] == 9


def runnable() -> list[str]:
    return [name for name, config in CONFIGS.items() if is_hopper() or not (config.descriptors or config.rows > 64)]


@pytest.mark.parametrize("name", runnable())
@pytest.mark.parametrize("width", [64, 80, 128])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_equals_float32_within_twice_the_error_of_torch(name, width, dtype):
    problem = make_problem(**BIG, width=width, dtype=dtype, device="cuda", heads=3)
    arguments = (problem.query, problem.key, problem.value, problem.layout, problem.lists)
    output, lse = run_config(name, *arguments)
    expected, expected_lse = naive_block_sparse_attention(*arguments)
    plain = torch.zeros_like(expected)
    for world, tiles in enumerate(problem.layout.queries.counts):
        for tile in range(tiles):
            first = int(problem.layout.queries.starts[world, tile])
            rows = slice(first, first + int(problem.layout.queries.lengths[world, tile]))
            for head in range(3):
                tokens = [t for a, b in problem.layout.always.ranges[world] for t in range(a, b)]
                count = int(problem.lists.counts[world, head, tile])
                for index in problem.lists.indices[world, head, tile, :count].tolist():
                    start = int(problem.layout.keys.starts[world, index])
                    tokens += range(start, start + int(problem.layout.keys.lengths[world, index]))
                q, k, v = (
                    problem.query[world, head, rows],
                    problem.key[world, head, tokens],
                    problem.value[world, head, tokens],
                )
                plain[world, head, rows] = ((q @ k.T * width**-0.5).softmax(dim=-1) @ v).float()
    assert relative_rms(output, expected) <= 2 * relative_rms(plain, expected)
    rows = used_rows(problem)[:, None].expand(lse.shape)
    torch.testing.assert_close(lse[rows], expected_lse[rows], atol=5e-3, rtol=0)
    assert (output[~rows] == 0).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("cut", ["grid", "serpentine"])
def test_ratio_one_equals_dense_at_odd_sizes(dtype, cut):
    text = 77
    history, own = tile_order((6, 13, 19), (4, 8, 4), cut), tile_order((4, 13, 19), (4, 8, 4), cut)
    middle = text + history.permutation.numel()
    total = middle + own.permutation.numel()
    layout = tile_layout(
        tile_table([own.starts], [own.lengths], "cuda"),
        tile_table([history.starts + text], [history.lengths], "cuda"),
        [[(0, text), (middle, total)]],
    )
    query, key, value = (torch.randn(1, 4, n, 128, device="cuda", dtype=dtype) for n in (total - middle, total, total))
    plan = selection_plan(layout, 1.0)
    lists = block_select(tile_means(query, layout.queries), tile_means(key, layout.keys), plan)
    exact = scaled_dot_product_attention(query.double(), key.double(), value.double())
    bound = 1e-5 if dtype == torch.float32 else 5e-3
    assert relative_rms(block_sparse_attention(query, key, value, layout, lists), exact) < bound
    if is_hopper() and dtype != torch.float32:
        for name in ("hopper-2", "hopper-3"):
            assert relative_rms(run_config(name, query, key, value, layout, lists)[0], exact) < bound


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_selection_equals_the_readable_version(dtype):
    problem = make_problem(**BIG, width=128, dtype=dtype, device="cuda", heads=5)
    queries, keys = tile_means(problem.query, problem.layout.queries), tile_means(problem.key, problem.layout.keys)
    torch.testing.assert_close(queries, naive_tile_means(problem.query, problem.layout.queries))
    torch.testing.assert_close(keys, naive_tile_means(problem.key, problem.layout.keys))
    queries, keys = (x.mul(8).round() for x in (queries, keys))  # whole numbers: ties, and the same sums in any order
    plan = selection_plan(problem.layout, 0.5)
    actual, expected = block_select(queries, keys, plan), naive_block_select(queries, keys, plan)
    for field in ("indices", "counts", "entries", "full_counts"):
        assert torch.equal(getattr(actual, field), getattr(expected, field)), field


def test_selection_and_attention_neither_wait_nor_resist_a_graph():
    problem = make_problem(**BIG, width=128, dtype=torch.bfloat16, device="cuda")
    plan = selection_plan(problem.layout, 0.5)

    def run() -> tuple[torch.Tensor, torch.Tensor]:
        means = tile_means(problem.query, problem.layout.queries), tile_means(problem.key, problem.layout.keys)
        lists = block_select(*means, plan)
        return block_sparse_attention_with_lse(problem.query, problem.key, problem.value, problem.layout, lists)

    expected, _ = run()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        run()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output, _ = run()
    output.fill_(torch.nan)
    graph.replay()
    assert torch.equal(output, expected)
