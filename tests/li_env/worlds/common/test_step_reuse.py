from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from li_env.accel.plan import AttentionPlan, ChunkPlan
from li_env.accel.world import ChunkRequest, StepLog
from li_env.worlds.common.step_reuse import FITTED, StepReuse, rescaled, step_reuse
from tests.analytic_world import SPEC

SIGMAS = (1.0, 0.8, 0.6, 0.4, 0.2, 0.0)


def request(threshold: float | None = 0.1, computed: tuple[bool, ...] = ()) -> ChunkRequest:
    plan = ChunkPlan(
        5, "explore", 0.0, (0,), (), SIGMAS, AttentionPlan(), "", reuse_threshold=threshold, computed=computed
    )
    nothing = torch.zeros(0)
    return ChunkRequest(None, plan, np.zeros(0), (), nothing, np.zeros(0), nothing, log=StepLog())


def run(requests: list[ChunkRequest], inputs: list[list[float]], spec=SPEC) -> tuple[list[torch.Tensor], int]:
    """Run blocks that add the number of the call; ``inputs`` are the modulated inputs of each step, one per row."""
    reuse, made, calls = StepReuse(requests, spec), [], 0
    for step, values in enumerate(inputs):
        before = torch.full((len(requests), 1), float(step))
        if reuse.begin(torch.tensor(values)[:, None]):
            calls += 1
            made.append(reuse.finish(before, before + 10.0 * calls))
        else:
            made.append(reuse.reused(before))
    reuse.report()
    return made, calls


def test_a_table_worked_by_hand() -> None:
    """Changes of 6 %, 6 %, 3 % and 50 %: the first is reused, the second brings the sum to 12 %, the third is reused.

    The last step is computed in any case.
    """
    given = request()
    made, calls = run([given], [[1.0], [1.06], [1.06 * 1.06], [1.06 * 1.06 * 1.03], [2.0]])
    assert given.log is not None and given.log.computed == (True, False, True, False, True)
    assert calls == 3
    assert [float(value) for value in made] == [10.0, 11.0, 22.0, 23.0, 34.0]


def test_a_threshold_of_zero_computes_every_step() -> None:
    given = request(0.0)
    made, calls = run([given], [[1.0]] * 5)
    assert calls == 5 and given.log is not None and given.log.computed == (True,) * 5
    assert [float(value) for value in made] == [10.0, 21.0, 32.0, 43.0, 54.0]


def test_rows_decide_alone() -> None:
    still, moving = request(), request()
    inputs = [[1.0, 1.0], [1.0, 2.0], [1.0, 4.0], [1.0, 4.0], [1.0, 4.0]]
    made, calls = run([still, moving], inputs)
    assert still.log is not None and still.log.computed == (True, False, False, False, True)
    assert moving.log is not None and moving.log.computed == (True, True, True, False, True)
    assert calls == 4
    assert [float(value[0]) for value in made[:4]] == [10.0, 11.0, 12.0, 13.0]  # what the first call added


def test_a_stored_decision_is_followed_and_nothing_is_measured() -> None:
    given = request(0.1, (True, False, False, True, True))
    _, calls = run([given], [[1.0], [9.0], [1.0], [9.0], [1.0]])
    assert calls == 3 and given.log is not None and given.log.computed == given.plan.computed


def test_a_polynomial_turns_changes_of_the_input_into_changes_of_the_output() -> None:
    assert rescaled((1.0, 0.0), 0.4) == 0.4
    assert rescaled((2.0, 0.1), 0.4) == pytest.approx(0.9)
    assert rescaled((-1.0, 0.0), 0.4) == 0.0
    assert rescaled((1.0, 0.0, 0.0), 5.0) == pytest.approx(FITTED**2)
    given = request()
    run([given], [[1.0], [1.06], [1.06], [1.06], [1.06]], replace(SPEC, step_rescale=(2.0, 0.0)))
    assert given.log is not None and given.log.computed == (True, True, False, False, True)


def test_observed_changes_are_those_of_input_and_output() -> None:
    given = replace(request(0.0), log=StepLog(observe=True))
    run([given], [[1.0], [1.5], [1.5], [3.0], [3.0]])
    assert given.log is not None
    assert [change for change, _ in given.log.changes] == [0.5, 0.0, 1.0, 0.0]
    assert [round(outcome, 6) for _, outcome in given.log.changes] == [
        1.1,
        round(11 / 21, 6),
        round(11 / 32, 6),
        round(11 / 43, 6),
    ]


def test_plans_without_reuse_have_nothing_to_decide() -> None:
    assert step_reuse([request(None)], SPEC) is None
    assert step_reuse([request(None, (True,) * 5)], SPEC) is not None
