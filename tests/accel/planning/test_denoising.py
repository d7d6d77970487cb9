from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from li_env.accel.config import CHOICES
from li_env.accel.plan import Regime
from li_env.accel.planning.denoising import DENOISING_POLICIES, FullSchedule, RegimeSchedules, ShortenedSchedule
from tests.analytic_world import SPEC


def test_registry_has_the_words_of_the_settings() -> None:
    assert tuple(DENOISING_POLICIES) == CHOICES["denoising"]


def test_revisits_run_the_first_and_the_last_step() -> None:
    shortened = ShortenedSchedule(SPEC)
    assert shortened.choose("revisit") == ((1.0, 0.625, 0.0), "2 of 4 denoising steps")
    for regime in ("warmup", "explore"):
        assert shortened.choose(regime) == FullSchedule(SPEC).choose(regime) == (SPEC.sigmas, "")
    assert FullSchedule(SPEC).choose("revisit") == (SPEC.sigmas, "")


@pytest.mark.parametrize("sigmas", [(1.0, 0.0), (1.0, 0.5, 0.0)])
def test_two_steps_cannot_be_shortened(sigmas: tuple[float, ...]) -> None:
    assert ShortenedSchedule(replace(SPEC, sigmas=sigmas)).choose("revisit") == (sigmas, "")


def test_shortened_schedule_is_the_reuse_of_the_first_velocity() -> None:
    """Compare with the paper: model calls at the first and last step, the first velocity at the steps between."""

    def velocity(x: torch.Tensor, sigma: float) -> torch.Tensor:
        return torch.sin(3 * x) + sigma

    start = torch.linspace(-1, 1, 9, dtype=torch.float64)
    reused, kept = start, velocity(start, SPEC.sigmas[0])
    for index, (sigma, following) in enumerate(pairwise(SPEC.sigmas)):
        used = velocity(reused, sigma) if index == len(SPEC.sigmas) - 2 else kept
        reused = reused + (following - sigma) * used
    short = start
    sigmas = ShortenedSchedule(SPEC).choose("revisit")[0]
    for sigma, following in pairwise(sigmas):
        short = short + (following - sigma) * velocity(short, sigma)
    torch.testing.assert_close(short, reused, rtol=0, atol=1e-12)


def test_a_world_may_have_a_schedule_for_every_regime() -> None:
    own = replace(SPEC, explore_sigmas=(*SPEC.sigmas[:3], 0.0), revisit_sigmas=(SPEC.sigmas[0], SPEC.sigmas[2], 0.0))
    policy = RegimeSchedules(own)
    assert policy.choose("warmup") == (SPEC.sigmas, "")
    assert policy.choose("explore") == (own.explore_sigmas, "3 of 4 denoising steps")
    assert policy.choose("revisit") == (own.revisit_sigmas, "2 of 4 denoising steps")


@pytest.mark.parametrize("regime", ["warmup", "explore", "revisit"])
def test_a_world_without_them_runs_the_shortened_one(regime: Regime) -> None:
    assert RegimeSchedules(SPEC).choose(regime) == ShortenedSchedule(SPEC).choose(regime)


@pytest.mark.parametrize("key", ["explore_sigmas", "revisit_sigmas"])
@pytest.mark.parametrize("change", [slice(1, None), slice(0, -1), slice(None, None, -1)])
def test_a_schedule_that_is_no_part_of_the_full_one_is_refused(key: str, change: slice) -> None:
    wrong = SPEC.sigmas[change]
    with pytest.raises(ValueError, match=rf"^{key}: \(.*\) is not allowed; use levels of \(1.0, .*\)") as error:
        RegimeSchedules(replace(SPEC, **{key: wrong}))
    assert "\n" not in str(error.value)
