from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from li_env.accel.config import CHOICES, AccelConfig
from li_env.accel.plan import AttentionPlan
from li_env.accel.planning.attention import ATTENTION_POLICIES, DENSE, BlockSparseAttention
from li_env.accel.planning.denoising import DENOISING_POLICIES, FullSchedule, ShortenedSchedule
from tests.analytic_world import SPEC

SPARSE = AccelConfig(attention="block_sparse", decode_ratio=0.2, context_ratio=0.3, dense_first_block=False)
ABLE = replace(SPEC, supports_block_sparse=True, sparse_min_context=8)


def test_registries_have_the_words_of_the_settings() -> None:
    assert tuple(DENOISING_POLICIES) == CHOICES["denoising"]
    assert tuple(ATTENTION_POLICIES) == CHOICES["attention"]


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
    """As the paper does it: call at the first and last step, the first velocity at those between."""

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


def test_sparse_where_it_is_faster() -> None:
    policy = BlockSparseAttention(ABLE, SPARSE)
    plan, reason = policy.choose("explore", 8)
    assert plan == AttentionPlan("block_sparse", 0.2, 0.3, dense_first_block=False)
    assert reason == "attention keeps 0.2 of the history tiles, 0.3 in the context pass"
    assert policy.choose("explore", 7) == (DENSE, "attention is dense, which is faster below 8 context latents")
    assert policy.choose("warmup", 20) == (DENSE, "")


def test_settings_override_the_measured_crossover() -> None:
    assert BlockSparseAttention(ABLE, SPARSE.replace(sparse_min_context=0)).choose("explore", 1)[0].kind != "dense"
    assert BlockSparseAttention(ABLE, SPARSE.replace(sparse_min_context=0)).choose("explore", 0)[0] == DENSE
    assert BlockSparseAttention(ABLE, SPARSE.replace(sparse_min_context=16)).choose("explore", 15)[0] == DENSE


def test_a_world_without_it_stays_dense_and_says_so() -> None:
    plan, reason = BlockSparseAttention(SPEC, SPARSE).choose("explore", 20)
    assert plan == DENSE
    assert reason == "attention is dense because this world has no block-sparse attention"
