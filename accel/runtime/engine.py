"""The loop around a world: motion, plan, generation, decoding, for a batch of episodes.

The engine is functional: states go in, new states come out, nothing of an episode stays inside. To save or fork an
episode, keep a reference to its state.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch

from li_env.accel.config import AccelConfig
from li_env.accel.device import unbatch
from li_env.accel.geometry.camera import STILL, CameraMotion, follow_many, motion_table, stop_at_poles
from li_env.accel.geometry.frustum import ViewOverlap
from li_env.accel.history import History
from li_env.accel.micro_batch import episodes_together
from li_env.accel.plan import ChunkPlan
from li_env.accel.planning.planner import Planner
from li_env.accel.planning.validate import check_plans
from li_env.accel.retrieval.motion_context import motion_contexts
from li_env.accel.runtime.ambient import own_torch_state
from li_env.accel.runtime.chunk import ChunkResult, Frames, GenerationState, PlannedChunk
from li_env.accel.runtime.clock import StageClock
from li_env.accel.runtime.forks import refuse_lost_gpu
from li_env.accel.runtime.latent_change import examine, smoothed
from li_env.accel.runtime.noise import standard_normal
from li_env.accel.runtime.promises import check_device, check_frames, check_latents
from li_env.accel.world import ChunkRequest, DecodeStream, MotionRequest, WorldModel
from li_env.accel.world_spec import WorldSpec

PLANNER_MICRO_BATCH = 128
"""Episodes planned at a time: where a world takes them as they come, a GPU begins with the first ones meanwhile."""

MOST_PLANNERS = 64
"""Settings whose planners are kept."""


class Engine:
    """Runs episodes of one world.

    Args:
        world: the model. If it has an attribute ``view_overlap``, that is the view similarity it was trained with, and
            the planner uses it instead of the frustum given by its spec. If it has a method ``follow(pose, motions)``
            like `camera.follow`, that is how its camera moves. If it has a method ``generate_stream(requests, count)``,
            like ``generate`` for an iterator of so many requests, it may begin while later ones are still planned.
        config: the acceleration settings of episodes that bring none of their own.
        device_frames: frames stay on the world's device, as tensors, none of them a view of a larger one. A world that
            can decode without going to the host has a method ``decode_on_device``, like ``decode`` but for that.
        batch: episodes that the environment holds. Worlds choose the size of their micro-batches by it, so that frames
            do not depend on how many episodes a call brings.
    """

    def __init__(self, world: WorldModel, config: AccelConfig, device_frames: bool = False, batch: int = 1) -> None:
        check_device(world)
        self.world, self.config, self.device_frames, self.batch = world, config, device_frames, batch
        view_overlap: ViewOverlap | None = getattr(world, "view_overlap", None)
        self._view_overlap = view_overlap
        self.planner = Planner(world.spec, config, view_overlap)
        self._planners = {config: self.planner}
        self._own_follow: Callable[[np.ndarray, Sequence[CameraMotion]], np.ndarray] | None
        self._own_follow = getattr(world, "follow", None)

    def start(
        self,
        images: Sequence[np.ndarray],
        prompts: Sequence[str],
        seeds: Sequence[int],
        poses: Sequence[np.ndarray] | None = None,
        configs: Sequence[AccelConfig | None] | None = None,
    ) -> list[GenerationState]:
        """Begin one episode per image.

        Args:
            images: start frames, uint8 [H, W, 3] RGB of the world's frame size.
            prompts: one text per image (may be empty).
            seeds: one whole number from 0 up per image; equal seeds give equal noise.
            poses: camera-to-world [4, 4] of the start frames, the identity by default.
            configs: acceleration settings of each episode; ``None`` for those of the engine.

        Raises:
            ValueError: numbers of entries differ, or an image, seed or pose is not as described.
        """
        refuse_lost_gpu(self.world.device)
        poses = [np.eye(4)] * len(images) if poses is None else poses
        configs = [None] * len(images) if configs is None else configs
        for key, values in (("prompts", prompts), ("seeds", seeds), ("poses", poses), ("configs", configs)):
            if len(values) != len(images):
                raise ValueError(f"{key}: {len(values)} given for {len(images)} images; one per image is needed")
        for index, (image, seed, pose) in enumerate(zip(images, seeds, poses, strict=True)):
            self._check_start(index, image, seed, pose)
        with own_torch_state(), torch.inference_mode(), episodes_together(self.batch):
            scenes = self.world.start(images, prompts)
        return [
            GenerationState(scene, History(), None, int(seed), np.array(pose, dtype=np.float64), 0, False, config)
            for scene, seed, pose, config in zip(scenes, seeds, poses, configs, strict=True)
        ]

    def step(
        self,
        states: Sequence[GenerationState],
        motions: Sequence[Sequence[CameraMotion]],
        plans: Sequence[ChunkPlan] | None = None,
        meanwhile: Callable[[Sequence[PlannedChunk]], None] | None = None,
    ) -> tuple[list[GenerationState], list[ChunkResult]]:
        """Make the next chunk of every episode; the episodes may be at different chunks.

        Args:
            states: episodes, left as they are.
            motions: per episode one motion per new latent: ``spec.latents_in_chunk(chunk)``, one fewer in chunk 0,
                whose first latent is the start frame.
            plans: one per episode to carry out instead of the planner's own, for example from a stored report.
            meanwhile: called once with what is known of the chunks while a GPU makes them, for work that needs no
                frames.

        Raises:
            ValueError: wrong number of motions or plans, a motion that is not finite, or a plan that does not fit.
        """
        refuse_lost_gpu(self.world.device)
        commanded = self._check_motions(states, motions)
        if plans is not None:
            check_plans(plans, self.world.spec, [(state.chunk, len(state.history)) for state in states])
        clock = StageClock(len(states), self.world.device)
        with own_torch_state(), torch.inference_mode(), episodes_together(self.batch):
            feasible, broken, poses = self._move(states, commanded)
            clock.stop("motion")
            # Asked for now: a GPU draws it while the host plans.
            noise = self._noise(states)
            paths: list[PlannedChunk] = []
            ahead = self._requests(states, zip(poses, feasible, commanded, strict=True), plans, noise, paths, clock)
            made, latents = self._generate(ahead, [self.world.spec.latents_in_chunk(state.chunk) for state in states])
            clock.mark("generate")
            frames, streams = self._decode(latents, [state.stream for state in states])
            check_frames(self.world, frames, [_decoded_frames(self.world.spec, state.chunk) for state in states])
            if self.device_frames:
                frames = unbatch(torch.cat(tuple(frames)), [len(each) for each in frames]) if frames else []
            clock.mark("decode")
            if meanwhile is not None:
                meanwhile(paths)
            longer = [
                state.history.append(chunk, path.poses, path.motions)
                for state, chunk, path in zip(states, latents, paths, strict=True)
            ]
            # The first question to the device: until here a GPU has worked beside the host.
            finite, changes = examine(made, [state.history.last_chunk for state in states])
            frames = frames if self.device_frames else _on_host(frames)
            clock.finish()
        results = [
            ChunkResult(
                *(path.plan, path.poses, path.motions, path.commanded),
                frames[index],
                latents[index],
                broken[index] or not finite[index],
                dict(clock.milliseconds),
            )
            for index, path in enumerate(paths)
        ]
        following = [
            GenerationState(
                scene=state.scene,
                history=history.with_dynamics(
                    smoothed(state.history.dynamics, change, self.config_of(state).window_smoothing)
                ),
                stream=stream,
                seed=state.seed,
                pose=result.poses[-1].copy(),
                chunk=state.chunk + 1,
                degenerated=state.degenerated or result.degenerated,
                config=state.config,
            )
            for state, stream, result, history, change in zip(states, streams, results, longer, changes, strict=True)
        ]
        return following, results

    def _move(
        self, states: Sequence[GenerationState], commanded: Sequence[tuple[CameraMotion, ...]]
    ) -> tuple[list[tuple[CameraMotion, ...]], list[bool], list[np.ndarray]]:
        """What the world lets happen, whether it was broken, and the poses of the latents to make.

        A motion that is not finite becomes standing still and marks its episode.
        """
        requests = []
        arrivals = [path[-1] for path in self._paths(states, commanded)]
        now = np.stack([state.pose for state in states]) if states else np.zeros((0, 4, 4))
        places = motion_contexts(
            [state.history.track for state in states],
            now,
            np.stack(arrivals) if states else now,
            self.world.spec.view_distance,
        )
        recent = self._gather(states, places)
        for state, moves, shown, latents in zip(states, commanded, places, recent, strict=True):
            requests.append(MotionRequest(state.scene, state.pose, moves, latents, state.history.poses[list(shown)]))
        feasible = [tuple(moves) for moves in self.world.feasible_motions(requests)]
        broken = [not all(move.is_finite() for move in _distinct(moves)) for moves in feasible]
        feasible = [
            tuple(move if move.is_finite() else STILL for move in moves) if bad else moves
            for moves, bad in zip(feasible, broken, strict=True)
        ]
        if self.world.spec.motion.pitch:
            feasible = [
                stop_at_poles(state.pose, moves, self._own_follow)
                for state, moves in zip(states, feasible, strict=True)
            ]
        # Chunk 0 begins with the start frame's pose.
        paths = self._paths(states, feasible)
        poses = [path if state.chunk == 0 else path[1:] for state, path in zip(states, paths, strict=True)]
        return feasible, broken, poses

    def _paths(self, states: Sequence[GenerationState], motions: Sequence[Sequence[CameraMotion]]) -> list[np.ndarray]:
        """Poses [1 + n, 4, 4] of every episode: now, and after each of its n motions."""
        paths: list[np.ndarray] = [np.empty(0)] * len(states)
        if self._own_follow is not None:
            for index, (state, moves) in enumerate(zip(states, motions, strict=True)):
                paths[index] = np.concatenate([state.pose[None], self._own_follow(state.pose, moves)])
            return paths
        kinds: dict[int, list[int]] = {}
        for index, moves in enumerate(motions):
            kinds.setdefault(len(moves), []).append(index)
        for members in kinds.values():
            now = np.stack([states[index].pose for index in members])
            reached = follow_many(now, motion_table([motions[index] for index in members]))
            whole = np.concatenate([now[:, None], reached], axis=1)
            for index, path in zip(members, whole, strict=True):
                paths[index] = path
        return paths

    def _requests(
        self,
        states: Sequence[GenerationState],
        moves: Iterable[tuple[np.ndarray, tuple[CameraMotion, ...], tuple[CameraMotion, ...]]],
        plans: Sequence[ChunkPlan] | None,
        noises: Sequence[torch.Tensor],
        paths: list[PlannedChunk],
        clock: StageClock,
    ) -> Iterator[ChunkRequest]:
        """Plan part by part, so that a device can begin with the first one; what was decided goes into ``paths``.

        ``moves`` are (poses, feasible motions, commanded motions) of every episode.
        """
        moves = list(moves)
        for start in range(0, max(1, len(states)), PLANNER_MICRO_BATCH):
            part = slice(start, start + PLANNER_MICRO_BATCH)
            own, began = states[part], time.perf_counter()
            decided = self._plan(own, [poses for poses, _, _ in moves[part]]) if plans is None else list(plans[part])
            clock.add("plan", began)
            new = [PlannedChunk(plan, *each) for plan, each in zip(decided, moves[part], strict=True)]
            paths += new
            contexts = [path.plan.context for path in new]
            given = zip(own, new, contexts, self._gather(own, contexts), noises[part], strict=True)
            for state, path, indices, context, noise in given:
                yield ChunkRequest(
                    scene=state.scene,
                    plan=path.plan,
                    poses=path.poses,
                    motions=path.motions,
                    context=context,
                    context_poses=state.history.poses[list(indices)],
                    noise=noise,
                    context_motions=state.history.motions_to(indices),
                    origin=state.history.poses[0] if len(state.history) else path.poses[0],
                )

    def config_of(self, state: GenerationState) -> AccelConfig:
        """Return the settings that an episode is stepped with."""
        return self.config if state.config is None else state.config

    def _plan(self, states: Sequence[GenerationState], poses: Sequence[np.ndarray]) -> list[ChunkPlan]:
        """Plan the next chunk of every episode, those of equal settings together."""
        members: dict[AccelConfig, list[int]] = {}
        for index, state in enumerate(states):
            members.setdefault(self.config_of(state), []).append(index)
        plans: dict[int, ChunkPlan] = {}
        for config, rows in members.items():
            decided = self._planner(config).plan([states[row].history for row in rows], [poses[row] for row in rows])
            plans.update(zip(rows, decided, strict=True))
        return [plans[index] for index in range(len(states))]

    def _planner(self, config: AccelConfig) -> Planner:
        if config not in self._planners:
            if len(self._planners) > MOST_PLANNERS:  # a sweep over settings must not grow for ever
                self._planners = {self.config: self.planner}
            self._planners[config] = Planner(self.world.spec, config, self._view_overlap)
        return self._planners[config]

    def _generate(
        self, requests: Iterator[ChunkRequest], counts: Sequence[int]
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Latents per episode, as the world made them and repaired where they are not finite."""
        stream = getattr(self.world, "generate_stream", None)
        made = list(self.world.generate(list(requests)) if stream is None else stream(requests, len(counts)))
        check_latents(self.world, made, counts)
        if not made:
            return [], []
        finite = torch.nan_to_num(torch.cat(made), nan=0.0, posinf=0.0, neginf=0.0)
        return made, unbatch(finite, [chunk.shape[0] for chunk in made])

    def _decode(
        self, latents: Sequence[torch.Tensor], streams: Sequence[DecodeStream]
    ) -> tuple[Sequence[Frames], list[DecodeStream]]:
        on_device = getattr(self.world, "decode_on_device", None)
        if on_device is not None:
            tensors, following = on_device(latents, streams)
            return tensors, following
        frames, following = self.world.decode(latents, streams)
        if not self.device_frames:
            return frames, following
        return [torch.from_numpy(each).to(self.world.device) for each in frames], following

    def _gather(self, states: Sequence[GenerationState], indices: Sequence[Sequence[int]]) -> Sequence[torch.Tensor]:
        """Latents of every episode: views of one tensor, so that a batch costs one copy, not one per episode."""
        pieces = [
            piece for state, wanted in zip(states, indices, strict=True) for piece in state.history.pieces(wanted)
        ]
        if not pieces:
            nothing = torch.zeros((0, *self.world.spec.latent_shape), device=self.world.device)
            return [nothing] * len(states)
        return torch.cat(pieces).split([len(wanted) for wanted in indices])

    def _noise(self, states: Sequence[GenerationState]) -> Sequence[torch.Tensor]:
        """Standard normal [n, C, h, w] per episode, a function of its seed and chunk alone."""
        spec = self.world.spec
        if not states:
            return []
        chunks = [state.chunk for state in states]
        sizes = [spec.latents_in_chunk(chunk) for chunk in chunks]
        each = math.prod(spec.latent_shape)
        numbers = standard_normal([state.seed for state in states], chunks, max(sizes) * each, self.world.device)
        return [row[: size * each].view(size, *spec.latent_shape) for row, size in zip(numbers, sizes, strict=True)]

    def _check_motions(
        self, states: Sequence[GenerationState], motions: Sequence[Sequence[CameraMotion]]
    ) -> list[tuple[CameraMotion, ...]]:
        if len(states) != len(motions):
            raise ValueError(f"motions: {len(motions)} lists given for {len(states)} states; one per state is needed")
        for index, (state, moves) in enumerate(zip(states, motions, strict=True)):
            expected = self.world.spec.latents_in_chunk(state.chunk) - (1 if state.chunk == 0 else 0)
            if len(moves) != expected:
                raise ValueError(f"motions[{index}]: {len(moves)} given; chunk {state.chunk} needs {expected}")
            for move in _distinct(moves):
                if not move.is_finite():
                    raise ValueError(f"motions[{index}]: {move} is not allowed; use finite numbers")
        return [tuple(moves) for moves in motions]

    def _check_start(self, index: int, image: np.ndarray, seed: int, pose: np.ndarray) -> None:
        shape = (*self.world.spec.frame_size, 3)
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.shape != shape:
            found = f"{image.dtype} {list(image.shape)}" if isinstance(image, np.ndarray) else type(image).__name__
            raise ValueError(f"images[{index}]: {found} is not allowed; use a uint8 array {list(shape)} (RGB)")
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
            raise ValueError(f"seeds[{index}]: {seed!r} is not allowed; use a whole number from 0 up")
        matrix = np.asarray(pose, dtype=np.float64)
        rigid = (
            matrix.shape == (4, 4)
            and np.isfinite(matrix).all()
            and np.allclose(matrix[3], (0, 0, 0, 1))
            and np.allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-6)
            and np.linalg.det(matrix[:3, :3]) > 0
        )
        if not rigid:
            raise ValueError(f"poses[{index}]: {matrix.tolist()} is not allowed; use a rigid 4x4 camera-to-world pose")


def _decoded_frames(spec: WorldSpec, chunk: int) -> int:
    """Frames that chunk ``chunk`` decodes to: chunk 0 makes the start frame again."""
    return spec.new_frames(chunk) + (1 if chunk == 0 else 0)


def _distinct(moves: Sequence[CameraMotion]) -> Iterable[CameraMotion]:
    """The objects among ``moves``: an action that is held is one."""
    return {id(move): move for move in moves}.values()


def _on_host(frames: Sequence[Frames]) -> Sequence[Frames]:
    """Arrays of tensors, in one copy; from a GPU through pinned memory, at several times the speed of a plain copy."""
    if not frames or not isinstance(frames[0], torch.Tensor):
        return frames
    joined = torch.cat(tuple(frames))
    host = torch.empty(joined.shape, dtype=joined.dtype, pin_memory=joined.is_cuda)
    host.copy_(joined, non_blocking=True)
    if joined.is_cuda:
        torch.cuda.current_stream(joined.device).synchronize()
    return np.split(host.numpy(), np.cumsum([each.shape[0] for each in frames])[:-1])
