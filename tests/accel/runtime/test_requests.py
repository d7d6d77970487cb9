from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from li_env.accel.config import AccelConfig
from li_env.accel.plan import ChunkPlan
from li_env.accel.runtime.chunk import STAGES
from li_env.accel.runtime.engine import Engine
from li_env.accel.world import RequestStream
from tests.accel.runtime.test_engine import begin, part, run, same
from tests.analytic_world import AnalyticWorld


def test_planning_in_micro_batches_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check that a streaming world begins before the last episode is planned."""
    taken: list[int] = []
    planned: list[int] = []

    class Streaming(AnalyticWorld):
        def generate_stream(self, requests: RequestStream) -> list[torch.Tensor]:
            made = []
            for request in requests:
                taken.append(sum(planned))
                made += self.generate([request])
            assert len(made) == len(requests)
            return made

    for preset in ("off", "all"):
        whole, parts = (Engine(world, AccelConfig.preset(preset)) for world in (AnalyticWorld(), Streaming()))
        states = [run(whole, state, age)[0] for age, state in enumerate(begin(whole, *range(9)))]
        motions = [part(state.chunk) for state in states]
        _, expected = whole.step(states, motions)
        with monkeypatch.context() as patched:
            patched.setattr("li_env.accel.runtime.requests.PLANNER_MICRO_BATCH", 4)
            plan = parts.planner.plan

            def counted(histories: Sequence[Any], *others: Any) -> list[ChunkPlan]:
                planned.append(len(histories))
                return plan(histories, *others)  # noqa: B023

            patched.setattr(parts.planner, "plan", counted)
            following, results = parts.step(states, motions)
            _, stored = parts.step(states, motions, plans=[result.plan for result in expected])
        assert planned == [4, 4, 1]
        assert taken[:9] == [4] * 4 + [8] * 4 + [9]
        assert [state.chunk for state in following] == [state.chunk + 1 for state in states]
        for one, two, three in zip(results, expected, stored, strict=True):
            assert same(one, two) and same(one, three)
            assert tuple(one.milliseconds) == STAGES
        planned.clear()
        taken.clear()
