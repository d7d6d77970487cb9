"""Which requests share a micro-batch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from li_env.accel.plan import AttentionPlan
from li_env.worlds.freedoom.batching import BatchScheduler, calls_of, micro_batch_size
from li_env.worlds.freedoom.sampler import sample_rows
from tests.li_env.worlds.freedoom.test_world import DENSE, relative, request
from tests.narrow_freedoom import narrow_freedoom

LONG, SHORT = (1.0, 0.75, 0.5, 0.25, 0.0), (1.0, 0.25, 0.0)


def asked(seed: int = 0, sigmas: tuple[float, ...] = LONG, context: int = 8, attention: AttentionPlan = DENSE):
    whole = request(attention, seed)
    return replace(
        whole,
        plan=replace(whole.plan, sigmas=sigmas),
        context=whole.context[8 - context :],
        context_poses=whole.context_poses[8 - context :],
    )


def arranged(requests, size: int) -> list[list[int]]:
    scheduler = BatchScheduler(size)
    full = [scheduler.add(number, each) for number, each in enumerate(requests)]
    batches = [batch for batch in (*full, *scheduler.rest()) if batch is not None]
    return [[number for number, _ in batch] for batch in batches]


def test_full_micro_batches_go_at_once_in_order():
    scheduler = BatchScheduler(2)
    one, two = asked(0), asked(1)
    assert scheduler.add(0, one) is None
    assert scheduler.add(1, asked(2, context=4)) is None
    assert scheduler.add(2, two) == [(0, one), (2, two)]
    assert [[number for number, _ in batch] for batch in scheduler.rest()] == [[1]]


def test_shorter_schedules_join_longer_ones_if_they_all_fit():
    long, short = asked(), asked(sigmas=SHORT)
    assert arranged([short, long, long, short, long], 4) == [[1, 2, 4], [0, 3]]
    assert arranged([short, long, long, short], 4) == [[1, 2, 0, 3]]
    assert arranged([short, long, long], 2) == [[1, 2], [0]]
    assert arranged([short, asked(context=4)], 4) == [[0], [1]]
    assert arranged([short, asked(attention=AttentionPlan("block_sparse", 0.5, 0.5))], 4) == [[0], [1]]
    assert arranged([short, long], 1) == [[0], [1]]
    assert sorted(arranged([asked(context=0, sigmas=SHORT), asked(context=0)], 4)) == [[0], [1]]
    assert arranged([], 4) == []


def test_first_chunks_of_episodes_go_in_small_micro_batches_of_their_own(monkeypatch):
    monkeypatch.setattr("li_env.worlds.freedoom.batching.EARLY_ROWS", 2)

    def at(chunk: int):
        whole = asked()
        return replace(whole, plan=replace(whole.plan, chunk=chunk))

    early, late = at(4), at(5)
    mixed = [early, late, early, late, early, late, late]
    assert arranged(mixed, 4) == [[0, 2], [1, 3, 5, 6], [4]]
    assert calls_of([each.plan for each in mixed], 4) == [[0, 2], [1, 3, 5, 6], [4]]
    assert arranged([early, late], 1) == [[0], [1]]


@pytest.mark.parametrize("attention", [DENSE, AttentionPlan("block_sparse", 1.0, 1.0)])
def test_a_mixed_micro_batch_gives_every_episode_its_own_chunk(attention, monkeypatch):
    world = narrow_freedoom("fused")
    requests = [asked(seed, sigmas, 8, attention) for seed, sigmas in enumerate((LONG, SHORT, LONG))]
    alone = [world.generate([each])[0] for each in requests]
    mixed = []

    def counted(*given):
        mixed.append(given)
        return sample_rows(*given)

    monkeypatch.setattr("li_env.worlds.freedoom.world.sample_rows", counted)
    monkeypatch.setattr("li_env.worlds.freedoom.world.micro_batch_size", lambda count, device: 4)
    together = world.generate_stream(requests)
    assert len(mixed) == 1
    for one, other in zip(together, alone, strict=True):
        assert relative(one, other) < 1e-4
    again = world.generate([*requests[:2], asked(7)])  # another neighbour, the same micro-batch
    assert torch.equal(again[0], together[0]) and torch.equal(again[1], together[1])
    assert not np.array_equal(again[2], together[2])


def test_calls_of_plans_are_the_micro_batches_of_their_requests():
    requests = [asked(0, LONG), asked(1, SHORT), asked(2, LONG), asked(3, LONG, 4), asked(4, SHORT), asked(5, LONG)]
    plans = [
        replace(each.plan, temporal=tuple(range(len(each.context))), memory=(), views=(), slots=()) for each in requests
    ]
    for size in (1, 2, 4):
        assert calls_of(plans, size) == arranged(requests, size)
    world = narrow_freedoom()
    assert world.model_calls(plans, 64) == [[index] for index in range(6)] and world.micro_batch(64) == 1
    gpu = torch.device("cuda")
    assert [micro_batch_size(count, gpu) for count in (1, 8, 9, 33, 1024)] == [8, 8, 32, 64, 64]
