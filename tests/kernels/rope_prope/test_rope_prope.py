"""Both attention branches: Triton (interpreted on a CPU) and torch against float64."""

from __future__ import annotations

import pytest
import torch

from li_env.kernels.rope_prope import join_branches, naive_join_branches, naive_split_branches, split_branches
from tests.kernels.problems import relative_rms

FRAMES = 3


def tables(tokens: int, width: int, batch: int, generator: torch.Generator, device: str):
    frames = torch.randint(0, FRAMES, (tokens,), generator=generator, dtype=torch.int32)
    matrices = torch.randn(batch, FRAMES, 4, 4, generator=generator)
    angle = torch.randn(tokens, width // 2, generator=generator)
    return matrices.to(device), frames.to(device), (angle.cos().to(device), angle.sin().to(device))


def project(x: torch.Tensor, matrices: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
    """x [B, H, S, D], group by group."""
    out = torch.empty_like(x)
    for b in range(x.shape[0]):
        for token in range(x.shape[2]):
            matrix = matrices[b, int(frames[token])].double()
            for group in range(0, x.shape[3], 4):
                piece = slice(group, group + 4)
                out[b, :, token, piece] = x[b, :, token, piece] @ matrix.T
    return out


def exact_split(x, heads, matrices, frames, rotation, weight) -> torch.Tensor:
    batch, tokens, _ = x.shape
    x = x.double().view(batch, tokens, heads, -1).transpose(1, 2)
    if weight is not None:
        x = x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * weight.double()
    turned = x.clone()
    if rotation is not None:
        cos, sin = (table.double().unsqueeze(-3) for table in rotation)
        turned[..., ::2] = x[..., ::2] * cos - x[..., 1::2] * sin
        turned[..., 1::2] = x[..., ::2] * sin + x[..., 1::2] * cos
    return torch.cat((turned, project(x, matrices, frames)))


@pytest.mark.parametrize(("tokens", "width", "heads", "batch"), [(5, 16, 4, 1), (37, 32, 3, 2)])
@pytest.mark.parametrize("kind", ["keys", "keys whose batch entries rotate differently", "values"])
def test_split_against_float64(tokens, width, heads, batch, kind, dtype, device):
    pytest.importorskip("triton")
    from li_env.kernels.rope_prope.triton import triton_split_branches

    generator = torch.Generator().manual_seed(tokens)
    matrices, frames, rotation = tables(tokens, width, batch, generator, device)
    x = torch.randn(batch, tokens, heads * width, generator=generator).to(dtype).to(device)
    weight = torch.rand(width, generator=generator).to(dtype).to(device) + 0.5
    if "differently" in kind:
        angle = torch.randn(batch, tokens, width // 2, generator=generator).to(device)
        rotation = angle.cos(), angle.sin()
    options = (None, None) if kind == "values" else (rotation, weight)
    expected = exact_split(x, heads, matrices, frames, *options)
    errors = []
    for function in (triton_split_branches, naive_split_branches):
        buffer = torch.full((2 * batch, heads, tokens + 9, width), torch.nan, dtype=dtype, device=device)
        function(x, buffer[:, :, 4 : 4 + tokens], matrices, frames, *options)
        assert buffer[:, :, :4].isnan().all() and buffer[:, :, 4 + tokens :].isnan().all()
        errors.append(relative_rms(buffer[:, :, 4 : 4 + tokens], expected))
    assert errors[0] <= 2 * errors[1] + 1e-7
    assert errors[1] < (1e-6 if dtype == torch.float32 else 5e-3)


@pytest.mark.parametrize(("tokens", "width", "heads", "batch"), [(5, 16, 4, 1), (37, 32, 3, 2)])
@pytest.mark.parametrize("tokens_first", [False, True])
def test_join_against_float64(tokens, width, heads, batch, tokens_first, dtype, device):
    pytest.importorskip("triton")
    from li_env.kernels.rope_prope.triton import triton_join_branches

    generator = torch.Generator().manual_seed(tokens)
    matrices, frames, _ = tables(tokens, width, batch, generator, device)
    attended = torch.randn(2 * batch, heads, tokens, width, generator=generator).to(dtype).to(device)
    if tokens_first:  # as some attention kernels leave it
        attended = attended.transpose(1, 2).contiguous().transpose(1, 2)
    exact = attended.double()
    expected = torch.stack((exact[:batch], project(exact[batch:], matrices, frames))).transpose(2, 3).flatten(3)
    errors = []
    for function in (triton_join_branches, naive_join_branches):
        joined = function(attended, matrices, frames)
        assert torch.equal(joined[0].double(), expected[0])
        errors.append(relative_rms(joined, expected))
    assert errors[0] <= 2 * errors[1] + 1e-7
    assert errors[1] < (1e-6 if dtype == torch.float32 else 5e-3)


def test_bad_input():
    matrices, frames, rotation = tables(6, 8, 1, torch.Generator(), "cpu")
    x, out = torch.zeros(1, 6, 16), torch.zeros(2, 2, 6, 8)
    with pytest.raises(ValueError, match="does not fit out"):
        split_branches(x[:, :5], out, matrices, frames)
    with pytest.raises(ValueError, match="matrices: shape"):
        split_branches(x, out, matrices[0], frames)
    with pytest.raises(ValueError, match="contiguous float32"):
        split_branches(x, out, matrices.transpose(-1, -2), frames)
    with pytest.raises(ValueError, match="rotation: shape"):
        split_branches(x, out, matrices, frames, (rotation[0][:, :2], rotation[1]))
    with pytest.raises(ValueError, match="frames: shape"):
        join_branches(out, matrices, frames[:5])
    with pytest.raises(ValueError, match="attended: shape"):
        join_branches(out[:1], matrices, frames)
