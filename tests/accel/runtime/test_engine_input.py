"""Arguments of the engine that are refused, with messages of one line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from li_env.accel.geometry.camera import STILL, CameraMotion
from li_env.accel.runtime.engine import Engine
from tests.accel.runtime.test_engine import begin, engine, part, run

FRAME = np.zeros((96, 128, 3), dtype=np.uint8)


def first_step(motions: Sequence[CameraMotion]) -> Callable[[Engine], Any]:
    return lambda machine: machine.step(begin(machine, 0), [motions])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (first_step([STILL] * 4), r"motions\[0\]: 4 given; chunk 0 needs 3"),
        (
            first_step([STILL, STILL, CameraMotion(yaw=float("nan"))]),
            r"motions\[0\]: .*nan.* is not allowed; use finite",
        ),
        (lambda e: e.step(begin(e, 0), []), "motions: 0 lists given for 1 states"),
        (lambda e: e.start([FRAME], ["", ""], [0]), "prompts: 2 given for 1 images"),
        (lambda e: e.start([FRAME], [""], []), "seeds: 0 given for 1 images"),
        (lambda e: e.start([FRAME], [""], [0], []), "poses: 0 given for 1 images"),
        (lambda e: e.start([FRAME[:90]], [""], [0]), r"images\[0\]: uint8 \[90, 128, 3\] .* use .* \[96, 128, 3\]"),
        (lambda e: e.start([FRAME / 255], [""], [0]), r"images\[0\]: float64 \[96, 128, 3\] is not allowed"),
        (lambda e: e.start(["x.png"], [""], [0]), r"images\[0\]: str is not allowed"),
        (lambda e: e.start([FRAME], [""], [-1]), r"seeds\[0\]: -1 is not allowed"),
        (lambda e: e.start([FRAME], [""], [1.5]), r"seeds\[0\]: 1.5 is not allowed"),
        (lambda e: e.start([FRAME], [""], [True]), r"seeds\[0\]: True is not allowed"),
        (
            lambda e: e.start([FRAME], [""], [0], [2 * np.eye(4)]),
            r"poses\[0\].* is not usable; allowed: a finite 4x4",
        ),
        (
            lambda e: e.start([FRAME], [""], [0], [np.diag([-1.0, 1, 1, 1])]),
            r"poses\[0\].* is not usable; allowed: a finite 4x4",
        ),
        (
            lambda e: e.start([FRAME], [""], [0], [np.eye(3)]),
            r"poses\[0\].* is not usable; allowed: a finite 4x4",
        ),
        (
            lambda e: e.start([FRAME], [""], [0], [np.full((4, 4), np.nan)]),
            r"poses\[0\].* is not usable; allowed: a finite 4x4",
        ),
    ],
)
def test_bad_input_is_named(call: Callable[[Engine], Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}") as error:
        call(engine())
    assert "\n" not in str(error.value)


def test_plans_that_do_not_fit_are_refused() -> None:
    machine = engine()
    state, results = run(machine, begin(machine, 0)[0], 3)
    with pytest.raises(ValueError, match=r"^plans\[0\]\.chunk: 2 is not allowed; use 3, the chunk to make next"):
        machine.step([state], [part(3)], plans=[results[-1].plan])
    with pytest.raises(ValueError, match=r"^plans: 0 given for 1 states"):
        machine.step([state], [part(3)], plans=[])
