from __future__ import annotations

import gc
import json
import pickle
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from li_env.accel.config import AccelConfig
from li_env.accel.geometry.camera import STILL, CameraMotion, follow
from li_env.accel.geometry.frustum import FrustumSampler
from li_env.accel.geometry.trajectory import parse_trajectory
from li_env.accel.plan import ChunkPlan
from li_env.accel.runtime.chunk import STAGES, ChunkResult, GenerationState, PlannedChunk
from li_env.accel.runtime.engine import Engine
from li_env.accel.world import ChunkRequest, MotionRequest
from tests.analytic_world import BODY_RADIUS, ROOM_HALF_SIZE, SPEC, AnalyticWorld

OFF = AccelConfig.preset("off")
WALK = parse_trajectory("w-4, right-6, w-3, left-9, s-5, d-4", SPEC.motion)


def engine(world: AnalyticWorld | None = None) -> Engine:
    return Engine(world or AnalyticWorld(), OFF)


def begin(machine: Engine, *seeds: int) -> list[GenerationState]:
    frames = machine.world.start_views.images  # type: ignore[attr-defined]
    images = [frames[index % len(frames)] for index in range(len(seeds))]
    return machine.start(images, [""] * len(seeds), seeds)


def part(chunk: int, motions: Sequence[CameraMotion] = WALK) -> tuple[CameraMotion, ...]:
    start = 0 if chunk == 0 else 4 * chunk - 1
    piece = tuple(motions[start : 4 * chunk + 3])
    return piece + (STILL,) * (4 * chunk + 3 - start - len(piece))


def run(machine: Engine, state: GenerationState, chunks: int) -> tuple[GenerationState, list[ChunkResult]]:
    results = []
    for _ in range(chunks):
        [state], [result] = machine.step([state], [part(state.chunk)])
        results.append(result)
    return state, results


def same(first: ChunkResult, second: ChunkResult) -> bool:
    return (
        np.array_equal(first.frames, second.frames)
        and torch.equal(first.latents, second.latents)
        and np.array_equal(first.poses, second.poses)
        and first.plan == second.plan
        and first.motions == second.motions
        and first.commanded == second.commanded
    )


def test_shapes_and_bookkeeping() -> None:
    machine = engine()
    [state] = begin(machine, 0)
    assert (state.chunk, len(state.history), state.stream, state.degenerated) == (0, 0, None, False)
    state, results = run(machine, state, 7)
    assert (state.chunk, len(state.history), state.stream, state.degenerated) == (7, 28, 7, False)
    for index, result in enumerate(results):
        assert result.plan.chunk == index
        assert result.frames.shape == (4, 96, 128, 3)
        assert result.frames.dtype == np.uint8
        assert result.latents.shape == (4, *SPEC.latent_shape)
        assert result.poses.shape == (4, 4, 4)
        assert len(result.motions) == len(result.commanded) == (3 if index == 0 else 4)
        assert tuple(result.milliseconds) == STAGES
        assert all(value >= 0 for value in result.milliseconds.values())
    np.testing.assert_array_equal(state.pose, results[-1].poses[-1])
    np.testing.assert_array_equal(state.history.poses, np.concatenate([result.poses for result in results]))
    assert torch.equal(state.history.latents(range(28)), torch.cat([result.latents for result in results]))
    assert state.history.motions == tuple(motion for result in results for motion in result.motions)


def test_first_chunk_starts_at_the_given_pose_with_the_start_frame() -> None:
    machine = engine()
    frame = machine.world.start_views.images[1]  # type: ignore[attr-defined]
    pose = follow(np.eye(4), [CameraMotion(yaw=90, forward=1)])[0]
    [state] = machine.start([frame], [""], [3], [pose])
    [state], [result] = machine.step([state], [part(0)])
    np.testing.assert_array_equal(result.poses[0], pose)
    np.testing.assert_allclose(result.poses[1:], follow(pose, result.motions))
    assert np.abs(result.frames[0].astype(int) - frame).mean() < 12


def test_same_seed_and_motions_give_the_same_frames() -> None:
    first = run(engine(), begin(engine(), 5)[0], 8)[1]
    second = run(engine(), begin(engine(), 5)[0], 8)[1]
    assert all(same(a, b) for a, b in zip(first, second, strict=True))


def test_other_seed_gives_other_frames() -> None:
    machine = engine()
    first, second = (run(machine, begin(machine, seed)[0], 1)[1][0] for seed in (5, 6))
    assert not np.array_equal(first.frames, second.frames)


def test_noise_depends_on_seed_and_chunk_alone() -> None:
    seen: list[torch.Tensor] = []

    class Recorder(AnalyticWorld):
        def generate(self, requests: Sequence[ChunkRequest]) -> list[torch.Tensor]:
            seen.extend(request.noise.clone() for request in requests)
            return super().generate(requests)

    machine = engine(Recorder())
    run(machine, begin(machine, 1)[0], 2)
    states = begin(machine, 7, 1, 8)
    machine.step(states, [part(0)] * 3)
    alone_0, alone_1, other_7, again_0, other_8 = seen
    assert torch.equal(alone_0, again_0)
    for different in (alone_1, other_7, other_8):
        assert not torch.equal(alone_0, different)
    assert abs(float(torch.cat(seen).mean())) < 0.05
    assert float(torch.cat(seen).std()) == pytest.approx(1, abs=0.05)


def test_batch_of_episodes_at_different_chunks_equals_single_ones() -> None:
    machine = engine()
    ages = (0, 1, 6, 9)
    states = [run(machine, state, age)[0] for state, age in zip(begin(machine, 0, 1, 2, 3), ages, strict=True)]
    together_states, together = machine.step(states, [part(age) for age in ages])
    for index, age in enumerate(ages):
        [state], [alone] = machine.step([states[index]], [part(age)])
        assert same(alone, together[index])
        assert state.stream == together_states[index].stream
        np.testing.assert_array_equal(state.history.poses, together_states[index].history.poses)


def test_fork_is_a_reference() -> None:
    machine = engine()
    saved, _ = run(machine, begin(machine, 0)[0], 7)
    reference = run(machine, saved, 4)[1]
    detour = saved
    for _ in range(3):
        [detour], [other] = machine.step([detour], [[CameraMotion(yaw=15.0)] * 4])
    assert len(saved.history) == 28
    assert not np.array_equal(other.frames, reference[2].frames)
    again = run(machine, saved, 4)[1]
    assert all(same(a, b) for a, b in zip(reference, again, strict=True))


def test_state_survives_pickling() -> None:
    machine = engine()
    saved, _ = run(machine, begin(machine, 0)[0], 7)
    loaded = pickle.loads(pickle.dumps(saved))
    for first, second in zip(run(machine, saved, 3)[1], run(machine, loaded, 3)[1], strict=True):
        assert same(first, second)


def test_walls_stop_the_camera() -> None:
    machine = engine()
    [state] = begin(machine, 0)
    for _ in range(4):
        motions = [CameraMotion(forward=0.75)] * (3 if state.chunk == 0 else 4)
        [state], [result] = machine.step([state], [motions])
    assert state.pose[2, 3] == pytest.approx(ROOM_HALF_SIZE - BODY_RADIUS)
    assert result.commanded == tuple(motions)
    assert result.motions[-1].forward == pytest.approx(0)
    np.testing.assert_allclose(result.poses[-1], follow(result.poses[0], result.motions[1:])[-1], atol=1e-12)


def test_world_sees_the_context_that_the_plan_names() -> None:
    checked = []

    class Checker(AnalyticWorld):
        def generate(self, requests: Sequence[ChunkRequest]) -> list[torch.Tensor]:
            for request in requests:
                expected = [made[index] for index in request.plan.context]
                assert len(request.context) == len(expected)
                for latent, pose, (made_latent, made_pose) in zip(
                    request.context, request.context_poses, expected, strict=True
                ):
                    assert torch.equal(latent, made_latent)
                    np.testing.assert_array_equal(pose, made_pose)
                followed = [(STILL, *moved)[index] for index in request.plan.context]
                assert list(request.context_motions) == followed
                np.testing.assert_array_equal(request.origin, made[0][1] if made else request.poses[0])
                checked.append(len(expected))
            return super().generate(requests)

        def feasible_motions(self, requests: Sequence[MotionRequest]) -> list[tuple[CameraMotion, ...]]:
            for request in requests:
                assert len(request.recent) == len(request.recent_poses) == min(8, len(made))
                if made:
                    np.testing.assert_array_equal(request.recent_poses[-1], request.pose)
                    assert torch.equal(request.recent[-1], made[-1][0])
            return super().feasible_motions(requests)

    made: list[tuple[torch.Tensor, np.ndarray]] = []
    moved: list[CameraMotion] = []
    machine = engine(Checker())
    start = follow(np.eye(4), [CameraMotion(yaw=30, forward=0.5)])[0]
    [state] = machine.start([machine.world.start_views.images[0]], [""], [0], [start])  # type: ignore[attr-defined]
    for _ in range(10):
        [state], [result] = machine.step([state], [part(state.chunk)])
        moved.extend(result.motions)
        made.extend(zip(result.latents, result.poses, strict=True))
    assert checked == [0, 4, 8, 12, 16, 20, 20, 20, 20, 20]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_not_finite_latents_mark_their_episode_only(bad: float) -> None:
    class Broken(AnalyticWorld):
        def generate(self, requests: Sequence[ChunkRequest]) -> list[torch.Tensor]:
            latents = super().generate(requests)
            if len(requests) == 3 and requests[1].plan.chunk == 1:
                latents[1][2, 0, 3, 3] = bad
            return latents

    machine = engine(Broken())
    states, _ = machine.step(begin(machine, 0, 1, 2), [part(0)] * 3)
    states, results = machine.step(states, [part(1)] * 3)
    assert [result.degenerated for result in results] == [False, True, False]
    assert [state.degenerated for state in states] == [False, True, False]
    assert torch.isfinite(results[1].latents).all()
    assert results[1].frames.shape == (4, 96, 128, 3)
    states, results = machine.step(states, [part(2)] * 3)  # it stays marked, and still runs
    assert [result.degenerated for result in results] == [False, False, False]
    assert [state.degenerated for state in states] == [False, True, False]


def test_not_finite_motion_stands_still_and_marks_the_episode() -> None:
    class Lost(AnalyticWorld):
        def feasible_motions(self, requests: Sequence[MotionRequest]) -> list[tuple[CameraMotion, ...]]:
            _, *rest = super().feasible_motions(requests)[0]
            return [(CameraMotion(forward=float("nan")), *rest)]

    machine = engine(Lost())
    [state], [result] = machine.step(begin(machine, 0), [part(0)])
    assert state.degenerated
    assert result.motions[0] == STILL
    assert np.isfinite(state.history.poses).all()


class Stream:
    """Decode stream that a weak reference can watch."""


def test_old_streams_and_batches_are_let_go() -> None:
    streams: list[weakref.ref[Stream]] = []

    class Streaming(AnalyticWorld):
        def generate(self, requests: Sequence[ChunkRequest]) -> list[torch.Tensor]:
            return list(torch.stack(super().generate(requests)).unbind())  # views of one large tensor

        def decode(self, latents: Sequence[torch.Tensor], old: Sequence[Any]) -> tuple[list[np.ndarray], list[Any]]:
            new = [Stream() for _ in latents]
            streams.extend(weakref.ref(stream) for stream in new)
            return super().decode(latents, [None] * len(latents))[0], new

    machine = engine(Streaming())
    states = begin(machine, 0, 1)
    for chunk in range(5):
        states, results = machine.step(states, [part(chunk)] * 2)
    gc.collect()
    assert sum(stream() is not None for stream in streams) == 2
    for result in results:
        kept = result.latents
        assert kept.untyped_storage().nbytes() == kept.numel() * kept.element_size()


def test_stored_plans_give_the_same_frames() -> None:
    """Run plans of ``all`` in an engine that would decide otherwise."""
    world = AnalyticWorld()
    decided = Engine(world, AccelConfig.preset("all"))
    _, results = run(decided, begin(decided, 3)[0], 12)
    plain = engine(world)
    assert any(
        result.plan != other.plan for result, other in zip(results, run(plain, begin(plain, 3)[0], 12)[1], strict=True)
    )
    stored = json.loads(json.dumps([result.plan.to_dict() for result in results]))
    [state] = begin(plain, 3)
    for chunk, (data, result) in enumerate(zip(stored, results, strict=True)):
        [state], [again] = plain.step([state], [part(chunk)], plans=[ChunkPlan.from_dict(data)])
        assert same(again, result)


def test_change_of_latents_is_smoothed_into_the_history() -> None:
    machine = Engine(AnalyticWorld(), OFF.replace(window_smoothing=0.25))
    [state] = begin(machine, 0)
    expected, before = None, None
    for chunk in range(6):
        [state], [result] = machine.step([state], [part(chunk)])
        if before is not None:
            change = float((result.latents - before).square().mean())
            expected = change if expected is None else 0.25 * change + 0.75 * expected
        before = result.latents
        assert state.history.latent_change == (None if expected is None else pytest.approx(expected, rel=1e-5))


def test_adaptive_window_follows_the_latents() -> None:
    machine = Engine(AnalyticWorld(), AccelConfig(window="adaptive", window_kappa=0.01, warmup_chunks=1))
    [still] = begin(machine, 0)
    for _ in range(6):
        [still], [calm] = machine.step([still], [[STILL] * (3 if still.chunk == 0 else 4)])
    _, results = run(machine, begin(machine, 0)[0], 6)
    assert len(calm.plan.temporal) > len(results[-1].plan.temporal) == 4


def test_runs_without_gradients() -> None:
    class Trainable(AnalyticWorld):
        def generate(self, requests: Sequence[ChunkRequest]) -> list[torch.Tensor]:
            return [chunk * weight for chunk in super().generate(requests)]

    weight = torch.ones((), requires_grad=True)
    machine = engine(Trainable())
    _, [result] = machine.step(begin(machine, 0), [part(0)])
    assert not result.latents.requires_grad


def test_a_world_may_bring_its_own_view_similarity() -> None:
    calls = []

    class Own(AnalyticWorld):
        class view_overlap:  # noqa: N801
            @staticmethod
            def overlap(current: np.ndarray, candidates: np.ndarray) -> np.ndarray:
                calls.append(candidates.shape)
                return FrustumSampler(SPEC.fov, SPEC.view_distance).overlap(current, candidates)

    machine = engine(Own())
    run(machine, begin(machine, 0)[0], 6)
    assert calls


def test_empty_batch() -> None:
    assert engine().step([], []) == ([], [])


def test_work_beside_the_device_sees_the_planned_chunks() -> None:
    order: list[str] = []

    class Watched(AnalyticWorld):
        def generate(self, requests: Sequence[ChunkRequest]) -> list[torch.Tensor]:
            order.append("generate")
            return super().generate(requests)

    machine = engine(Watched())
    seen: list[PlannedChunk] = []

    def work(chunks: Sequence[PlannedChunk]) -> str:
        order.append("work")
        seen.extend(chunks)
        return "done"

    _, results, outcome = machine.step_async(begin(machine, 1, 2), [part(0)] * 2, work).wait()
    assert (order, outcome) == (["generate", "work"], "done")
    for chunk, result in zip(seen, results, strict=True):
        assert (chunk.plan, chunk.motions, chunk.commanded) == (result.plan, result.motions, result.commanded)
        assert chunk.poses is result.poses


def test_frames_may_stay_on_the_device() -> None:
    class OnDevice(AnalyticWorld):
        def decode_on_device(self, latents, streams):
            frames, following = self.decode(latents, streams)
            return [torch.from_numpy(each) for each in frames], following

    (expected,) = engine().step(begin(engine(), 1), [part(0)])[1]
    for world in (AnalyticWorld(), OnDevice()):
        for kept in (True, False):
            machine = Engine(world, AccelConfig.preset("off"), device_frames=kept)
            (result,) = machine.step(begin(machine, 1), [part(0)])[1]
            assert isinstance(result.frames, torch.Tensor if kept else np.ndarray)
            np.testing.assert_array_equal(np.asarray(result.frames), expected.frames)
