"""Convolutions of bordered frames: Triton (interpreted on a CPU) against float64."""

from __future__ import annotations

import pytest
import torch

from li_env.kernels.frame_conv import fits_triton, frame_conv, naive_frame_conv


def problem(batch: int, frames: int, height: int, width: int, channels: int, outputs: int, dtype, device: str):
    generator = torch.Generator().manual_seed(frames + width)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator).to(dtype).to(device)

    extended = random(batch, frames + 2, height + 2, width + 2, channels)
    weight = random(outputs, channels, 3, 3, 3).contiguous(memory_format=torch.channels_last_3d)
    return extended, weight, random(outputs), random(batch, frames, height, width, outputs)


def exact(extended, weight, bias, residual) -> torch.Tensor:
    x = extended.double().permute(0, 4, 1, 2, 3)
    out = torch.nn.functional.conv3d(x, weight.double(), bias.double()).permute(0, 2, 3, 4, 1)
    return out if residual is None else out + residual.double()


@pytest.mark.parametrize("added", [None, "dense", "bordered"])
@pytest.mark.parametrize(
    ("batch", "frames", "height", "width", "channels", "outputs"), [(1, 1, 3, 4, 32, 32), (2, 2, 3, 6, 16, 64)]
)
def test_triton_against_float64(batch, frames, height, width, channels, outputs, added, dtype, device):
    pytest.importorskip("triton")
    from li_env.kernels.frame_conv.triton import ConvConfig, triton_frame_conv

    extended, weight, bias, residual = problem(batch, frames, height, width, channels, outputs, dtype, device)
    if added is None:
        residual = None
    elif added == "bordered":  # as convolutions return it: added without a copy
        whole = residual.new_zeros(batch, frames, height + 2, width + 2, outputs)
        whole[:, :, :height, :width] = residual
        residual = whole[:, :, :height, :width]
    config = ConvConfig(pixels=32, channels=32, depth=16, warps=4, stages=2, group=2)
    found = triton_frame_conv(extended, weight, bias, residual, config)
    expected = exact(extended, weight, bias, residual)
    naive = naive_frame_conv(extended, weight, bias, residual)
    assert found.shape == expected.shape and found.dtype == dtype and found.stride(-1) == 1
    for result in (found, naive):
        error = (result.double() - expected).norm() / expected.norm()
        assert error < (1e-6 if dtype == torch.float32 else 1e-3)


@pytest.mark.parametrize("added", [False, True])
def test_picture_channels_are_filled_up(added, dtype, device):
    pytest.importorskip("triton")
    from li_env.kernels.frame_conv.triton import ConvConfig, triton_frame_conv

    extended, weight, bias, residual = problem(1, 2, 4, 5, 16, 3, dtype, device)
    residual = residual if added else None
    config = ConvConfig(pixels=32, channels=16, depth=16, warps=4, stages=2, group=2)
    found = triton_frame_conv(extended, weight, bias, residual, config)
    expected = exact(extended, weight, bias, residual)
    assert found.shape == expected.shape and found.stride(-1) == 1
    assert (found.double() - expected).norm() / expected.norm() < (1e-6 if dtype == torch.float32 else 1e-3)


@pytest.mark.parametrize(("outputs", "channels"), [(1024, 256), (384, 128), (64, 64), (3, 16), (12, 16)])
def test_block_shapes(outputs, channels):
    pytest.importorskip("triton")
    from li_env.kernels.frame_conv.triton import default_config

    assert default_config(outputs).channels == channels


def test_kernel_only_for_whole_blocks_of_16_bit_values():
    extended, weight, *_ = problem(1, 1, 2, 2, 64, 128, torch.float16, "cpu")
    assert not fits_triton(extended, weight)  # no such chip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight": torch.zeros(4, 9, 3, 3, 3)}, r"weight: shape .*: \[N, 8, 3, 3, 3\]"),
        ({"weight": torch.zeros(4, 8, 3, 3, 3)}, "channels last are needed"),
        ({"extended": torch.zeros(1, 3, 4, 8, 5).transpose(-1, -2)}, "a contiguous tensor is needed"),
        ({"residual": torch.zeros(1, 1, 2, 2, 4)}, r"residual: shape .*: \(1, 1, 2, 3, 4\)"),
    ],
)
def test_bad_input(change, message):
    extended, weight, bias, residual = problem(1, 1, 2, 3, 8, 4, torch.float32, "cpu")
    given = {"extended": extended, "weight": weight, "bias": bias, "residual": residual}
    with pytest.raises(ValueError, match=message):
        frame_conv(**{**given, **change})
