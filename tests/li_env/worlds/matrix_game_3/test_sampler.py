"""The sampler against the original's schedule and trajectories, and against exact solutions."""

from __future__ import annotations

import math

import pytest
import torch

from li_env.worlds.matrix_game_3.sampler import noise_levels, sample, timestep_of
from tests.li_env.worlds.matrix_game_3.stored import stored

SCHEDULES = sorted(
    int(key.split(".")[1]) for key in stored()[1] if key.startswith("sched.") and key.endswith(".sigmas")
)
TRAJECTORIES = sorted(key.split(".")[1] for key in stored()[1] if key.startswith("sched.traj") and key.endswith(".x0"))


@pytest.mark.parametrize("steps", SCHEDULES)
def test_noise_levels_and_timesteps(steps: int) -> None:
    tensors = stored()[1]
    ours = noise_levels(steps)
    assert torch.equal(torch.tensor(ours), tensors[f"sched.{steps}.sigmas"])
    for dtype, name in ((torch.float32, "timesteps"), (torch.bfloat16, "timesteps_bf16")):
        assert [timestep_of(sigma, dtype) for sigma in ours[:-1]] == tensors[f"sched.{steps}.{name}"].tolist()


@pytest.mark.parametrize("name", TRAJECTORIES)
def test_stored_trajectory(name: str) -> None:
    tensors = {key.split(".")[2]: value for key, value in stored()[1].items() if key.startswith(f"sched.{name}.")}
    dtype = getattr(torch, name.split("_")[1])
    seen: list[torch.Tensor] = []

    def velocity(x: torch.Tensor, sigma: float) -> torch.Tensor:
        seen.append(x)
        return tensors[f"v{len(seen) - 1}"]

    steps = sum(key.startswith("v") for key in tensors)
    seen.append(sample(velocity, tensors["x0"].to(dtype), noise_levels(steps)))
    tolerance = 2e-5 if dtype == torch.float32 else 2e-2
    for index, x in enumerate(seen):
        assert x.dtype == dtype
        torch.testing.assert_close(x.float(), tensors[f"x{index}"], atol=tolerance, rtol=0)


def test_two_steps_are_eulers_and_the_reused_first_velocity() -> None:
    """Compare three steps with v1 := v0 to two Euler steps, first and last (docs/spec/matrix_game_3.md, section 7)."""
    generator = torch.Generator().manual_seed(0)
    x, v0, v2 = (torch.randn((3, 4), generator=generator, dtype=torch.float64).float() for _ in range(3))
    s0, s1, s2, _ = noise_levels(3)
    euler = x - (s0 - s2) * v0 - s2 * v2
    reused = sample(lambda _, sigma: v2 if sigma == s2 else v0, x, (s0, s1, s2, 0.0))
    short = sample(lambda _, sigma: v2 if sigma == s2 else v0, x, (s0, s2, 0.0))
    torch.testing.assert_close(short, euler, atol=1e-6, rtol=0)
    torch.testing.assert_close(reused, euler, atol=4e-6, rtol=0)


def test_more_steps_come_nearer_with_second_order() -> None:
    """Gaussian data of variance 1/4: x(s) = x(1) sqrt((1-s)^2 / 4 + s^2), whose velocity is known."""

    def velocity(x: torch.Tensor, sigma: float) -> torch.Tensor:
        variance = (1 - sigma) ** 2 / 4 + sigma**2
        return x * (sigma - (1 - sigma) / 4) / variance

    def error(steps: int) -> float:
        sigmas = noise_levels(steps)
        start = torch.ones(1, dtype=torch.float64).float()
        exact = 0.5 / math.sqrt((1 - sigmas[0]) ** 2 / 4 + sigmas[0] ** 2)
        return abs(float(sample(velocity, start, sigmas)) - exact)

    assert error(16) < 0.5 * error(8) and error(64) < 2e-3


def test_no_step_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="steps=0: allowed is 1 or more"):
        noise_levels(0)
