from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention

from li_env.kernels.block_select import block_select, selection_plan, tile_lists, tile_means
from li_env.kernels.block_sparse_attention import (
    block_sparse_attention,
    block_sparse_attention_with_lse,
    naive_block_sparse_attention,
    run_config,
)
from li_env.kernels.block_sparse_attention.configs import CONFIGS, default_config
from li_env.kernels.tile_order import tile_layout, tile_order, tile_table
from tests.kernels.problems import Problem, make_problem, relative_rms, used_rows

PORTABLE = [name for name, config in CONFIGS.items() if not config.specialized]
RAGGED = {"query_lengths": [[30, 32, 7], [32, 32]], "key_lengths": [[32, 32, 20, 32], [32]], "always": [[40, 3], [64]]}


def plain_torch(problem: Problem) -> torch.Tensor:
    """Every query tile alone through torch in the problem's own type: the error that a kernel may be compared with."""
    output = torch.zeros_like(problem.query)
    for b, tiles in enumerate(problem.layout.queries.counts):
        for tile in range(tiles):
            first = int(problem.layout.queries.starts[b, tile])
            rows = slice(first, first + int(problem.layout.queries.lengths[b, tile]))
            for head in range(problem.query.shape[1]):
                tokens = [t for first, stop in problem.layout.always.ranges[b] for t in range(first, stop)]
                kept = problem.lists.indices[b, head, tile, : int(problem.lists.counts[b, head, tile])]
                for index in kept.tolist():
                    start = int(problem.layout.keys.starts[b, index])
                    tokens += range(start, start + int(problem.layout.keys.lengths[b, index]))
                key, value = problem.key[b, head, tokens], problem.value[b, head, tokens]
                query = problem.query[b, head, rows]
                weights = (query @ key.T * query.shape[-1] ** -0.5).softmax(dim=-1)
                output[b, head, rows] = weights @ value
    return output


def check(problem: Problem, output: torch.Tensor, lse: torch.Tensor) -> None:
    expected, expected_lse = naive_block_sparse_attention(
        problem.query, problem.key, problem.value, problem.layout, problem.lists
    )
    assert output.dtype == problem.query.dtype
    allowed = 2 * relative_rms(plain_torch(problem), expected) + 1e-7
    assert relative_rms(output, expected) <= max(allowed, 1e-6 if output.dtype == torch.float32 else 0)
    rows = used_rows(problem)[:, None].expand(lse.shape)
    torch.testing.assert_close(
        lse[rows], expected_lse[rows], atol=2e-3 if output.dtype != torch.float32 else 1e-5, rtol=0
    )
    assert (output[~rows] == 0).all()
    assert (lse[~rows] == -torch.inf).all()


@pytest.mark.parametrize("config", PORTABLE)
def test_triton_equals_the_readable_version_with_nan_around_every_tile(config, dtype, device):
    problem = make_problem(**RAGGED, width=40, dtype=dtype, device=device)
    check(problem, *run_config(config, problem.query, problem.key, problem.value, problem.layout, problem.lists))


@pytest.mark.parametrize("width", [32, 64, 80, 128])
def test_triton_head_widths(width, device):
    problem = make_problem([[17]], [[16, 9]], [[5]], heads=1, width=width, dtype=torch.float16, device=device)
    check(
        problem,
        *run_config("descriptor-64x64", problem.query, problem.key, problem.value, problem.layout, problem.lists),
    )


@pytest.mark.parametrize("config", ["pointer-128x64", "descriptor-64x64"])
def test_triton_tiles_longer_than_a_step(config, device):
    problem = make_problem([[128, 70]], [[128, 96, 128]], [[130]], heads=1, device=device)
    check(problem, *run_config(config, problem.query, problem.key, problem.value, problem.layout, problem.lists))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_torch_path_equals_the_readable_version(dtype):
    problem = make_problem(**RAGGED, width=40, dtype=dtype)
    check(
        problem,
        *block_sparse_attention_with_lse(problem.query, problem.key, problem.value, problem.layout, problem.lists),
    )


lengths = st.lists(st.integers(1, 16), max_size=4)


@settings(max_examples=30, deadline=None)
@given(
    batch=st.lists(
        st.tuples(lengths, lengths, st.lists(st.integers(1, 20), min_size=1, max_size=2)), min_size=1, max_size=3
    ),
    keep=st.sampled_from([0.3, 0.7, 1.0]),
    seed=st.integers(0, 99),
)
def test_torch_path_takes_any_ragged_batch(batch, keep, seed):
    queries, keys, always = (list(column) for column in zip(*batch, strict=True))
    problem = make_problem(queries, keys, always, heads=1, keep=keep, seed=seed)
    output, lse = block_sparse_attention_with_lse(
        problem.query, problem.key, problem.value, problem.layout, problem.lists
    )
    expected, expected_lse = naive_block_sparse_attention(
        problem.query, problem.key, problem.value, problem.layout, problem.lists
    )
    torch.testing.assert_close(output, expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(lse, expected_lse, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("path", ["torch", "pointer-128x64", "descriptor-64x64"])
@pytest.mark.parametrize("cut", ["grid", "serpentine"])
def test_ratio_one_equals_dense_on_an_odd_grid(path, cut, device):
    history, own, text = tile_order((3, 5, 7), (2, 3, 4), cut), tile_order((2, 5, 7), (2, 3, 4), cut), 9
    middle = text + history.permutation.numel()
    total = middle + own.permutation.numel()
    layout = tile_layout(
        tile_table([own.starts], [own.lengths], device),
        tile_table([history.starts + text], [history.lengths], device),
        [[(0, text), (middle, total)]],
    )
    generator = torch.Generator().manual_seed(0)
    query, key, value = (
        torch.randn(1, 2, n, 32, generator=generator).to(device) for n in (total - middle, total, total)
    )
    plan = selection_plan(layout, 1.0)
    lists = block_select(tile_means(query, layout.queries), tile_means(key, layout.keys), plan)
    if path == "torch":
        output = block_sparse_attention(query, key, value, layout, lists)
    else:
        output = run_config(path, query, key, value, layout, lists)[0]
    assert relative_rms(output, scaled_dot_product_attention(query.double(), key.double(), value.double())) < 1e-5


def test_keys_may_live_in_a_larger_buffer(device):
    problem = make_problem(**RAGGED, device=device)
    tokens = problem.key.shape[2]
    buffers = [torch.full((2, 2, tokens + 11, 32), torch.nan, device=device) for _ in range(2)]
    for buffer, x in zip(buffers, (problem.key, problem.value), strict=True):
        buffer[:, :, :tokens] = x
    key, value = (buffer[:, :, :tokens] for buffer in buffers)
    check(problem, *block_sparse_attention_with_lse(problem.query, key, value, problem.layout, problem.lists))
    for name in ("pointer-128x64", "descriptor-64x64"):
        check(problem, *run_config(name, problem.query, key, value, problem.layout, problem.lists))


@pytest.mark.parametrize("path", ["torch", "pointer-128x64"])
def test_an_empty_list_gives_zero_and_minus_infinity(path, device):
    layout = tile_layout(tile_table([[0]], [[8]], device), tile_table([[0]], [[8]], device))
    lists = tile_lists(torch.zeros(1, 1, 1, 1, dtype=torch.int64), torch.zeros(1, 1, 1, dtype=torch.int64), layout)
    query, key = torch.randn(1, 1, 8, 32, device=device), torch.full((1, 1, 8, 32), torch.nan, device=device)
    if path == "torch":
        output, lse = block_sparse_attention_with_lse(query, key, key, layout, lists)
    else:
        output, lse = run_config(path, query, key, key, layout, lists)
    assert (output == 0).all()
    assert (lse == -torch.inf).all()


def test_gradients_take_the_torch_path():
    problem = make_problem([[8]], [[8]], [[4]], heads=1)
    query = problem.query.nan_to_num().requires_grad_()
    key, value = problem.key.nan_to_num(), problem.value.nan_to_num()
    block_sparse_attention(query, key, value, problem.layout, problem.lists).sum().backward()
    assert query.grad is not None
    assert query.grad.abs().sum() > 0


def test_scale_is_used():
    problem = make_problem(**RAGGED)
    arguments = (problem.query, problem.key, problem.value, problem.layout, problem.lists)
    expected = naive_block_sparse_attention(*arguments, scale=0.5)[0]
    torch.testing.assert_close(block_sparse_attention(*arguments, scale=0.5), expected, atol=1e-5, rtol=1e-4)
    actual = run_config("pointer-128x64", *arguments, scale=0.5)[0]
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-4)
    assert relative_rms(expected, naive_block_sparse_attention(*arguments)[0]) > 0.01


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"query": lambda x: x.half()}, "key: torch.float32 on cpu: query has torch.float16"),
        ({"key": lambda x: x.double()}, "key: torch.float64: allowed are"),
        ({"value": lambda x: x.transpose(1, 2).contiguous().transpose(1, 2)}, "value: strides"),
        ({"key": lambda x: x[:, :, :-8], "value": lambda x: x[:, :, :-8]}, r"key: \d+ tokens: the layout reaches to"),
        ({"query": lambda x: x[..., :24].contiguous(), "key": lambda x: x[..., :24].contiguous(),
          "value": lambda x: x[..., :24].contiguous()}, "head width 24: allowed are multiples of 8 from 32 to 128"),
        ({"query": lambda x: x[:1]}, "do not fit query"),
        ({"scale": -1.0}, "scale=-1.0: a number above 0"),
        ({"query": lambda x: x[:, :1].contiguous(), "key": lambda x: x[:, :1].contiguous(),
          "value": lambda x: x[:, :1].contiguous()}, r"lists: made for .*\(2, 2, 3\), not \(2, 1, 3\)"),
    ],
)  # fmt: skip
def test_bad_tensors_are_named(change, message):
    problem = make_problem(**RAGGED)
    tensors = {"query": problem.query, "key": problem.key, "value": problem.value}
    scale = change.get("scale")
    tensors = {name: change[name](x) if name in change else x for name, x in tensors.items()}
    with pytest.raises(ValueError, match=message):
        block_sparse_attention(**tensors, layout=problem.layout, lists=problem.lists, scale=scale)


def test_every_chip_has_a_known_variant():
    for capability in ((8, 0), (8, 6), (8, 9), (9, 0), (10, 0), (12, 0)):
        for width in (64, 128):
            for dtype in (torch.bfloat16, torch.float32):
                assert default_config(capability, width, dtype) in CONFIGS


def test_a_batch_of_worlds_equals_the_worlds_one_by_one():
    together = make_problem(**RAGGED)
    output = block_sparse_attention(together.query, together.key, together.value, together.layout, together.lists)
    starts = [together.layout.keys.starts[w, : together.layout.keys.counts[w]].numpy() for w in range(2)]
    rows = [together.layout.queries.starts[w, : together.layout.queries.counts[w]].numpy() for w in range(2)]
    for b in range(2):
        alone = tile_layout(
            tile_table([rows[b]], [RAGGED["query_lengths"][b]]),
            tile_table([starts[b]], [RAGGED["key_lengths"][b]]),
            [together.layout.always.ranges[b]],
        )
        tiles = rows[b].size
        lists = tile_lists(
            together.lists.indices[b : b + 1, :, :tiles].contiguous(),
            together.lists.counts[b : b + 1, :, :tiles].contiguous(),
            alone,
        )
        part = slice(b, b + 1)
        single = block_sparse_attention(together.query[part], together.key[part], together.value[part], alone, lists)
        np.testing.assert_allclose(output[part].numpy(), single.numpy(), atol=1e-6)
