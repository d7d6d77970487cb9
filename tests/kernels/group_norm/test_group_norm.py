"""GroupNorm with SiLU: Triton (interpreted on a CPU) and torch against float64."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import group_norm, silu

from li_env.kernels.group_norm import group_norm_silu, naive_group_norm_silu
from tests.kernels.problems import relative_rms


def problem(shape: tuple[int, ...], mean: float, dtype: torch.dtype, device: str):
    generator = torch.Generator().manual_seed(shape[1])
    x = (torch.randn(shape, generator=generator) + mean).to(dtype).to(device)
    vectors = torch.randn(3, shape[1], generator=generator).to(dtype).to(device)
    return x.contiguous(memory_format=torch.channels_last), *vectors


def exact(x, groups, weight, bias, offset) -> torch.Tensor:
    moved = x.double() if offset is None else x.double() + offset.double()[:, None, None]
    return silu(group_norm(moved, groups, weight.double(), bias.double(), 1e-5))


@pytest.mark.parametrize("moved", [True, False])
@pytest.mark.parametrize(
    ("shape", "groups", "mean"),
    [((3, 48, 6, 8), 3, 0.0), ((2, 32, 19, 31), 2, 20.0), ((1, 15, 1, 7), 3, -4.0), ((2, 6, 5, 1), 6, 1.0)],
)
def test_triton_against_float64(shape, groups, mean, moved, dtype, device):
    pytest.importorskip("triton")
    from li_env.kernels.group_norm.triton import triton_group_norm_silu

    x, weight, bias, offset = problem(shape, mean, dtype, device)
    given = (x, groups, weight, bias, offset if moved else None)
    expected, before = exact(*given), x.clone()
    ours, plain = triton_group_norm_silu(*given, 1e-5), naive_group_norm_silu(*given, 1e-5)
    assert ours.dtype == dtype and ours.shape == x.shape and torch.equal(x, before)
    least = 1e-6 if dtype == torch.float32 else 1e-4
    assert relative_rms(ours, expected) <= 2 * relative_rms(plain, expected) + least
    assert relative_rms(plain, expected) < (1e-4 if dtype == torch.float32 else 5e-3)


def test_other_memory_formats(device):
    pytest.importorskip("triton")
    from li_env.kernels.group_norm.triton import triton_group_norm_silu

    x, weight, bias, offset = problem((2, 32, 5, 6), 0.0, torch.float32, device)
    here = triton_group_norm_silu(x.contiguous(), 2, weight, bias, offset, 1e-5)
    torch.testing.assert_close(here, triton_group_norm_silu(x, 2, weight, bias, offset, 1e-5), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.zeros(32, 5, 6)}, r"x: shape \(32, 5, 6\)"),
        ({"x": torch.zeros(2, 32, 0, 6)}, r"x: shape \(2, 32, 0, 6\)"),
        ({"groups": 3}, "groups: 3: a divisor of 32"),
        ({"groups": 0}, "groups: 0"),
        ({"weight": torch.zeros(16)}, r"weight: shape \(16,\): \[32\]"),
        ({"offset": torch.zeros(1, 32)}, r"offset: shape \(1, 32\)"),
    ],
)
def test_bad_input(change, message):
    x, weight, bias, offset = problem((2, 32, 5, 6), 0.0, torch.float32, "cpu")
    given = {"x": x, "groups": 2, "weight": weight, "bias": bias, "offset": offset}
    with pytest.raises(ValueError, match=message):
        group_norm_silu(**{**given, **change})
