"""Order of the tokens, tiles and what they may look at."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from li_env.accel.plan import AttentionPlan
from li_env.kernels.block_select import tile_means
from li_env.worlds.matrix_game_3.layout import FEWEST_TILES, TILE_SHAPE, ClipShape, TokenLayout, token_layout
from tests.kernels.problems import relative_rms

CPU = torch.device("cpu")
PUBLISHED = ClipShape((22, 40), 5, 4, 10)


def sparse(ratio: float = 0.2, first: bool = False) -> AttentionPlan:
    return AttentionPlan("block_sparse", decode_ratio=ratio, dense_first_block=first)


def layout_of(shape: ClipShape, attention: AttentionPlan, dropped: int | None = None, worlds: int = 1) -> TokenLayout:
    dropped = shape.memory + shape.given if dropped is None else dropped
    return token_layout(shape, dropped, attention, TILE_SHAPE, worlds, CPU)


@settings(deadline=None, max_examples=30)
@given(
    rows=st.integers(1, 9),
    columns=st.integers(1, 18),
    memory=st.integers(0, 5),
    parts=st.sampled_from([(1, 14), (4, 10), (4, 4), (2, 3)]),
    tiled=st.booleans(),
)
def test_every_token_has_one_place(rows: int, columns: int, memory: int, parts: tuple[int, int], tiled: bool) -> None:
    shape = ClipShape((rows, columns), memory, *parts)
    layout = layout_of(shape, sparse() if tiled else AttentionPlan())
    size = shape.latents * rows * columns
    x = torch.arange(size)
    sequence = layout.to_sequence(x, 0)
    assert sequence.sort().values.tolist() == list(range(size))
    place = sequence % (rows * columns)
    expected = torch.stack((sequence // (rows * columns), place // columns, place % columns), dim=-1)
    assert torch.equal(layout.token_coords, expected) and torch.equal(layout.frames, expected[:, 0])
    # Given latents come first, and what is dropped are exactly they.
    assert layout.known == layout.dropped == (memory + parts[0]) * rows * columns
    assert bool((layout.frames[: layout.known] < memory + parts[0]).all())
    assert torch.equal(layout.kept_to_grid(sequence[layout.dropped :], 0), x[layout.dropped :])
    # Every line is one position, in the order of time.
    assert torch.equal(layout.frames[layout.lines], torch.arange(shape.latents).expand(rows * columns, -1))
    assert torch.equal(place[layout.lines], torch.arange(rows * columns)[:, None].expand(-1, shape.latents))


def test_tiles_of_a_published_clip() -> None:
    layout = layout_of(PUBLISHED, sparse())
    assert layout.tiles is not None
    table = layout.tiles.every.layout.keys
    starts, lengths = (each[0].numpy() for each in (table.starts, table.lengths))
    assert lengths.sum() == 19 * 880 and lengths.max() == 128
    # 880 tokens of a memory latent in 7 tiles, 3520 of four latents in 28, 1760 of the last two in 14.
    assert len(lengths) == 5 * 7 + 28 + 28 + 28 + 14
    assert (lengths == 128).mean() > 0.93, "most tiles must fill a block"
    frames = layout.frames.numpy()
    parts = np.select([frames < 5, frames < 9], [frames, 5], 6)  # each memory latent, past, new
    for start, length in zip(starts, lengths, strict=True):
        assert len(set(parts[start : start + length].tolist())) == 1, "no tile holds tokens of two parts"


def test_near_tiles_are_kept_and_memory_has_no_neighbours() -> None:
    layout = layout_of(PUBLISHED, sparse())
    assert layout.tiles is not None
    near = layout.tiles.every.protected
    assert near is not None
    near = near[0].numpy()
    starts = layout.tiles.every.layout.keys.starts[0].numpy()
    frames, rows, columns = (layout.token_coords[:, axis].numpy()[starts] for axis in range(3))
    assert near.diagonal().all() and (near == near.T).all()
    for tile in np.flatnonzero(frames < 5):
        assert set(frames[near[tile]].tolist()) == {frames[tile]}
    past, new = np.flatnonzero((frames >= 5) & (frames < 9)), np.flatnonzero(frames >= 9)
    assert near[np.ix_(past, new)].any(), "the past lies beside the new latents"
    apart = np.abs(rows[:, None] - rows) + np.abs(columns[:, None] - columns)
    assert apart[near].max() < 22 + 16
    assert near.sum(axis=1).max() <= 3 * FEWEST_TILES


@pytest.mark.parametrize("ratio", [0.001, 0.175, 1.0])
def test_budget(ratio: float) -> None:
    layout = layout_of(PUBLISHED, sparse(ratio))
    assert layout.tiles is not None
    tiles = layout.tiles.every.layout.keys.counts[0]
    least = min(tiles, max(FEWEST_TILES, int(ratio * tiles + 1e-9)))
    kept, protected = layout.tiles.every.kept[0], layout.tiles.every.protected
    assert protected is not None
    assert torch.equal(kept, protected[0].sum(dim=1).clamp(min=least).int())
    # The last block asks for the new tokens alone, over the same keys.
    new = layout.tiles.kept.layout
    assert new.queries.covered == (10 * 880,) and new.keys.counts == (tiles,)
    assert torch.equal(layout.tiles.kept.kept[0], kept[-new.queries.counts[0] :])


def test_attention_over_chosen_tiles() -> None:
    """Query tiles see their own neighbourhood and the best others: against attention with a mask of tokens."""
    shape = ClipShape((12, 24), 2, 4, 8)
    layout = layout_of(shape, sparse(0.3), worlds=2)
    generator = torch.Generator().manual_seed(0)
    size = shape.latents * 288
    query, key, value = (torch.randn(2, 2, size, 32, generator=generator) for _ in range(3))
    assert layout.tiles is not None
    plan = layout.tiles.every
    table = plan.layout.keys
    scores = tile_means(query, plan.layout.queries) @ tile_means(key, table).transpose(-1, -2)
    assert plan.protected is not None
    scores = scores.masked_fill(plan.protected[:, None], torch.inf)
    order = scores.argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)
    chosen = order < plan.kept[:, None, :, None]
    tile = torch.repeat_interleave(torch.arange(table.counts[0]), table.lengths[0].long())
    mask = chosen[:, :, tile][:, :, :, tile]
    assert 0.2 < float(mask.float().mean()) < 0.8
    expected = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    assert relative_rms(layout.attend(1, query, key, value), expected) < 1e-5
    first = layout.dropped
    assert relative_rms(layout.attend(1, query[:, :, first:].contiguous(), key, value), expected[:, :, first:]) < 1e-5


def test_first_block_may_stay_dense() -> None:
    shape = ClipShape((12, 24), 2, 4, 8)
    query, key, value = torch.randn(3, 1, 2, shape.latents * 288, 32).unbind()
    dense = torch.nn.functional.scaled_dot_product_attention(query, key, value)
    assert relative_rms(layout_of(shape, sparse(0.2, first=True)).attend(0, query, key, value), dense) < 1e-5
    assert relative_rms(layout_of(shape, sparse(0.2, first=True)).attend(1, query, key, value), dense) > 1e-2
    assert relative_rms(layout_of(shape, sparse(0.2)).attend(0, query, key, value), dense) > 1e-2


def test_only_given_latents_can_be_dropped() -> None:
    with pytest.raises(ValueError, match="dropped_latents=10: allowed are 0 to 9"):
        layout_of(PUBLISHED, AttentionPlan(), 10)
