"""Inputs of causal convolutions: Triton (interpreted on a CPU) against torch, torch against the definition."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import silu

from li_env.kernels.extended_frames import extended_frames, naive_extended_frames


def frames(batch: int, count: int, height: int, width: int, channels: int, dtype, device: str) -> torch.Tensor:
    """Make a view into larger frames, as convolutions return it."""
    generator = torch.Generator().manual_seed(count)
    whole = torch.randn(batch, count, height + 2, width + 2, channels, generator=generator) * 3
    return whole.to(dtype).to(device)[:, :, :height, :width]


def test_definition():
    x, gamma = frames(2, 3, 4, 5, 8, torch.float64, "cpu"), torch.randn(8)
    past = torch.randn(2, 2, 6, 7, 8, dtype=torch.float64)
    found = naive_extended_frames(x, gamma, past)
    assert found.shape == (2, 5, 6, 7, 8) and found.is_contiguous()
    assert torch.equal(found[:, :2], past)
    expected = silu(x / x.square().mean(-1, keepdim=True).sqrt() * gamma)
    torch.testing.assert_close(found[:, 2:, 1:-1, 1:-1], expected, rtol=1e-5, atol=1e-5)
    for ours, edge in (
        (found[:, :, 0], found[:, :, 1]), (found[:, :, -1], found[:, :, -2]),
        (found[:, :, :, 0], found[:, :, :, 1]), (found[:, :, :, -1], found[:, :, :, -2]),
    ):  # fmt: skip
        assert torch.equal(ours[:, 2:], edge[:, 2:])


def test_the_first_frame_stands_for_the_past():
    x = frames(1, 3, 4, 5, 8, torch.float32, "cpu")
    found = naive_extended_frames(x, None, None)
    assert torch.equal(found[:, 0], found[:, 2]) and torch.equal(found[:, 1], found[:, 2])
    assert torch.equal(found[:, 2:, 1:-1, 1:-1], x)


def test_zeros_around_and_before():
    x, gamma = frames(1, 2, 3, 4, 8, torch.float32, "cpu") + 1, torch.ones(8)
    found = naive_extended_frames(x, gamma, None, "zero")
    inner = found[:, 2:, 1:-1, 1:-1]
    assert (inner.abs().sum(-1) > 0).all() and found.abs().sum() == inner.abs().sum()
    torch.testing.assert_close(inner, naive_extended_frames(x, gamma, None)[:, 2:, 1:-1, 1:-1])


@pytest.mark.parametrize("edge", ["repeat", "zero"])
@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("normed", [False, True])
@pytest.mark.parametrize(("batch", "count", "height", "width", "channels"), [(1, 1, 2, 3, 16), (2, 2, 3, 9, 24)])
def test_triton_against_torch(batch, count, height, width, channels, normed, begun, edge, dtype, device):
    pytest.importorskip("triton")
    from li_env.kernels.extended_frames.triton import triton_extended_frames

    x = frames(batch, count, height, width, channels, dtype, device)
    gamma = torch.randn(channels).to(dtype).to(device) if normed else None
    past = torch.randn(batch, 2, height + 2, width + 2, channels).to(dtype).to(device) if begun else None
    found = triton_extended_frames(x, gamma, past, edge)
    assert found.is_contiguous() and found.dtype == dtype
    tolerance = 1e-6 if dtype == torch.float32 else 4e-3
    torch.testing.assert_close(found, naive_extended_frames(x, gamma, past, edge), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.zeros(1, 2, 3, 4)}, r"x: shape \(1, 2, 3, 4\)"),
        ({"x": torch.zeros(1, 8, 2, 3, 4).permute(0, 2, 3, 4, 1)}, "adjacent channels"),
        ({"edge": "mirror"}, "edge='mirror' is unknown; allowed: repeat, zero"),
        ({"gamma": torch.zeros(7)}, r"gamma: shape \(7,\): \[8\]"),
        ({"past": torch.zeros(1, 2, 3, 4, 8)}, r"past: shape .*: contiguous \(1, 2, 5, 6, 8\)"),
    ],
)
def test_bad_input(change, message):
    given = {"x": torch.zeros(1, 2, 3, 4, 8), "gamma": None, "past": None}
    with pytest.raises(ValueError, match=message):
        extended_frames(**{**given, **change})
