"""Engine: the loop around a world for a batch of episodes: motion, plan, generation, decoding.

The engine is functional: states go in, new states come out, and the engine keeps nothing of an episode. To save or fork
an episode, keep a reference to its state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch

from li_env.accel.config import AccelConfig
from li_env.accel.device import unbatch
from li_env.accel.geometry.camera import STILL, CameraMotion, motion_table, stop_at_poles
from li_env.accel.grouping import equal_groups
from li_env.accel.history import History
from li_env.accel.micro_batch import episodes_together
from li_env.accel.plan import ChunkPlan
from li_env.accel.planning.choice import choose_parts
from li_env.accel.planning.planner import Planner
from li_env.accel.planning.shared_work import share_work
from li_env.accel.planning.validate import check_kept, check_plans
from li_env.accel.runtime.ambient import own_torch_state
from li_env.accel.runtime.chunk import ChunkResult, Frames, GenerationState, PlannedChunk
from li_env.accel.runtime.clock import StageClock
from li_env.accel.runtime.contexts import chunk_requests, motion_requests
from li_env.accel.runtime.forks import refuse_lost_gpu
from li_env.accel.runtime.noise import noise_of
from li_env.accel.runtime.pending import PendingStep
from li_env.accel.runtime.promises import check_all_read, check_device, check_frames, check_latents
from li_env.accel.runtime.requests import PlannedRequests
from li_env.accel.runtime.streams import chunk_stream, queued_so_far
from li_env.accel.view_bank import ViewBank
from li_env.accel.world import BaseWorld, ChunkRequest, DecodeStream, check_world_type
from li_env.accel.world_spec import WorldSpec
from li_env.validation import check_pose, shown

Outcome = TypeVar("Outcome")

MOST_PLANNERS = 64
"""Most settings whose planners are kept."""


class Engine:
    """Engine that runs episodes of one world.

    Args:
        world: the world.
        config: the acceleration settings of episodes without their own.
        device_frames: whether frames stay on the world's device, as tensors with their own storage.
        batch: number of episodes that the environment holds. Worlds choose the size of their micro-batches by this
            number, so that frames do not depend on how many episodes a call brings.
        by_cost: whether settings leave out parts that save no time with ``batch`` episodes (`choose_parts`); otherwise
            they run as they are.

    Raises:
        ValueError: ``world`` does not inherit from `BaseWorld`, or its device is not a `torch.device`.
    """

    def __init__(
        self,
        world: BaseWorld,
        config: AccelConfig,
        device_frames: bool = False,
        batch: int = 1,
        by_cost: bool = False,
    ) -> None:
        check_world_type(world)
        check_device(world)
        self.world, self.config, self.device_frames, self.batch = world, config, device_frames, batch
        self._by_cost = by_cost
        self._planners: dict[tuple[AccelConfig, int], Planner] = {}
        self._planner(config)  # settings that do not fit the world are refused now

    @property
    def planner(self) -> Planner:
        """Planner of the episodes without their own settings."""
        return self._planner(self.config)

    def start(
        self,
        images: Sequence[np.ndarray],
        prompts: Sequence[str],
        seeds: Sequence[int],
        poses: Sequence[np.ndarray] | None = None,
        configs: Sequence[AccelConfig | None] | None = None,
        banks: Sequence[ViewBank | None] | None = None,
    ) -> list[GenerationState]:
        """Begin one episode per image.

        Args:
            images: start frames, uint8 [H, W, 3] RGB of the world's frame size.
            prompts: one text per image (may be empty).
            seeds: one whole number from 0 up per image; equal seeds give equal noise.
            poses: camera-to-world [4, 4] of the start frames, the identity by default.
            configs: acceleration settings of each episode; ``None`` for those of the engine.
            banks: views of the scan of each episode; ``None`` for an episode without a scan.

        Raises:
            ValueError: numbers of entries differ, or an image, seed or pose is not as described.
        """
        refuse_lost_gpu(self.world.device)
        poses = [np.eye(4)] * len(images) if poses is None else poses
        configs = [None] * len(images) if configs is None else configs
        banks = [None] * len(images) if banks is None else banks
        given = {"prompts": prompts, "seeds": seeds, "poses": poses, "configs": configs, "banks": banks}
        for key, values in given.items():
            if len(values) != len(images):
                raise ValueError(f"{key}: {len(values)} given for {len(images)} images; one per image is needed")
        for index, (image, seed, pose) in enumerate(zip(images, seeds, poses, strict=True)):
            self._check_start(index, image, seed, pose)
        with own_torch_state(), torch.inference_mode(), episodes_together(self.batch):
            scenes = self.world.start(images, prompts)
        return [
            GenerationState(scene, History(), None, int(seed), np.array(pose, dtype=np.float64), 0, False, config, bank)
            for scene, seed, pose, config, bank in zip(scenes, seeds, poses, configs, banks, strict=True)
        ]

    def step(
        self,
        states: Sequence[GenerationState],
        motions: Sequence[Sequence[CameraMotion]],
        plans: Sequence[ChunkPlan] | None = None,
    ) -> tuple[list[GenerationState], list[ChunkResult]]:
        """Make the next chunk of every episode; the episodes may be at different chunks.

        Args:
            states: episodes, left as they are.
            motions: per episode one motion per new latent: ``spec.latents_in_chunk(chunk)``, one fewer in chunk 0,
                whose first latent is the start frame.
            plans: one plan per episode to run instead of the planner's, for example from a stored report.

        Raises:
            ValueError: wrong number of motions or plans, a motion that is not finite, or a plan that does not fit.
        """
        following, results, _ = self.step_async(states, motions, lambda chunks: None, plans).wait()
        return following, results

    def step_async(
        self,
        states: Sequence[GenerationState],
        motions: Sequence[Sequence[CameraMotion]],
        work: Callable[[Sequence[PlannedChunk]], Outcome],
        plans: Sequence[ChunkPlan] | None = None,
    ) -> PendingStep[Outcome]:
        """Begin what `step` does: plan, and queue everything on the device.

        ``work`` is called with the planned chunks while a GPU makes their frames. Steps of other episodes may begin
        before this one is waited for; on a GPU their motions are then known before the chunks of this one are made.

        Returns:
            the step, whose `PendingStep.wait` returns states, results and what ``work`` returned.
        """
        refuse_lost_gpu(self.world.device)
        spec = self.world.spec
        commanded = self._check_motions(states, motions)
        if plans is not None:
            scanned = [0 if state.bank is None else len(state.bank) for state in states]
            check_plans(plans, spec, [(state.chunk, len(state.history)) for state in states], scanned)
            check_kept(plans, [state.kept for state in states])
        clock = StageClock(len(states), self.world.device)
        with own_torch_state(), torch.inference_mode(), episodes_together(self.batch):
            realised, broken, poses = self._move(states, commanded)
            clock.stop("motion")
            with chunk_stream(self.world.device):
                # Queued now, so that a GPU draws the noise while the host plans.
                noise = self._noise(states)
                requests = self._requests(states, list(zip(poses, realised, commanded, strict=True)), plans, noise)
                planned = requests.seconds
                clock.add("plan", planned)
                made, latents = self._generate(requests, [spec.latents_in_chunk(state.chunk) for state in states])
                clock.add("plan", requests.seconds - planned)
                clock.mark("generate")
                frames, streams = self._decode(states, latents)
                clock.mark("decode")
                ready = queued_so_far(self.world.device)
            outcome = work(requests.chunks)
        longer = [
            state.history.append(made_latents, chunk.poses, chunk.motions)
            for state, made_latents, chunk in zip(states, latents, requests.chunks, strict=True)
        ]
        smoothing = [self._settings(state).window_smoothing for state in states]
        return PendingStep(
            *(states, requests, made, latents, longer, frames, streams, broken, smoothing, outcome),
            *(clock, ready, self.world.device, self.device_frames),
        )

    def _move(
        self, states: Sequence[GenerationState], commanded: Sequence[tuple[CameraMotion, ...]]
    ) -> tuple[list[tuple[CameraMotion, ...]], list[bool], list[np.ndarray]]:
        """Return the realised motions, whether they were broken, and the poses of the latents to make.

        A motion that is not finite is replaced by standing still and marks its episode as broken.
        """
        along = self._poses_along(states, commanded)
        requests = motion_requests(self.world, states, commanded, [poses[-1] for poses in along])
        realised = [tuple(motions) for motions in self.world.feasible_motions(requests)]
        broken = [
            motions is not asked and not all(each.is_finite() for each in _distinct(motions))
            for motions, asked in zip(realised, commanded, strict=True)
        ]
        realised = [
            tuple(each if each.is_finite() else STILL for each in motions) if bad else motions
            for motions, bad in zip(realised, broken, strict=True)
        ]
        if self.world.spec.motion.pitch:
            realised = [
                stop_at_poles(state.pose, motions, self._follow)
                for state, motions in zip(states, realised, strict=True)
            ]
        # Motions that nothing changed lead where they were to lead.
        changed = [row for row, motions in enumerate(realised) if motions is not commanded[row]]
        again = self._poses_along([states[row] for row in changed], [realised[row] for row in changed])
        for row, reached in zip(changed, again, strict=True):
            along[row] = reached
        # Chunk 0 begins with the start frame's pose.
        poses = [each if state.chunk == 0 else each[1:] for state, each in zip(states, along, strict=True)]
        return realised, broken, poses

    def _poses_along(
        self, states: Sequence[GenerationState], motions: Sequence[Sequence[CameraMotion]]
    ) -> list[np.ndarray]:
        """Return the poses [1 + n, 4, 4] of every episode: before its n motions, and after each of them."""
        along: list[np.ndarray] = [np.empty(0)] * len(states)
        for members in equal_groups([len(each) for each in motions]):
            before = np.stack([states[index].pose for index in members])
            reached = self.world.follow_many(before, motion_table([motions[index] for index in members]))
            whole = np.concatenate([before[:, None], reached], axis=1)
            for index, poses in zip(members, whole, strict=True):
                along[index] = poses
        return along

    def _follow(self, pose: np.ndarray, motions: Sequence[CameraMotion]) -> np.ndarray:
        return self.world.follow_many(pose[None], motion_table([motions]))[0]

    def _requests(
        self,
        states: Sequence[GenerationState],
        moved: Sequence[tuple[np.ndarray, tuple[CameraMotion, ...], tuple[CameraMotion, ...]]],
        plans: Sequence[ChunkPlan] | None,
        noises: Sequence[torch.Tensor],
    ) -> PlannedRequests:
        """Plan a step; ``moved`` holds (poses, realised motions, commanded motions) of every episode."""

        def decide(part: slice) -> list[ChunkPlan]:
            if plans is not None:
                return [*plans[part]]
            decided = self._plan(states[part], [poses for poses, _, _ in moved[part]])
            return [
                share_work(
                    *(plan, self._settings(state), self.world.spec.motion),
                    *(state.kept, state.history.poses, realised),
                )
                for plan, state, (_, realised, _) in zip(decided, states[part], moved[part], strict=True)
            ]

        def prepare(part: slice, decided: Sequence[ChunkPlan]) -> tuple[list[PlannedChunk], list[ChunkRequest]]:
            own = states[part]
            chunks = [PlannedChunk(plan, *each) for plan, each in zip(decided, moved[part], strict=True)]
            return chunks, chunk_requests(self.world, own, chunks, noises[part])

        return PlannedRequests(len(states), decide, prepare)

    def config_of(self, state: GenerationState) -> AccelConfig:
        """Return the settings that an episode is stepped with."""
        return self.config if state.config is None else state.config

    def _settings(self, state: GenerationState) -> AccelConfig:
        """Return the settings of an episode as they hold in this world (`AccelConfig.worlds`)."""
        return self._planner(self.config_of(state)).config

    def _plan(self, states: Sequence[GenerationState], poses: Sequence[np.ndarray]) -> list[ChunkPlan]:
        """Plan the next chunk of every episode; episodes with equal settings are planned together."""
        plans: dict[int, ChunkPlan] = {}
        for rows in equal_groups([self.config_of(state) for state in states]):
            planner = self._planner(self.config_of(states[rows[0]]))
            own = [states[row] for row in rows]
            decided = planner.plan([s.history for s in own], [poses[row] for row in rows], [s.bank for s in own])
            plans.update(zip(rows, decided, strict=True))
        return [plans[index] for index in range(len(states))]

    def _planner(self, config: AccelConfig) -> Planner:
        key = config, self.batch  # a copy of the engine may hold another number of episodes
        if key not in self._planners:
            if len(self._planners) > MOST_PLANNERS:  # a sweep over settings must not grow for ever
                self._planners.clear()
            left_out = choose_parts(self.world, config, self.batch) if self._by_cost else None
            self._planners[key] = Planner(self.world.spec, config, self.world.view_overlap, left_out)
        return self._planners[key]

    def _generate(
        self, requests: PlannedRequests, counts: Sequence[int]
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Return latents per episode: as the world made them, and repaired where not finite."""
        made = list(self.world.generate_stream(requests))
        check_latents(self.world, made, counts)
        check_all_read(self.world, requests)
        if not made:
            return [], []
        finite = torch.nan_to_num(torch.cat(made), nan=0.0, posinf=0.0, neginf=0.0)
        return made, unbatch(finite, [chunk.shape[0] for chunk in made])

    def _decode(
        self, states: Sequence[GenerationState], latents: Sequence[torch.Tensor]
    ) -> tuple[Sequence[Frames], list[DecodeStream]]:
        """Decode frames where the world makes them; with ``device_frames`` to tensors with their own storage."""
        world = self.world
        on_device = self.device_frames or world.decodes_on_device
        decode: Any = world.decode_on_device if on_device else world.decode
        frames, following = decode(latents, [state.stream for state in states])
        check_frames(world, frames, [_decoded_frames(world.spec, state.chunk) for state in states])
        if self.device_frames and frames:
            frames = unbatch(torch.cat(tuple(frames)), [len(each) for each in frames])
        return frames, following

    def _noise(self, states: Sequence[GenerationState]) -> Sequence[torch.Tensor]:
        """Draw standard normal noise [n, C, h, w] per episode, a function of its seed and chunk alone."""
        spec, chunks = self.world.spec, [state.chunk for state in states]
        sizes = [spec.latents_in_chunk(chunk) for chunk in chunks]
        return noise_of(spec, [state.seed for state in states], chunks, sizes, self.world.device)

    def _check_motions(
        self, states: Sequence[GenerationState], motions: Sequence[Sequence[CameraMotion]]
    ) -> list[tuple[CameraMotion, ...]]:
        if len(states) != len(motions):
            raise ValueError(f"motions: {len(motions)} lists given for {len(states)} states; one per state is needed")
        held, finite = list(motions), set[int]()  # ids of what was looked at: episodes under one action share a tuple
        for index, (state, given) in enumerate(zip(states, held, strict=True)):
            expected = self.world.spec.latents_in_chunk(state.chunk) - (1 if state.chunk == 0 else 0)
            if len(given) != expected:
                raise ValueError(f"motions[{index}]: {len(given)} given; chunk {state.chunk} needs {expected}")
            if id(given) in finite:
                continue
            finite.add(id(given))
            for motion in _distinct(given):
                if not motion.is_finite():
                    raise ValueError(f"motions[{index}]: {motion} is not allowed; use finite numbers")
        return [tuple(given) for given in held]

    def _check_start(self, index: int, image: np.ndarray, seed: int, pose: np.ndarray) -> None:
        shape = (*self.world.spec.frame_size, 3)
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.shape != shape:
            found = f"{image.dtype} {list(image.shape)}" if isinstance(image, np.ndarray) else type(image).__name__
            raise ValueError(f"images[{index}]: {found} is not allowed; use a uint8 array {list(shape)} (RGB)")
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
            raise ValueError(f"seeds[{index}]: {shown(seed)} is not allowed; use a whole number from 0 up")
        check_pose(f"poses[{index}]", pose)


def _decoded_frames(spec: WorldSpec, chunk: int) -> int:
    """Count the frames that chunk ``chunk`` decodes to: chunk 0 makes the start frame again."""
    return spec.new_frames(chunk) + (1 if chunk == 0 else 0)


def _distinct(motions: Sequence[CameraMotion]) -> Iterable[CameraMotion]:
    """Return the distinct objects among ``motions``: an action that is held is one object."""
    return {id(motion): motion for motion in motions}.values()
