"""Tasks of one's own: what they get to see."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from li_env.accel.runtime.chunk import ChunkResult, PlannedChunk
from li_env.env import LightInteractionEnv
from li_env.tasks import TASKS, Explore, load_task
from li_env.tasks.task import Opening
from li_env.testing import check_task
from li_env.vector_env import LightInteractionVectorEnv
from tests.film_world import SHAPES, FilmWorld

FORWARD = 1


class Looking(Explore):
    """Explore that writes down which frames it was shown; its state is the numbers on them."""

    needs_frames = True

    def begin(self, opening: Opening, pose: np.ndarray, generator: np.random.Generator) -> tuple[int, ...]:
        assert opening.frame is not None and not opening.frame.flags.writeable
        return (int(opening.frame[0, 0, 0]),)

    def advance(self, state: tuple[int, ...], result: PlannedChunk | None) -> tuple[int, ...]:
        assert isinstance(result, ChunkResult)
        assert isinstance(result.frames, np.ndarray) and result.frames.dtype == np.uint8
        assert result.frames.ndim == 4 and not result.frames.flags.writeable
        return (*state, *result.frames[:, 0, 0, 0].tolist())

    def reward(self, state: tuple[int, ...]) -> float:
        return float(state[-1])

    def metrics(self, state: tuple[int, ...]) -> dict[str, Any]:
        return {"seen": len(state)}


class LookingTogether(Looking):
    def advance_all(self, states: Sequence[Any], results: Sequence[PlannedChunk]) -> list[Any]:  # type: ignore[override]
        return [self.advance(state, result) for state, result in zip(states, results, strict=True)]


@pytest.mark.parametrize("kind", [Looking, LookingTogether])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_task_sees_the_new_frames_once(shape, kind):
    world = FilmWorld(*shape)
    env = LightInteractionEnv(world, task=kind(world.spec))
    env.reset(seed=0)
    for _ in range(3):
        _, reward, _, _, info = env.step(FORWARD)
    count = 1 + world.spec.frames_before(3)
    assert env.save_state().task == tuple(range(count))
    assert (reward, info["seen"]) == (count - 1, count)
    for device_obs in (False, True):
        many = LightInteractionVectorEnv(2, world=world, task=kind(world.spec), device_obs=device_obs)
        many.reset(seed=0)
        for _ in range(3):
            many.step([FORWARD] * 2)
        assert [state.task for state in many.save_state()] == [tuple(range(count))] * 2


class RedWorld(FilmWorld):
    """The first n of 16 columns of frame n are red; the start frame has none."""

    def decode(self, latents: Any, streams: Any) -> Any:
        numbered, following = super().decode(latents, streams)
        film = []
        for frames in numbered:
            film.append(np.zeros_like(frames))
            for picture, number in zip(film[-1], frames[:, 0, 0, 0], strict=True):
                picture[:, : min(16, number)] = (200, 30, 30)
        return film, following


def test_the_task_of_the_documentation():
    text = (Path(__file__).parents[3] / "docs" / "tasks.md").read_text(encoding="utf-8")
    (block,) = [part for part in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "class RedDoor" in part]
    lines = block[block.index("class RedDoor") : block.index("env = ")].strip().splitlines()
    assert len([line for line in lines if line.strip()]) <= 20
    names: dict[str, Any] = {}
    exec(block[: block.index("env = ")], names)
    world = RedWorld(2, 2, 1)
    check_task(names["RedDoor"](), world)
    env = LightInteractionEnv(world, task=names["RedDoor"]())
    assert env.reset(seed=0)[1]["red"] == 0.0
    outcomes = [env.step(FORWARD)[1:] for _ in range(3)]
    # One new frame, then two, two: 1, 3 and 5 columns of 16 are red.
    np.testing.assert_allclose([outcome[0] for outcome in outcomes], np.array([1, 2, 2]) / 16)
    assert [outcome[1] for outcome in outcomes] == [False, False, True]
    assert outcomes[-1][3]["red"] == 5 / 16


def test_who_waits_for_frames():
    world = FilmWorld(4, 4, 1)
    assert not any(load_task(name, world).needs_frames for name in TASKS)

    class Around:
        """Passes everything on to another task, and does not say whether it looks at frames."""

        def __init__(self, inner: Explore) -> None:
            self.inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

    assert load_task(Around(Explore(world.spec)), world).needs_frames
    assert Looking(world.spec).needs_frames


def test_a_task_that_does_not_look_runs_before_the_frames_are_there():
    given = []

    class Blind(Explore):
        def advance(self, state: Any, result: PlannedChunk | None) -> Any:
            given.append(type(result))
            return super().advance(state, result)

    world = FilmWorld(4, 4, 1)
    env = LightInteractionEnv(world, task=Blind(world.spec))
    env.reset(seed=0)
    env.step(FORWARD)
    assert given == [PlannedChunk]
