"""Rows of a micro-batch with different schedules."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from li_env.worlds.freedoom.sampler import is_part, row_steps, sample_chunk, sample_rows

LONG, SHORT, MIDDLE = (1.0, 0.75, 0.5, 0.25, 0.0), (1.0, 0.25, 0.0), (1.0, 0.5, 0.25, 0.0)


def model(x, sigma, cameras, context, sparse):
    """Denoiser that treats rows alike and independently."""
    return torch.sin(3 * x) * (1 + sigma[..., None, None]).to(x.dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("guest", [SHORT, MIDDLE, LONG])
def test_every_row_gets_the_bits_of_its_own_schedule(dtype, guest):
    noise = torch.randn(5, 4, 6, 3, generator=torch.Generator().manual_seed(0)).to(dtype)
    schedules = [LONG, guest, LONG, guest, SHORT]
    table = torch.from_numpy(row_steps(schedules, LONG))
    together = sample_rows(model, noise, LONG, table, None, None)
    for row, schedule in enumerate(schedules):
        alone = sample_chunk(model, noise[row : row + 1], None, schedule, None, None)
        assert torch.equal(together[row : row + 1], alone)
    assert not torch.equal(sample_chunk(model, noise, None, SHORT, None, None)[0], together[0])


def test_answers_to_skipped_calls_do_not_matter():
    def broken(x, sigma, cameras, context, sparse):
        return torch.where(((sigma == 0.75) | (sigma == 0.5))[..., None, None], torch.nan, model(x, sigma, *[None] * 3))

    noise = torch.ones(2, 1, 2, 3)
    table = torch.from_numpy(row_steps([SHORT, SHORT], LONG))
    assert torch.isfinite(sample_rows(broken, noise, LONG, table, None, None)).all()


def test_parts_of_a_schedule():
    assert is_part(SHORT, LONG) and is_part(LONG, LONG) and is_part(MIDDLE, LONG)
    assert not is_part(LONG, SHORT) and not is_part((0.75, 0.25, 0.0), LONG) and not is_part((1.0, 0.3, 0.0), LONG)
    np.testing.assert_array_equal(row_steps([SHORT], LONG)[0, :, 0], [1, 0, 0, 1])
