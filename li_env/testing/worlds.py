"""The contract suite of a world model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from li_env.accel.config import AccelConfig
from li_env.accel.geometry.camera import CameraMotion, motion_table
from li_env.accel.runtime.chunk import GenerationState
from li_env.accel.runtime.engine import Engine
from li_env.accel.world import BaseWorld, ChunkRequest, DecodeStream, MotionRequest
from li_env.accel.world_wrapper import WorldWrapper
from li_env.images import fit_image
from li_env.metrics import psnr
from li_env.testing import answers

CONTRACT_PRESET = "all"
"""Preset of the suite: after its warm-up, chunks explore or revisit, with fewer steps and sparse attention."""


def check_world(world: BaseWorld, chunks: int = 5, least_psnr: float = 40.0) -> None:
    """Check that a world keeps the contract of `li_env.accel.world.BaseWorld`.

    Two episodes run ``chunks`` chunks side by side, one a chunk behind the other: first, warm-up, exploring and
    revisiting chunks meet in one batch. The suite checks

    - the numbers of the spec, the device, start views;
    - kind, number, shape, type, device and range of every answer;
    - that no argument is written to;
    - that the same call gives the same answer, at once and after all others: a world keeps nothing of an episode;
    - that an episode does not depend on its neighbours, nor on their order;
    - ``generate_stream``, ``decode_on_device``, ``follow_many`` and ``working_bytes``.

    Args:
        world: the world.
        chunks: chunks per episode; 5 or more reach every kind of chunk.
        least_psnr: how near the frames of an episode by itself must be to its frames in a batch, in dB; ``math.inf``
            asks for the same bits.

    Raises:
        ValueError: the first fault, with the name of the world.
    """
    answers.check_parts(world)
    answers.check_spec(world)
    answers.check_starts(world)
    _check_working_bytes(world)
    checked = CheckedWorld(world, least_psnr)
    engine = Engine(checked, AccelConfig.preset(CONTRACT_PRESET))
    states = [_begin(engine, world, index) for index in range(2)]
    for chunk in range(chunks):
        going = states if chunk else states[:1]  # the second episode starts a chunk later
        motions = [_motions(world, state.chunk, row) for row, state in enumerate(going)]
        for state, moves in zip(going, motions, strict=True):
            _check_follow(world, state.pose, moves)
        following, _ = engine.step(going, motions)
        checked.repeat()
        states = following if chunk else [*following, states[1]]
    checked.finish()


@dataclass
class _Calls:
    """The calls of one step, with their answers."""

    motions: tuple[list[MotionRequest], list[tuple[CameraMotion, ...]]] | None = None
    made: tuple[list[ChunkRequest], list[torch.Tensor]] | None = None
    decoded: tuple[list[torch.Tensor], list[DecodeStream], list[np.ndarray]] | None = None
    chunks: list[int] = field(default_factory=list)


class CheckedWorld(WorldWrapper):
    """A world that checks every answer of the one inside, and can ask it again."""

    def __init__(self, world: BaseWorld, least_psnr: float) -> None:
        super().__init__(world)
        self._least = least_psnr
        self._calls = _Calls()
        self._first: _Calls | None = None

    def start(self, images: Sequence[np.ndarray], prompts: Sequence[str]) -> list[Any]:
        """Start episodes and check their number."""
        with _unwritten(self.world, "start", images):
            scenes = self._call("start", self.world.start, images, prompts)
        answers.check_count(self.world, "start", scenes, len(images))
        return list(scenes)

    def feasible_motions(self, requests: Sequence[MotionRequest]) -> list[tuple[CameraMotion, ...]]:
        """Ask for motions and check them."""
        self._calls = _Calls(motions=(list(requests), self._motions(requests)))
        return self._calls.motions[1]  # type: ignore[index]

    def generate(self, requests: Sequence[ChunkRequest]) -> list[torch.Tensor]:
        """Generate latents and check them."""
        self._calls.made = (list(requests), self._generate(requests))
        self._calls.chunks = [request.plan.chunk for request in requests]
        return self._calls.made[1]

    def decode(
        self, latents: Sequence[torch.Tensor], streams: Sequence[DecodeStream]
    ) -> tuple[list[np.ndarray], list[DecodeStream]]:
        """Decode frames and check them."""
        frames, following = self._decode(latents, streams, self._calls.chunks)
        self._calls.decoded = (list(latents), list(streams), frames)
        return frames, following

    def repeat(self) -> None:
        """Ask for the last step again: the same batch, every episode alone, the order reversed."""
        calls = self._calls
        assert calls.motions is not None and calls.made is not None and calls.decoded is not None
        self._first = self._first or calls
        self._again(calls, "called again")
        everyone = range(len(calls.chunks))
        groups = [[row] for row in everyone] if len(everyone) > 1 else []
        for rows in [*groups, list(reversed(everyone))]:
            self._subset(calls, rows, "alone" if len(rows) == 1 else "in another order")
        self._other_forms(calls)

    def finish(self) -> None:
        """Ask for the first step of all again, after everything else, and push against the walls there are now."""
        if self._first is not None:
            self._again(self._first, "called again after other chunks")
        if self._calls.motions is not None:
            self.push(self._calls.motions[0])

    def _again(self, calls: _Calls, when: str) -> None:
        assert calls.motions is not None and calls.made is not None and calls.decoded is not None
        if self._motions(calls.motions[0]) != calls.motions[1]:
            answers.refuse(self.world, f"feasible_motions gave other motions when {when}; allowed: the same")
        for one, two in zip(self._generate(calls.made[0]), calls.made[1], strict=True):
            if not torch.equal(one, two):
                answers.refuse(self.world, f"generate gave other latents when {when}; allowed: the same bits")
        latents, streams, frames = calls.decoded
        for again, before in zip(self._decode(latents, streams, calls.chunks)[0], frames, strict=True):
            if not np.array_equal(again, before):
                answers.refuse(self.world, f"decode gave other frames when {when}; allowed: the same bits")

    def _subset(self, calls: _Calls, rows: Sequence[int], how: str) -> None:
        """Compare some episodes of a step with what they were in the whole batch."""
        assert calls.motions is not None and calls.made is not None and calls.decoded is not None
        given, moved = calls.motions
        for row, motions in zip(rows, self._motions([given[row] for row in rows]), strict=True):
            self._compare_motions(how, motions, moved[row])
        requests, made = calls.made
        latents, streams, frames = calls.decoded
        alone = self._generate([requests[row] for row in rows])
        for row, one in zip(rows, alone, strict=True):
            if torch.equal(one, made[row]):
                continue
            chunk = calls.chunks[row : row + 1]
            shown = [self._decode([each], [streams[row]], chunk)[0][0] for each in (one, made[row])]
            self._compare("generate", chunk[0], how, *shown)
        again, _ = self._decode(
            [latents[row] for row in rows], [streams[row] for row in rows], [calls.chunks[row] for row in rows]
        )
        for row, pictures in zip(rows, again, strict=True):
            self._compare("decode", calls.chunks[row], how, pictures, frames[row])

    def push(self, given: Sequence[MotionRequest]) -> None:
        """Push against whatever stands around, in every direction at once, then in one direction after the other."""
        step = self.spec.motion.translation
        pushes = [
            replace(request, motions=(CameraMotion(forward=step * ahead, right=step * aside),) * len(request.motions))
            for request in given
            for ahead, aside in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))
        ]
        together = self._motions(pushes)
        for request, moved in zip(pushes, together, strict=True):
            (alone,) = self._motions([request])
            self._compare_motions("alone", alone, moved)

    def _compare_motions(self, how: str, one: Sequence[CameraMotion], two: Sequence[CameraMotion]) -> None:
        if not _near(one, two, 0.0 if math.isinf(self._least) else 1e-3):
            what = f"an episode's motions are others {how}: {answers.shown(one[-1])} was {answers.shown(two[-1])}"
            answers.refuse(self.world, f"feasible_motions: {what}; allowed: no influence of its neighbours")

    def _other_forms(self, calls: _Calls) -> None:
        """Compare the streaming and the device form with those that they stand for."""
        assert calls.made is not None and calls.decoded is not None
        requests, made = calls.made
        streamed = list(self.world.generate_stream(requests))
        answers.check_count(self.world, "generate_stream", streamed, len(requests))
        for one, two in zip(streamed, made, strict=True):
            if not torch.equal(one, two):
                answers.refuse(self.world, "generate_stream gave other latents than generate; allowed: the same")
        latents, streams, frames = calls.decoded
        tensors, following = self.world.decode_on_device(latents, streams)
        answers.check_count(self.world, "decode_on_device", tensors, len(latents))
        answers.check_count(self.world, "decode_on_device (streams)", following, len(latents))
        for chunk, part, kept, shown in zip(calls.chunks, latents, tensors, frames, strict=True):
            answers.check_frames(self.world, "decode_on_device", chunk, len(part), kept)
            if not np.array_equal(kept.cpu().numpy(), shown):
                answers.refuse(self.world, "decode_on_device gave other frames than decode; allowed: the same")

    def _motions(self, requests: Sequence[MotionRequest]) -> list[tuple[CameraMotion, ...]]:
        given = [array for request in requests for array in (request.pose, request.recent, request.recent_poses)]
        with _unwritten(self.world, "feasible_motions", given):
            moved = self._call("feasible_motions", self.world.feasible_motions, requests)
        answers.check_count(self.world, "feasible_motions", moved, len(requests))
        for request, motions in zip(requests, moved, strict=True):
            answers.check_motions(self.world, request.motions, motions)
        return list(moved)

    def _generate(self, requests: Sequence[ChunkRequest]) -> list[torch.Tensor]:
        given = [
            array
            for each in requests
            for array in (each.poses, each.context, each.context_poses, each.noise, each.origin)
        ]
        with _unwritten(self.world, "generate", given):
            made = self._call("generate", self.world.generate, requests)
        answers.check_count(self.world, "generate", made, len(requests))
        for request, latents in zip(requests, made, strict=True):
            answers.check_latents(self.world, len(request.poses), latents)
        return list(made)

    def _decode(
        self, latents: Sequence[torch.Tensor], streams: Sequence[DecodeStream], chunks: Sequence[int]
    ) -> tuple[list[np.ndarray], list[DecodeStream]]:
        with _unwritten(self.world, "decode", list(latents)):
            answer = self._call("decode", self.world.decode, latents, streams)
        if not isinstance(answer, tuple) or len(answer) != 2:
            answers.refuse(self.world, f"decode returned {answers.shown(answer)}; allowed: (frames, streams)")
        frames, following = answer
        answers.check_count(self.world, "decode (frames)", frames, len(latents))
        answers.check_count(self.world, "decode (streams)", following, len(latents))
        for chunk, part, each in zip(chunks, latents, frames, strict=True):
            answers.check_frames(self.world, "decode", chunk, len(part), each)
        return list(frames), list(following)

    def _call(self, name: str, method: Callable[..., Any], *arguments: Any) -> Any:
        try:
            with torch.inference_mode():
                return method(*arguments)
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise ValueError(
                f"world {self.spec.name!r}: {name} failed on {len(arguments[0])} episodes: "
                f"{type(error).__name__}: {reason}"
            ) from error

    def _compare(self, method: str, chunk: int, how: str, one: np.ndarray, two: np.ndarray) -> None:
        if np.array_equal(one, two):
            return
        decibels = float(psnr(torch.from_numpy(np.array(one)), torch.from_numpy(np.array(two))).min())
        if math.isinf(self._least) or decibels < self._least:
            allowed = "the same bits" if math.isinf(self._least) else f"{self._least:g} dB or more"
            answers.refuse(
                self.world,
                f"{method}: an episode's frames of chunk {chunk} are others {how}, {decibels:.1f} dB; "
                f"allowed: {allowed}, no influence of its neighbours",
            )


class _unwritten:  # noqa: N801  (used as a statement)
    """Refuse a world that writes to arrays or tensors that it was given."""

    def __init__(self, world: BaseWorld, method: str, given: Sequence[Any]) -> None:
        self._world, self._method, self._given = world, method, given
        self._before = [each.clone() if isinstance(each, torch.Tensor) else np.array(each) for each in given]

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is None and not all(map(_equal, self._given, self._before)):
            answers.refuse(self._world, f"{self._method} wrote to its arguments; allowed: reading them")


def _equal(one: Any, two: Any) -> bool:
    return torch.equal(one, two) if isinstance(one, torch.Tensor) else np.array_equal(one, two)


def _near(one: Sequence[CameraMotion], two: Sequence[CameraMotion], tolerance: float) -> bool:
    """Compare motions, in degrees and length units."""
    keys = ("yaw", "pitch", "right", "forward")
    return all(
        abs(getattr(a, key) - getattr(b, key)) <= tolerance for a, b in zip(one, two, strict=True) for key in keys
    )


def _begin(engine: Engine, world: BaseWorld, index: int) -> GenerationState:
    """Start an episode at a start frame of the world, or at a made-up picture where it has none."""
    views = world.start_views
    height, width = world.spec.frame_size
    pose, prompt = np.eye(4), ""
    if len(views) == 0:
        ramp = np.linspace(40 + 60 * index, 215, height * width).reshape(height, width, 1)
        image = np.ascontiguousarray(np.broadcast_to(ramp, (height, width, 3)), dtype=np.uint8)
    else:
        row = index % len(views)
        image = fit_image(np.asarray(views.images[row]), (height, width))
        pose = pose if views.poses is None else np.array(views.poses[row], dtype=np.float64)
        prompt = prompt if views.prompts is None else views.prompts[row]
    return engine.start([image], [prompt], [index], [pose])[0]


def _motions(world: BaseWorld, chunk: int, row: int) -> tuple[CameraMotion, ...]:
    """Motions of a chunk: out, back and round again, so that views come back; every episode in another order."""
    spec = world.spec
    step, angle = spec.motion.translation, spec.motion.rotation
    path = (
        CameraMotion(forward=step),
        CameraMotion(forward=-step),
        CameraMotion(yaw=angle),
        CameraMotion(yaw=-angle, forward=step),
        CameraMotion(right=step),
    )
    count = spec.latents_in_chunk(chunk) - (1 if chunk == 0 else 0)
    return (path[(chunk + 2 * row) % len(path)],) * count


def _check_follow(world: BaseWorld, pose: np.ndarray, motions: Sequence[CameraMotion]) -> None:
    reached = np.asarray(world.follow_many(pose[None], motion_table([motions])))
    if reached.shape != (1, len(motions), 4, 4) or not np.isfinite(reached).all():
        shape = f"[1, {len(motions)}, 4, 4]"
        answers.refuse(world, f"follow_many: {answers.shown(reached)}; allowed: finite poses {shape}, one per motion")


def _check_working_bytes(world: BaseWorld) -> None:
    sizes = [world.working_bytes(count) for count in (1, 2, 8)]
    if not all(isinstance(size, int | float) and size >= 0 for size in sizes) or sizes != sorted(sizes):
        answers.refuse(world, f"working_bytes(1, 2, 8)={answers.shown(sizes)}; allowed: bytes, never fewer for more")
