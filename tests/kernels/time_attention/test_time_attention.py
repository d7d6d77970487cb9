"""Attention along time: Triton (interpreted on a CPU) and torch against float64."""

from __future__ import annotations

import pytest
import torch

from li_env.kernels.rms_rotary import RotaryTables, rotary_tables
from li_env.kernels.time_attention import naive_time_attention, time_attention
from tests.kernels.problems import relative_rms


def problem(positions: int, latents: int, heads: int, width: int, batch: int, pairs: int, dtype, device):
    generator = torch.Generator().manual_seed(latents)
    tokens = positions * latents
    qkv = torch.randn(batch, tokens, 3 * heads * width, generator=generator).to(dtype).to(device)
    lines = torch.randperm(tokens, generator=generator).view(positions, latents).to(device)
    slots = torch.arange(latents) % 4
    places = torch.arange(latents)[:, None].to(device)
    base = torch.tensor([16.0], dtype=torch.float64, device=device)
    return qkv, lines, rotary_tables([slots.to(device)], [pairs], base, places)


def exact(qkv: torch.Tensor, heads: int, lines: torch.Tensor, slots: RotaryTables) -> torch.Tensor:
    parts = qkv.double()[:, lines].unflatten(-1, (3, heads, -1)).permute(3, 0, 1, 4, 2, 5)  # [3, B, n, H, T, D]
    query, key, value = parts
    turn = torch.polar(torch.ones_like(slots.cos), torch.atan2(slots.sin, slots.cos)).squeeze(2)[0].to(torch.complex128)
    rotated = []
    for each in (query, key):
        each = each / (each.square().mean(-1, keepdim=True) + 1e-6).sqrt()
        first = 2 * turn.shape[-1]
        pairs = torch.view_as_complex(each[..., :first].unflatten(-1, (-1, 2)).contiguous()) * turn
        rotated.append(torch.cat((torch.view_as_real(pairs).flatten(-2), each[..., first:]), dim=-1))
    weights = (rotated[0] @ rotated[1].transpose(-1, -2) * value.shape[-1] ** -0.5).softmax(-1)
    mixed = (weights @ value).permute(0, 1, 3, 2, 4).flatten(3)  # [B, n, T, H * D]
    out = torch.zeros(*qkv.shape[:2], mixed.shape[-1], dtype=torch.float64, device=qkv.device)
    out[:, lines] = mixed
    return out


@pytest.mark.parametrize(
    ("positions", "latents", "heads", "width", "batch", "pairs"),
    [(5, 19, 2, 16, 1, 4), (3, 14, 3, 32, 2, 2), (4, 1, 1, 64, 1, 4), (2, 33, 2, 24, 1, 12)],
)
def test_triton_against_float64(positions, latents, heads, width, batch, pairs, dtype, device):
    pytest.importorskip("triton")
    from li_env.kernels.time_attention.triton import triton_time_attention

    qkv, lines, slots = problem(positions, latents, heads, width, batch, pairs, dtype, device)
    expected = exact(qkv, heads, lines, slots)
    ours, plain = (
        function(qkv, heads, lines, slots, 1e-6) for function in (triton_time_attention, naive_time_attention)
    )
    errors = [relative_rms(each, expected) for each in (ours, plain)]
    assert ours.dtype == dtype and ours.shape == expected.shape
    assert errors[0] <= 2 * errors[1] + 1e-6
    assert errors[1] < (1e-6 if dtype == torch.float32 else 2e-3)


def test_positions_do_not_mix():
    qkv, lines, slots = problem(3, 5, 2, 16, 1, 4, torch.float32, "cpu")
    before = time_attention(qkv, 2, lines, slots)
    changed = qkv.clone()
    changed[:, lines[1]] += 1
    after = time_attention(changed, 2, lines, slots)
    same = (before == after).all(dim=-1)[0]
    assert bool(same[lines[[0, 2]].flatten()].all()) and not bool(same[lines[1]].any())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"qkv": torch.zeros(1, 15, 90)}, r"qkv: shape \(1, 15, 90\)"),
        ({"lines": torch.zeros(3, 4, dtype=torch.int64)}, r"lines: shape \(3, 4\): \[positions, latents\] of 15"),
        ({"lines": torch.arange(15).view(5, 3)}, r"slots: .* 3 rows"),
    ],
)
def test_bad_input(change, message):
    qkv, lines, slots = problem(3, 5, 2, 16, 1, 4, torch.float32, "cpu")
    with pytest.raises(ValueError, match=message):
        time_attention(**{**{"qkv": qkv, "heads": 2, "lines": lines, "slots": slots}, **change})
