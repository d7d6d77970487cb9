"""FlexAttention, and dense attention of torch, on the problems of ``block_sparse_attention.py``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from benchmarks.kernels.block_sparse_cases import TEXT, Case


def flex_attention_of(case: Case) -> Callable[[], Any]:
    """FlexAttention on the same lists: every tile padded to 128 positions, positions without a token masked out."""
    from torch.nn.attention.flex_attention import BlockMask, flex_attention

    device = case.query.device
    text_blocks = [(at, min(128, TEXT - at)) for at in range(0, TEXT, 128)]
    starts, lengths = case.layout.keys.starts[0].tolist(), case.layout.keys.lengths[0].tolist()
    own = list(zip(case.layout.queries.starts[0].tolist(), case.layout.queries.lengths[0].tolist(), strict=True))
    ranges = case.layout.always.ranges[0]
    current = [(ranges[1][0] + first, size) for first, size in own] if len(ranges) > 1 else []
    blocks = text_blocks + list(zip(starts, lengths, strict=True)) + current

    def padded(x: torch.Tensor, pieces: list[tuple[int, int]]) -> tuple[torch.Tensor, torch.Tensor]:
        position = torch.arange(128)
        tokens = torch.cat([first + torch.where(position < size, position, 0) for first, size in pieces]).to(device)
        return x[:, :, tokens].contiguous(), torch.cat([position < size for _, size in pieces]).to(device)

    query, _ = padded(case.query, own)
    key, valid = padded(case.key, blocks)
    value, _ = padded(case.value, blocks)
    chosen = case.lists.indices.long()
    always = [*range(len(text_blocks)), *range(len(blocks) - len(current), len(blocks))]
    fixed = torch.tensor(always, device=device).expand(*chosen.shape[:3], -1)
    listed = torch.cat([fixed, torch.where(chosen >= 0, chosen + len(text_blocks), len(blocks))], dim=-1)
    sizes = torch.tensor([size for _, size in blocks] + [0], device=device)[listed]

    def ordered(keep: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        order = (~keep).to(torch.int8).sort(dim=-1, stable=True).indices
        numbers = listed.gather(-1, order).clamp(max=len(blocks) - 1)
        return keep.sum(-1, dtype=torch.int32), numbers.to(torch.int32).contiguous()

    partial, full = ordered((sizes > 0) & (sizes < 128)), ordered(sizes == 128)
    width = len(blocks)

    def grown(numbers: torch.Tensor) -> torch.Tensor:
        spare = torch.zeros((*numbers.shape[:3], width - numbers.shape[3]), dtype=torch.int32, device=device)
        return torch.cat([numbers, spare], dim=-1)

    mask = BlockMask.from_kv_blocks(
        partial[0], grown(partial[1]), full[0], grown(full[1]), BLOCK_SIZE=128,
        mask_mod=lambda b, h, q, kv: valid[kv],
    )  # fmt: skip
    compiled = torch.compile(flex_attention, dynamic=False)
    return lambda: compiled(query, key, value, block_mask=mask)


def dense_with(case: Case, backend: SDPBackend) -> Callable[[], Any]:
    """Dense attention of all queries over all keys through one backend of torch."""

    def run() -> Any:
        with sdpa_kernel(backend):
            return scaled_dot_product_attention(*case.tensors)

    return run
