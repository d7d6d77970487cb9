"""GroupNorm with SiLU in bfloat16 on a GPU, at the freedoom decoder's shapes. Skips itself without one."""

from __future__ import annotations

import pytest
import torch

from li_env.kernels.group_norm import group_norm_silu, naive_group_norm_silu
from tests.kernels.problems import relative_rms

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")


@pytest.mark.parametrize(("channels", "rows", "columns"), [(48, 48, 64), (96, 24, 32), (160, 12, 16), (256, 6, 8)])
def test_as_exact_as_torch(channels: int, rows: int, columns: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(32, channels, rows, columns, device="cuda").bfloat16().to(memory_format=torch.channels_last)
    weight, bias, offset = torch.randn(3, channels, device="cuda").bfloat16()
    exact = naive_group_norm_silu(x.float(), channels // 16, weight.float(), bias.float(), offset.float(), 1e-5)
    given = (x, channels // 16, weight, bias, offset)
    ours, plain = group_norm_silu(*given), naive_group_norm_silu(*given, 1e-5)
    assert ours.is_contiguous(memory_format=torch.channels_last)
    assert relative_rms(ours, exact.double()) <= 1.1 * relative_rms(plain, exact.double()) + 1e-5
