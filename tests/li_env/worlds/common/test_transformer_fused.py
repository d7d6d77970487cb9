"""The fused transformer equals the readable one (small random weights, float32)."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
import torch

from li_env.accel.plan import AttentionPlan
from li_env.worlds.common.tile_attention import ChunkShape, SparseAttention
from li_env.worlds.common.transformer import CameraTables, TransformerConfig, VideoTransformer
from li_env.worlds.common.transformer_fused import Context, context_pass, denoise

GRID, TILE = (5, 6), (4, 2, 3)
CONTEXT, CURRENT, TEXT, HEADS, WIDTH, DEPTH = 7, 4, 5, 2, 32, 3


class Words(NamedTuple):
    keys: torch.Tensor
    values: torch.Tensor


def make_model(modulation: Any) -> VideoTransformer:
    torch.manual_seed(0)
    config = TransformerConfig(6, 6, HEADS * WIDTH, HEADS, DEPTH, modulation=modulation, action_labels=True)
    model = VideoTransformer(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3 / max(1, parameter.shape[-1]) ** 0.5)
    return model.requires_grad_(False)


@pytest.fixture(scope="module", params=["block", "shared"])
def model(request: pytest.FixtureRequest) -> VideoTransformer:
    return make_model(request.param)


def cameras(batch: int, frames: int, generator: torch.Generator) -> CameraTables:
    angle = 0.3 * torch.randn(batch, 1, frames * GRID[0] * GRID[1], WIDTH // 2, generator=generator)
    matrix = torch.eye(4) + 0.2 * torch.randn(batch, frames, 4, 4, generator=generator)
    return CameraTables(angle.cos(), angle.sin(), matrix.transpose(-1, -2), torch.linalg.inv(matrix), matrix)


class Given:
    def __init__(self, batch: int, text: int, seed: int = 1) -> None:
        generator = torch.Generator().manual_seed(seed)

        def random(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, generator=generator)

        tokens = GRID[0] * GRID[1]
        self.batch, self.text = batch, text
        self.history, self.current = random(batch, CONTEXT, tokens, 6), random(batch, CURRENT, tokens, 6)
        self.history_tables, self.current_tables = (
            cameras(batch, CONTEXT, generator),
            cameras(batch, CURRENT, generator),
        )
        self.time = torch.rand(batch, CURRENT, generator=generator) * 1000
        self.action = torch.randint(0, 9, (batch, CONTEXT), generator=generator).float()
        shape = (DEPTH, HEADS, text, WIDTH)
        self.words = Words(random(*shape), random(*shape)) if text else None

    @property
    def labels(self) -> torch.Tensor:
        return torch.full(self.history.shape[:2], 14.0)

    def plain(self, model: VideoTransformer, sparse: SparseAttention | None, history: bool = True) -> torch.Tensor:
        words = self.words and [
            tuple(part.expand(2 * self.batch, -1, -1, -1) for part in pair) for pair in zip(*self.words, strict=True)
        ]
        tiles = (None, None) if sparse is None else (sparse.context, sparse.denoising)
        context = words
        if history:
            own = model.context_pass(self.history, self.labels, self.history_tables, words, self.action, tiles[0])
            context = (
                own
                if words is None
                else [
                    tuple(torch.cat(pair, dim=2) for pair in zip(*both, strict=True))
                    for both in zip(words, own, strict=True)
                ]
            )
        return model(self.current, self.time, self.current_tables, context, self.action[:, :CURRENT], tiles[1])

    def context(self, model: VideoTransformer, sparse: SparseAttention | None) -> Context:
        tiles = None if sparse is None else sparse.context
        return context_pass(model, self.history, self.labels, self.history_tables, self.words, self.action, tiles)

    def fast(
        self, model: VideoTransformer, sparse: SparseAttention | None, history: bool = True, steps: int = 1
    ) -> torch.Tensor:
        context = self.context(model, sparse) if history else None
        tiles = None if sparse is None else sparse.denoising
        x = self.current
        for _ in range(steps):
            x = denoise(
                model,
                self.current,
                self.time,
                self.current_tables,
                context,
                self.words,
                self.action[:, :CURRENT],
                tiles,
            )
        return x


def sparse(given: Given, ratios: tuple[float, float], dense_first_block: bool = True) -> SparseAttention:
    plan = AttentionPlan("block_sparse", *ratios, dense_first_block)
    return SparseAttention(plan, ChunkShape(GRID, TILE, CONTEXT, CURRENT, given.batch, given.text))


@pytest.mark.parametrize("text", [0, TEXT])
@pytest.mark.parametrize("batch", [1, 2])
def test_dense_equals_the_readable_transformer(model: VideoTransformer, batch: int, text: int) -> None:
    given = Given(batch, text)
    for history in (True, False):
        torch.testing.assert_close(given.fast(model, None, history), given.plain(model, None, history))


@pytest.mark.parametrize("text", [0, TEXT])
@pytest.mark.parametrize("dense_first_block", [False, True])
def test_sparse_equals_the_readable_transformer(model: VideoTransformer, dense_first_block: bool, text: int) -> None:
    given = Given(1, text)
    ratios = (0.3, 0.5)
    fast = given.fast(model, sparse(given, ratios, dense_first_block), steps=3)
    plain = given.plain(model, sparse(given, ratios, dense_first_block))
    torch.testing.assert_close(fast, plain)
    assert (plain - given.plain(model, None)).norm() > 1e-4 * plain.norm()


def test_everything_kept_equals_dense(model: VideoTransformer) -> None:
    given = Given(1, TEXT)
    torch.testing.assert_close(given.fast(model, sparse(given, (1.0, 1.0), False)), given.fast(model, None))


def test_a_context_holds_two_projections_and_is_not_changed_by_using_it() -> None:
    model, given = make_model("block"), Given(1, TEXT)
    context = given.context(model, None)
    tokens = CONTEXT * GRID[0] * GRID[1]
    assert len(context) == tokens
    assert context.keys.shape == context.values.shape == (DEPTH, 1, tokens, HEADS * WIDTH)
    before = context.keys.clone(), context.values.clone()
    calls = [
        denoise(model, given.current, given.time, given.current_tables, context, given.words, given.action[:, :CURRENT])
        for _ in range(2)
    ]
    assert torch.equal(*calls)
    assert torch.equal(context.keys, before[0]) and torch.equal(context.values, before[1])


@pytest.mark.parametrize("text", [0, TEXT])
def test_kept_branches_change_no_bit(model: VideoTransformer, text: int) -> None:
    """Calls with one context, the last of them of another shape."""
    given = Given(2, text)
    contexts = [
        context_pass(model, given.history, given.labels, given.history_tables, given.words, given.action, keep=keep)
        for keep in (False, True)
    ]
    own = given.current_tables
    short = CameraTables(
        *(table[:, :, : GRID[0] * GRID[1]] for table in (own.cos, own.sin)),
        *(table[:, :1] for table in (own.query_matrices, own.key_matrices, own.output_matrices)),
    )
    for frames, seed in ((CURRENT, 0), (CURRENT, 1), (1, 2)):
        noise = torch.randn(given.current[:, :frames].shape, generator=torch.Generator().manual_seed(seed))
        tables = own if frames == CURRENT else short
        made = [
            denoise(model, noise, given.time[:, :frames], tables, context, given.words, given.action[:, :frames])
            for context in contexts
        ]
        assert torch.equal(*made)
    assert not contexts[0].kept and len(contexts[1].kept) == DEPTH


def test_means_of_another_context_are_never_taken(model: VideoTransformer) -> None:
    """One `SparseAttention` with two contexts in turn."""
    first, second = Given(1, 0, seed=5), Given(1, 0)
    shared = sparse(first, (0.3, 0.3))
    first.fast(model, shared)
    assert torch.equal(second.fast(model, shared), second.fast(model, sparse(second, (0.3, 0.3))))
