from __future__ import annotations

from dataclasses import replace

from li_env.accel.config import CHOICES, AccelConfig
from li_env.accel.plan import AttentionPlan
from li_env.accel.planning.attention import ATTENTION_POLICIES, DENSE, BlockSparseAttention
from tests.analytic_world import SPEC

SPARSE = AccelConfig(attention="block_sparse", decode_ratio=0.2, context_ratio=0.3, dense_first_block=False)
ABLE = replace(SPEC, supports_block_sparse=True, sparse_min_context=8)


def test_registry_has_the_words_of_the_settings() -> None:
    assert tuple(ATTENTION_POLICIES) == CHOICES["attention"]


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
