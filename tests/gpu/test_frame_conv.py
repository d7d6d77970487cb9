"""Causal convolutions on a GPU: bulk loads and matrix units against float64. Skips itself without one."""

from __future__ import annotations

import pytest
import torch

from li_env.kernels.extended_frames import extended_frames, naive_extended_frames
from li_env.kernels.frame_conv import fits_triton, naive_frame_conv
from tests.kernels.problems import relative_rms

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")


@pytest.mark.parametrize("edge", ["repeat", "zero"])
@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(("height", "width", "channels"), [(30, 52, 1024), (61, 97, 192), (5, 3, 32)])
def test_extended_frames(height, width, channels, dtype, begun, edge):
    torch.manual_seed(0)
    x = torch.randn(2, 3, height + 2, width + 2, channels, device="cuda", dtype=dtype)[:, :, :height, :width]
    past = torch.randn(2, 2, height + 2, width + 2, channels, device="cuda", dtype=dtype) if begun else None
    gamma = torch.randn(channels, device="cuda", dtype=dtype)
    found = extended_frames(x, gamma, past, edge)
    expected = naive_extended_frames(x.double(), gamma, None if past is None else past.double(), edge)
    assert relative_rms(found, expected) < (5e-4 if dtype == torch.float16 else 4e-3)


@pytest.mark.parametrize("added", [False, True])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(("channels", "outputs"), [(64, 128), (128, 512), (256, 256), (128, 64), (128, 3)])
def test_frame_conv(channels, outputs, dtype, added):
    from li_env.kernels.frame_conv.triton import triton_frame_conv

    torch.manual_seed(0)
    extended = torch.randn(2, 5, 19, 23, channels, device="cuda", dtype=dtype)
    weight = torch.randn(outputs, channels, 3, 3, 3, device="cuda", dtype=dtype) / (27 * channels) ** 0.5
    weight = weight.contiguous(memory_format=torch.channels_last_3d)
    if not fits_triton(extended, weight):
        pytest.skip("needs a chip of major version 9 or 10")
    bias = torch.randn(outputs, device="cuda", dtype=dtype)
    residual = torch.randn(2, 3, 17, 21, outputs, device="cuda", dtype=dtype) if added else None
    found = triton_frame_conv(extended, weight, bias, residual)
    exact = torch.nn.functional.conv3d(extended.double().permute(0, 4, 1, 2, 3), weight.double(), bias.double())
    exact = exact.permute(0, 2, 3, 4, 1) + (0 if residual is None else residual.double())
    limit = 1e-3 if dtype == torch.float16 else 8e-3
    assert relative_rms(found, exact) < limit
    assert relative_rms(naive_frame_conv(extended, weight, bias, residual), exact) < limit
