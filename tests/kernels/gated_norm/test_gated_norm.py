"""Residual update and modulated norm: Triton (interpreted on a CPU) and torch against float64."""

from __future__ import annotations

import pytest
import torch

from li_env.kernels.gated_norm import gated_norm, naive_gated_norm
from tests.kernels.problems import relative_rms


def problem(tokens: int, width: int, batch: int, branches: int, dtype: torch.dtype, device: str):
    generator = torch.Generator().manual_seed(tokens + width)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator).to(dtype).to(device)

    vectors = random(batch, 5, 6 * width).chunk(6, dim=-1)  # not contiguous: pieces of one projection
    frames = torch.randint(0, 5, (tokens,), generator=generator, dtype=torch.int32).to(device)
    z = random(batch, tokens, width) + 3
    parts = [random(batch, tokens, width) for _ in range(branches)]
    return z, parts, vectors[2] if branches else None, vectors[0], vectors[1], frames


def exact(z, parts, gate, shift, scale, frames) -> tuple[torch.Tensor, torch.Tensor]:
    z, shift, scale = z.double().clone(), shift.double()[:, frames], scale.double()[:, frames]
    if gate is not None:
        z = z + gate.double()[:, frames] * sum(part.double() for part in parts)
    centred = z - z.mean(-1, keepdim=True)
    return z, centred / (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt() * (1 + scale) + shift


@pytest.mark.parametrize("branches", [0, 1, 2])
@pytest.mark.parametrize(("tokens", "width", "batch"), [(7, 64, 1), (33, 48, 2)])
def test_triton_against_float64(branches, tokens, width, batch, dtype, device):
    pytest.importorskip("triton")
    from li_env.kernels.gated_norm.triton import triton_gated_norm

    given = problem(tokens, width, batch, branches, dtype, device)
    z_expected, y_expected = exact(*given)
    errors = []
    for function in (triton_gated_norm, naive_gated_norm):
        z = given[0].clone()
        y = function(z, *given[1:])
        assert y.dtype == dtype and y.shape == z.shape
        assert branches or torch.equal(z, given[0])
        errors.append((relative_rms(z, z_expected), relative_rms(y, y_expected)))
    least = 1e-7 if dtype == torch.float32 else 1e-4
    assert errors[0][0] <= 2 * errors[1][0] + least and errors[0][1] <= 2 * errors[1][1] + least
    assert errors[1][1] < (1e-6 if dtype == torch.float32 else 5e-3)


def test_z_is_overwritten():
    z, parts, gate, shift, scale, frames = problem(6, 16, 1, 1, torch.float32, "cpu")
    before = z.clone()
    gated_norm(z, parts, gate, shift, scale, frames)
    torch.testing.assert_close(z, before + gate[:, frames] * parts[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"branches": []}, "branches: 0 with gate=given"),
        ({"gate": None}, "branches: 1 with gate=none"),
        ({"branches": [torch.zeros(1, 6, 8)]}, r"branches: shape \(1, 6, 8\)"),
        ({"shift": torch.zeros(1, 5, 8)}, "shift: shape"),
        ({"scale": torch.zeros(2, 5, 16)}, "scale: shape"),
        ({"gate": torch.zeros(5, 16)}, "gate: shape"),
        ({"frames": torch.zeros(5, dtype=torch.int32)}, r"frames: shape \(5,\): \[6\]"),
    ],
)
def test_bad_input(change, message):
    names = ("z", "branches", "gate", "shift", "scale", "frames")
    given = dict(zip(names, problem(6, 16, 1, 1, torch.float32, "cpu"), strict=True))
    with pytest.raises(ValueError, match=message):
        gated_norm(**{**given, **change})
