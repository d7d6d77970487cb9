"""Problems of ``block_sparse_attention.py`` at the shapes of HY-WorldPlay, their operations, and errors of a result."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from li_env.kernels.block_select import SelectionPlan, TileLists, block_select, selection_plan, tile_means
from li_env.kernels.tile_order import Cut, TileLayout, tile_layout, tile_order, tile_table

DEVICE = "cuda"
WORLDS, HEADS, WIDTH, TEXT = 2, 16, 128, 900
ROWS, COLUMNS, TILE = 30, 52, (4, 8, 4)


@dataclass(frozen=True)
class Case:
    """One problem and what was chosen for it."""

    name: str
    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    layout: TileLayout
    plan: SelectionPlan
    lists: TileLists

    @property
    def tensors(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Query, key, value."""
        return self.query, self.key, self.value


def make_case(
    kind: str, latents: int, cut: Cut, ratio: float | None, dtype: torch.dtype, rows: int = ROWS, heads: int = HEADS
) -> Case:
    """Random tensors at the shapes of a denoising step (``decode``) or of the context pass (``context``)."""
    history = tile_order((latents, rows, COLUMNS), TILE, cut)
    own = tile_order((4, rows, COLUMNS), TILE, cut)
    middle = TEXT + history.permutation.numel()
    keys = tile_table([history.starts + TEXT] * WORLDS, [history.lengths] * WORLDS, DEVICE)
    generator = torch.Generator(DEVICE).manual_seed(latents)
    if kind == "decode":
        queries = tile_table([own.starts] * WORLDS, [own.lengths] * WORLDS, DEVICE)
        total, count = middle + own.permutation.numel(), own.permutation.numel()
        layout = tile_layout(queries, keys, [[(0, TEXT), (middle, total)]] * WORLDS)
        plan = selection_plan(layout, 0.175 if ratio is None else ratio)
    else:
        queries = tile_table([history.starts] * WORLDS, [history.lengths] * WORLDS, DEVICE)
        total, count = middle, history.permutation.numel()
        layout = tile_layout(queries, keys, [[(0, TEXT)]] * WORLDS)
        protected = [history.neighbours()] * WORLDS if ratio is None else None
        plan = selection_plan(layout, 0.3 if ratio is None else ratio, minimum=7, protected=protected)
    query, key, value = (
        torch.randn(WORLDS, heads, n, WIDTH, generator=generator, device=DEVICE, dtype=dtype)
        for n in (count, total, total)
    )
    lists = block_select(tile_means(query, queries), tile_means(key, keys), plan)
    return Case(f"{kind}-{latents}-{cut}", query, key, value, layout, plan, lists)


def operations(case: Case) -> float:
    """Floating-point operations for true tokens: 2 products of 2 operations each."""
    lengths = case.layout.keys.lengths.cpu()
    own = case.layout.queries.lengths.cpu()
    total = 0
    for world, ranges in enumerate(case.layout.always.ranges):
        always = sum(stop - first for first, stop in ranges)
        chosen = case.lists.indices[world].cpu()
        attended = torch.where(chosen >= 0, lengths[world][chosen.clamp(min=0).long()], 0).sum(dim=-1)
        total += int(((attended + always) * own[world]).sum())
    return 4.0 * WIDTH * total


def relative_rms(actual: torch.Tensor, expected: torch.Tensor) -> float:
    """Root mean square error over root mean square."""
    return float((actual.double() - expected.double()).pow(2).mean().sqrt() / expected.double().pow(2).mean().sqrt())


def sample_errors(case: Case, output: torch.Tensor, lse: torch.Tensor) -> dict[str, float]:
    """Errors on some query tiles against float32, and those of plain torch in the same type."""
    ours, plain, lse_error = [], [], 0.0
    tiles = case.layout.queries.counts[0]
    for world, head, tile in ((0, 0, 0), (0, 1, tiles - 1), (WORLDS - 1, case.query.shape[1] - 1, tiles // 2)):
        start, length = (int(x[world, tile]) for x in (case.layout.queries.starts, case.layout.queries.lengths))
        tokens = [torch.arange(first, stop) for first, stop in case.layout.always.ranges[world]]
        for index in case.lists.indices[world, head, tile, : int(case.lists.counts[world, head, tile])].tolist():
            first = int(case.layout.keys.starts[world, index])
            tokens.append(torch.arange(first, first + int(case.layout.keys.lengths[world, index])))
        chosen = torch.cat(tokens).to(case.key.device)
        query, key, value = (
            case.query[world, head, start : start + length],
            case.key[world, head, chosen],
            case.value[world, head, chosen],
        )
        scores = query.double() @ key.double().T * WIDTH**-0.5
        exact = scores.softmax(dim=-1) @ value.double()
        low = (query @ key.T * WIDTH**-0.5).softmax(dim=-1) @ value
        ours.append(relative_rms(output[world, head, start : start + length], exact))
        plain.append(relative_rms(low, exact))
        lse_error = max(lse_error, float((lse[world, head, start : start + length] - scores.logsumexp(-1)).abs().max()))
    return {"error": max(ours), "torch_error": max(plain), "lse_error": lse_error}
