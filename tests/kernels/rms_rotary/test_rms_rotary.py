"""Norm, heads and rotation: Triton (interpreted on a CPU) and torch against float64."""

from __future__ import annotations

import pytest
import torch

from li_env.kernels.rms_rotary import RotaryTables, rms_rotary, rotary_tables
from li_env.kernels.rms_rotary.naive import naive_rms_rotary
from tests.kernels.problems import relative_rms


def tables(
    tokens: int, pairs: tuple[int, ...], heads: int, batch: int, device: str
) -> tuple[RotaryTables, torch.Tensor]:
    """Tables, and the angle of every batch entry, token, head and pair [B, S, H, R] in float64."""
    generator = torch.Generator().manual_seed(tokens)
    counts = [5 + axis for axis in range(len(pairs))]
    positions = [torch.randint(0, 3000, (batch, count), generator=generator) for count in counts]
    positions[-1] = positions[-1][0]  # the same for the whole batch
    places = torch.stack([torch.randint(0, count, (tokens,), generator=generator) for count in counts], dim=-1)
    bases = 1000.0 + 500 * torch.arange(heads, dtype=torch.float64)
    made = rotary_tables([each.to(device) for each in positions], pairs, bases.to(device), places.to(device))
    angles = []
    for axis, count in enumerate(pairs):
        of_tokens = positions[axis].expand(batch, -1)[:, places[:, axis]].double()
        exponents = -torch.arange(count, dtype=torch.float64) / max(count, 1)
        angles.append(of_tokens[..., None, None] * bases[:, None] ** exponents)
    return made, torch.cat(angles, dim=-1).to(device)


def exact(x: torch.Tensor, heads: int, weight: torch.Tensor | None, angles: torch.Tensor | None, per_head: bool):
    values = x.double().unflatten(-1, (heads, -1))
    values = values / (values.square().mean((-1,) if per_head else (-2, -1), keepdim=True) + 1e-6).sqrt()
    if weight is not None:
        values = values * weight.double().view(heads, -1)
    if angles is not None:
        rotated = angles.shape[-1]
        pairs = torch.view_as_complex(values[..., : 2 * rotated].unflatten(-1, (-1, 2)).contiguous())
        turned = torch.view_as_real(pairs * torch.polar(torch.ones_like(angles), angles)).flatten(-2)
        values = torch.cat((turned, values[..., 2 * rotated :]), dim=-1)
    return values.transpose(1, 2)


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("per_head", [True, False])
@pytest.mark.parametrize(
    ("heads", "width", "pairs", "table_heads", "batch"),
    [(3, 32, (6, 5, 5), 3, 2), (2, 16, (3,), 1, 1), (4, 24, None, 1, 2), (3, 20, (0, 4, 2), 1, 1)],
)
def test_triton_against_float64(weighted, per_head, heads, width, pairs, table_heads, batch, dtype, device):
    pytest.importorskip("triton")
    from li_env.kernels.rms_rotary.triton import triton_rms_rotary

    generator = torch.Generator().manual_seed(width)
    tokens = 5
    x = torch.randn(batch, tokens, 3 * heads * width, generator=generator).to(dtype).to(device)
    x = x[..., heads * width : 2 * heads * width]  # a piece of a joint projection
    weight = torch.randn(heads * width, generator=generator).to(dtype).to(device) if weighted else None
    made, angles = (None, None) if pairs is None else tables(tokens, pairs, table_heads, batch, device)
    expected = exact(x, heads, weight, angles, per_head)
    ours, plain = (
        function(x, heads, weight, made, 1e-6, per_head) for function in (triton_rms_rotary, naive_rms_rotary)
    )
    errors = [relative_rms(each, expected) for each in (ours, plain)]
    assert ours.dtype == dtype and ours.is_contiguous() and ours.shape == (batch, heads, tokens, width)
    for function in (triton_rms_rotary, naive_rms_rotary):
        view = function(x, heads, weight, made, 1e-6, per_head, interleaved=True)
        assert view.transpose(1, 2).is_contiguous()
        torch.testing.assert_close(view, function(x, heads, weight, made, 1e-6, per_head), atol=0, rtol=0)
    assert errors[0] <= 2 * errors[1] + 1e-7
    assert errors[1] < (1e-6 if dtype == torch.float32 else 1e-3)


def test_tables_of_some_tokens():
    made, _ = tables(11, (6, 5, 5), 3, 2, "cpu")
    x = torch.randn(2, 11, 96)
    tokens = torch.tensor([4, 1, 9])
    whole = rms_rotary(x, 3, tables=made)
    torch.testing.assert_close(
        rms_rotary(x[:, tokens], 3, tables=made.of_tokens(tokens)), whole[:, :, tokens].contiguous()
    )
    torch.testing.assert_close(
        rms_rotary(x[:, 3:], 3, tables=made.of_tokens(slice(3, None))), whole[:, :, 3:].contiguous()
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.zeros(1, 4, 30)}, r"x: shape \(1, 4, 30\)"),
        ({"x": torch.zeros(4, 32)}, r"x: shape \(4, 32\)"),
        ({"weight": torch.zeros(16)}, r"weight: shape \(16,\): \(32,\) is needed"),
        ({"x": torch.zeros(2, 5, 32)}, "tables: made for 4 tokens, x has 5"),
        ({"x": torch.zeros(3, 4, 32)}, "do not fit x"),
    ],
)
def test_bad_input(change, message):
    made, _ = tables(4, (4, 4), 2, 2, "cpu")
    given = {"x": torch.zeros(2, 4, 32), "heads": 2, "tables": made}
    with pytest.raises(ValueError, match=message):
        rms_rotary(**{**given, **change})
