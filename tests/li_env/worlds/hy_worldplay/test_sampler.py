"""Noise levels and Euler steps against the original scheduler."""

from __future__ import annotations

import re

import pytest
import torch

from li_env.worlds.hy_worldplay.sampler import euler, noise_levels, timestep
from tests.li_env.worlds.hy_worldplay.tiny import facts, tensors


@pytest.mark.parametrize("steps", facts()["scheduler"])
def test_noise_levels(steps: str) -> None:
    expected = facts()["scheduler"][steps]
    ours = noise_levels(int(steps))
    assert ours == pytest.approx(expected["sigmas"], abs=1e-7)
    assert [timestep(sigma) for sigma in ours[:-1]] == pytest.approx(expected["timesteps"], abs=1e-4)


def test_stored_noise_levels_and_steps() -> None:
    given = tensors()
    for name in [key for key in given if re.fullmatch(r"sched/sigmas\d+", key)]:
        steps = int(name.removeprefix("sched/sigmas"))
        assert list(noise_levels(steps)) == pytest.approx(given[name].tolist(), abs=1e-7)
        times = given[f"sched/timesteps{steps}"].tolist()
        assert [timestep(sigma) for sigma in noise_levels(steps)[:-1]] == pytest.approx(times, abs=1e-4)
    steps = len(given["sched/v"])
    seen: list[float] = []

    def velocity(x: torch.Tensor, time: float) -> torch.Tensor:
        if seen:
            torch.testing.assert_close(x, given["sched/x"][len(seen) - 1], atol=1e-6, rtol=0)
        seen.append(time)
        return given["sched/v"][len(seen) - 1]

    end = euler(velocity, given["sched/x0"], noise_levels(steps))
    torch.testing.assert_close(end, given["sched/x"][-1], atol=1e-6, rtol=0)
    assert len(seen) == steps


def test_a_shorter_schedule_is_the_first_velocity_used_again() -> None:
    generator = torch.Generator().manual_seed(0)
    noise, first, last = (torch.randn(2, 3, generator=generator) for _ in range(3))
    levels = noise_levels(4)
    calls: list[float] = []

    def reused(x: torch.Tensor, time: float) -> torch.Tensor:
        calls.append(time)
        return last if time == timestep(levels[-2]) else first

    torch.testing.assert_close(euler(reused, noise, levels), euler(reused, noise, (levels[0], *levels[-2:])))
    assert len(calls) == 6
