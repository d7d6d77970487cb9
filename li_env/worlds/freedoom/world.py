"""The freedoom world behind the world contract."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from li_env.accel.device import to_device
from li_env.accel.geometry.camera import CameraMotion, motion_table
from li_env.accel.grouping import equal_groups
from li_env.accel.kept_work import Sharing
from li_env.accel.micro_batch import expected_episodes
from li_env.accel.world import ChunkRequest, MotionRequest, RequestStream, StartViews
from li_env.validation import check_choice
from li_env.worlds.common.cuda_graphs import Graphs
from li_env.worlds.common.encoder_key import weights_key
from li_env.worlds.common.step_reuse import StepReuse, step_reuse
from li_env.worlds.common.tile_attention import ChunkShape, SparseAttention
from li_env.worlds.freedoom.autoencoder import Autoencoder, AutoencoderConfig, Decoder, to_frames
from li_env.worlds.freedoom.autoencoder_fused import FusedDecoder
from li_env.worlds.freedoom.batching import (
    BatchScheduler,
    MicroBatch,
    MicroBatchedWorld,
    has_given_latent,
    has_no_past,
    micro_batch_size,
    micro_batches,
    rows_of,
)
from li_env.worlds.freedoom.dynamics import DynamicsModel
from li_env.worlds.freedoom.dynamics_fused import EXECUTIONS, FusedDynamics, is_fast
from li_env.worlds.freedoom.geometry import planar_poses
from li_env.worlds.freedoom.ground_truth import FreedoomTruth, episodes_file
from li_env.worlds.freedoom.motion_head import MotionHead, realised_motions
from li_env.worlds.freedoom.sampler import row_steps, sample_chunk, sample_rows
from li_env.worlds.freedoom.shared_work import kept_bytes, sample_shared
from li_env.worlds.freedoom.sizes import LARGE, SMALL, Size
from li_env.worlds.freedoom.spec import world_spec
from li_env.worlds.freedoom.start_frames import StartFrames
from li_env.worlds.freedoom.weights import load_weights, weights_folder

CONTEXT_NOISE = 0.0
"""Noise level that finished latents are declared to have when they become context."""


@dataclass(frozen=True, eq=False)
class FreedoomScene:
    """Constants of an episode: the start frame's latent [C, h, w], None where the episode begins without a picture."""

    start: torch.Tensor | None


class FreedoomWorld(MicroBatchedWorld[FreedoomScene, None]):
    """Random rooms and mazes in Freedoom textures, learned from ViZDoom.

    Prompts are accepted and ignored: this world has no text input. Episodes are computed in micro-batches of a fixed
    size (`batching.micro_batch_size`), so one episode's frames do not depend on the state of the others.

    Args:
        device: device of weights and tensors.
        folder: weights, as written by `weights.export_weights`; None for random ones.
        dtype: ``float32``, ``bfloat16`` or ``auto`` (bfloat16 on a GPU of compute capability 8.0 or newer, else
            float32).
        execution: ``plain``, ``fused`` (passes with fewer, larger kernels), ``graphs`` (fused, replayed as CUDA
            graphs: the first chunk of every shape takes seconds, the others no time on the host) or ``auto`` (graphs
            where ``dtype="auto"`` is bfloat16, else plain).
        size: size of frames and of all that follows from it.

    Raises:
        ValueError: missing or damaged weights, another dtype or execution, or graphs without a GPU.
    """

    needs_start_frame = False
    decodes_on_device = True

    def __init__(
        self,
        device: torch.device,
        folder: Path | None,
        dtype: str = "auto",
        execution: str = "auto",
        size: Size = SMALL,
    ) -> None:
        self.device, self.size, self.spec = device, size, world_spec(size)
        names = {"float32": torch.float32, "bfloat16": torch.bfloat16}
        fast = is_fast(device)
        names["auto"] = names["bfloat16" if fast else "float32"]
        self.dtype = names[check_choice("dtype", dtype, names)]
        check_choice("execution", execution, (*EXECUTIONS, "auto"))
        if execution == "auto":
            execution = "graphs" if fast else "plain"
        self.execution = execution
        if execution == "graphs" and device.type != "cuda":
            raise ValueError(f"execution='graphs' needs a CUDA device, not {device}; allowed here: plain, fused, auto")
        self.autoencoder = Autoencoder(AutoencoderConfig())
        self.dynamics = DynamicsModel(grid=size.token_grid)
        self.motion = MotionHead(size.token_grid)
        models = {"autoencoder": self.autoencoder, "dynamics": self.dynamics, "motion": self.motion}
        if folder is not None:
            load_weights(models, folder)
        for model in models.values():
            model.to(device, self.dtype).eval().requires_grad_(False)
        if execution != "plain":
            self.autoencoder.decoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._denoiser: DynamicsModel | FusedDynamics = (
            self.dynamics if execution == "plain" else FusedDynamics(self.dynamics)
        )
        self._decoder: Decoder | FusedDecoder = (
            self.autoencoder.decoder if execution == "plain" else FusedDecoder(self.autoencoder.decoder)
        )
        self._graphs = Graphs(device) if execution == "graphs" else None
        starts = StartFrames.load(size.data, size.frame_size)
        self.start_views = StartViews(starts.frames)
        self.ground_truth = FreedoomTruth(starts, frame_size=size.frame_size)
        self.episodes_file = episodes_file(size)
        self.step_output = self.dynamics.transformer.final_layer.linear

    def working_bytes(self, num_envs: int) -> int:
        """Return the bytes that generating chunks takes besides what episodes keep."""
        return self.micro_batch(num_envs) * self.size.working_bytes

    def micro_batch(self, num_envs: int) -> int:
        # Larger sizes compute fewer episodes in a call, by their tokens.
        return max(1, micro_batch_size(num_envs, self.device) * SMALL.tokens // self.size.tokens)

    def kept_bytes(self) -> int:
        return kept_bytes(self.dynamics.config, self.spec, self.dtype)

    def start(self, images: Sequence[np.ndarray], prompts: Sequence[str]) -> list[FreedoomScene]:
        scenes: list[FreedoomScene] = []
        for count, batch in micro_batches(images, self.micro_batch(expected_episodes(len(images)))):
            latents = self.autoencoder.encode(torch.from_numpy(np.stack(batch)).to(self.device))
            # Copies: an episode must not keep its whole micro-batch alive.
            scenes += [FreedoomScene(latent.clone()) for latent in latents[:count]]
        return scenes

    def feasible_motions(self, requests: Sequence[MotionRequest]) -> list[tuple[CameraMotion, ...]]:
        """Return the commanded motions, shortened or bent where the motion head sees a wall."""
        out: list[tuple[CameraMotion, ...]] = [tuple(request.motions) for request in requests]
        waiting: list[tuple[list[int], torch.Tensor]] = []
        shapes = [(request.recent.shape[0], _begins(request), len(request.motions)) for request in requests]
        for group in equal_groups(shapes):
            if not out[group[0]]:
                continue
            for count, batch in micro_batches(group, self.micro_batch(expected_episodes(len(requests)))):
                waiting.append((batch[:count], self._realised([requests[index] for index in batch])[:count]))
        if not waiting:
            return out
        # One read from the device for all.
        answers = torch.cat([answer.flatten() for _, answer in waiting]).double().cpu().numpy()
        start = 0
        for members, answer in waiting:
            moves = answers[start : start + answer.numel()].reshape(answer.shape)
            start += answer.numel()
            asked = motion_table([out[index] for index in members])[..., 2:].astype(np.float32)
            for row in np.flatnonzero((moves[..., 1:] != asked).any(axis=(1, 2))).tolist():
                out[members[row]] = realised_motions(out[members[row]], moves[row])
        return out

    def generate(self, requests: Sequence[ChunkRequest]) -> list[torch.Tensor]:
        """Generate chunks; requests with equal context lengths and attention share micro-batches."""
        return self.generate_stream(requests)

    def generate_stream(self, requests: RequestStream) -> list[torch.Tensor]:
        """Generate the chunks of requests that may still be planned meanwhile.

        A micro-batch starts as soon as it is full.
        """
        out: list[torch.Tensor] = [torch.empty(0)] * len(requests)
        size = self.micro_batch(expected_episodes(len(requests)))
        scheduler: BatchScheduler[ChunkRequest] = BatchScheduler(size)

        def run(batch: MicroBatch) -> None:
            members = [request for _, request in batch]
            missing = rows_of(members[0].plan, size) - len(members)
            latents = self._generate(members + members[-1:] * missing)
            for (number, _), chunk in zip(batch, latents, strict=False):
                out[number] = chunk

        for number, request in enumerate(requests):
            if request.sharing is not None:
                out[number] = self._shared(request, request.sharing)
                continue
            full = scheduler.add(number, request)
            if full is not None:
                run(full)
        for batch in scheduler.rest():
            run(batch)
        return out

    def encode(self, frames: np.ndarray) -> torch.Tensor:
        """Encode frames, each by itself."""
        return self.autoencoder.encode(torch.from_numpy(frames).to(self.device))

    def encoder_key(self) -> str:
        """Return the digest of the encoder's weights, and where and in what type they compute."""
        return weights_key(self.autoencoder.encoder)

    def start_from_views(self, prompts: Sequence[str]) -> list[FreedoomScene]:
        """Prepare episodes without a start frame."""
        return [FreedoomScene(None) for _ in prompts]

    def decode(self, latents: Sequence[torch.Tensor], streams: Sequence[None]) -> tuple[list[np.ndarray], list[None]]:
        """Decode latents frame by frame: there is no stream to keep."""
        frames = self._decode(latents).cpu().numpy()
        return np.split(frames, np.cumsum([len(chunk) for chunk in latents])[:-1]), [None] * len(streams)

    def decode_on_device(
        self, latents: Sequence[torch.Tensor], streams: Sequence[None]
    ) -> tuple[list[torch.Tensor], list[None]]:
        """Decode like `decode`, but leave the frames on the device: views of one tensor."""
        return list(self._decode(latents).split([chunk.shape[0] for chunk in latents])), [None] * len(streams)

    def _decode(self, latents: Sequence[torch.Tensor]) -> torch.Tensor:
        joined = torch.cat(tuple(latents))
        size = self.spec.chunk_latents * self.micro_batch(expected_episodes(len(latents)))
        frames = []
        for part in joined.split(size):
            missing = size - len(part)
            whole = part if missing == 0 else torch.cat((part, part[-1:].expand(missing, -1, -1, -1)))
            frames.append(self._run("decode", self._pictures, whole)[: len(part)])
        return torch.cat(frames)

    def _pictures(self, latents: torch.Tensor) -> torch.Tensor:
        return to_frames(self._decoder(latents.to(self.dtype)))

    def _realised(self, requests: Sequence[MotionRequest]) -> torch.Tensor:
        """Return realised motions (yaw in radians, right, forward) [B, M, 3] of requests of equal shape."""
        latents = torch.stack([_shown(request) for request in requests])
        current = np.stack([request.pose for request in requests])
        poses = [
            np.concatenate([request.recent_poses, request.pose[None]]) if _begins(request) else request.recent_poses
            for request in requests
        ]
        commands = motion_table([request.motions for request in requests])[..., [0, 2, 3]]
        commands[..., 0] = np.radians(commands[..., 0])
        return self._run("motion", self._head, latents, self._planar(np.stack(poses), current), self._tensor(commands))

    def _head(self, latents: torch.Tensor, planar: torch.Tensor, commands: torch.Tensor) -> torch.Tensor:
        return self.motion.realised(_tokens(latents).to(self.dtype), planar, commands)

    def _generate(self, requests: Sequence[ChunkRequest]) -> torch.Tensor:
        """Generate a micro-batch of equal shape: latents [B, T, C, h, w] float32.

        Every schedule is part of the longest.
        """
        first = requests[0]
        poses = np.stack([request.poses for request in requests])
        noise = torch.stack([request.noise for request in requests])
        seen = np.stack([request.context_poses for request in requests])
        # The newest latent, which ends the context, is the reference camera; at first it is the start.
        reference = np.stack([each.poses[0] if has_no_past(each) else each.context_poses[-1] for each in requests])
        planar = self._planar(poses, reference)
        context = torch.stack([request.context for request in requests]), self._planar(seen, reference)
        if has_given_latent(first):
            opening, known = partial(self._opening, first.plan.sigmas), [request.scene.start for request in requests]
            views = context if len(first.context) else ()
            return self._run(first.plan.sigmas, opening, noise, planar, torch.stack(known), *views)
        inputs: tuple[torch.Tensor, ...] = (noise, planar, *context)
        reuse = step_reuse(requests, self.spec)
        schedules = [request.plan.sigmas for request in requests]
        longest = max(schedules, key=len)
        if len(set(schedules)) > 1:
            inputs = (*inputs, self._tensor(row_steps(schedules, longest)))
        if first.plan.attention.kind != "dense":
            count = len(first.context)
            shape = ChunkShape(self.spec.token_grid, self.spec.tile_shape, count, len(first.poses), len(requests))
            sparse = SparseAttention(first.plan.attention, shape, self.device)
            return self._continuation(longest, sparse, reuse, *inputs)
        if reuse is not None:
            return self._continuation(longest, None, reuse, *inputs)
        return self._run(longest, partial(self._continuation, longest, None, None), *inputs)

    def _shared(self, request: ChunkRequest, sharing: Sharing) -> torch.Tensor:
        """Generate the chunk of one episode that shares work with the chunk before and the next one."""
        reference = request.context_poses[-1:]
        noise, context = (_tokens(latents[None]).to(self.dtype) for latents in (request.noise, request.context))
        cameras = [self._planar(poses[None], reference) for poses in (request.poses, request.context_poses)]
        made = sample_shared(self.dynamics, request.plan, sharing, noise, cameras[0], context, cameras[1])
        return self._latents(made)[0]

    def _opening(
        self,
        sigmas: tuple[float, ...],
        noise: torch.Tensor,
        planar: torch.Tensor,
        start: torch.Tensor,
        views: torch.Tensor | None = None,
        view_planar: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Generate chunk 0, whose first latent is known, after views of a scan where there are some."""
        cache = None if views is None or view_planar is None else self._context(views, view_planar, None)
        cameras = self.dynamics.cameras(planar, torch.arange(planar.shape[1], device=self.device))
        known = _tokens(start[:, None]).to(self.dtype)
        tokens = _tokens(noise).to(self.dtype)
        return self._latents(sample_chunk(self._denoiser, tokens, known, sigmas, cameras, cache))

    def _context(self, context: torch.Tensor, planar: torch.Tensor, sparse: SparseAttention | None) -> Any:
        """Run the context pass."""
        count = context.shape[1]
        levels = torch.full(context.shape[:2], CONTEXT_NOISE, device=self.device)
        cameras = self.dynamics.cameras(planar, torch.arange(-count, 0, device=self.device))
        return self._denoiser.context_pass(_tokens(context).to(self.dtype), levels, cameras, sparse)

    def _continuation(
        self,
        sigmas: tuple[float, ...],
        sparse: SparseAttention | None,
        reuse: StepReuse | None,
        noise: torch.Tensor,
        planar: torch.Tensor,
        context: torch.Tensor,
        context_planar: torch.Tensor,
        steps: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Generate any other chunk; with ``steps`` every row has its own schedule (see `sample_rows`)."""
        cache = self._context(context, context_planar, sparse)
        cameras = self.dynamics.cameras(planar, torch.arange(planar.shape[1], device=self.device))
        tokens = _tokens(noise).to(self.dtype)
        if steps is None:
            made = self._latents(sample_chunk(self._denoiser, tokens, None, sigmas, cameras, cache, sparse, reuse))
            if reuse is not None:
                reuse.report()
            return made
        return self._latents(sample_rows(self._denoiser, tokens, sigmas, steps, cameras, cache, sparse))

    def _latents(self, tokens: torch.Tensor) -> torch.Tensor:
        """Shape tokens [..., h * w, C] to latents [..., C, h, w] float32."""
        return tokens.float().transpose(-1, -2).unflatten(-1, self.size.token_grid)

    def _run(self, key: Hashable, function: Callable[..., torch.Tensor], *inputs: torch.Tensor) -> torch.Tensor:
        return function(*inputs) if self._graphs is None else self._graphs.run(key, function, *inputs)

    def _planar(self, poses: np.ndarray, references: np.ndarray) -> torch.Tensor:
        return self._tensor(planar_poses(poses, references[:, None]))

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        return to_device(torch.from_numpy(array.astype(np.float32)), self.device)


def _begins(request: MotionRequest) -> bool:
    """Tell whether the episode has a start frame but no latent yet: then the motion head sees the start frame."""
    return request.recent.shape[0] == request.views and request.scene.start is not None


def _shown(request: MotionRequest) -> torch.Tensor:
    return torch.cat((request.recent, request.scene.start[None])) if _begins(request) else request.recent


def _tokens(latents: torch.Tensor) -> torch.Tensor:
    """Flatten latents [..., C, h, w] to tokens [..., h * w, C]."""
    return latents.flatten(-2).transpose(-1, -2)


def load(
    device: str = "cpu", weights: str | Path | None = None, dtype: str = "auto", execution: str = "auto"
) -> FreedoomWorld:
    """Load the small world; ``weights`` is a folder, by default the one shipped with the package.

    Args:
        device: a torch device.
        weights: folder.
        dtype, execution: see `FreedoomWorld`.

    Raises:
        ValueError: as `FreedoomWorld`.
    """
    return FreedoomWorld(torch.device(device), weights_folder(SMALL, weights), dtype, execution)


def load_large(
    device: str = "cpu",
    weights: str | Path | None = None,
    dtype: str = "auto",
    execution: str = "auto",
    random_weights: bool = False,
) -> FreedoomWorld:
    """Load the large world.

    Args:
        device: a torch device.
        weights: folder; by default the one that the environment variable ``LI_ENV_FREEDOOM_LARGE`` names.
        dtype, execution: see `FreedoomWorld`.
        random_weights: random numbers instead, for speed and memory alone.

    Raises:
        ValueError: as `FreedoomWorld`, no folder of weights, or one together with ``random_weights``.
    """
    if random_weights and weights is not None:
        raise ValueError(f"weights={str(weights)!r} contradicts random_weights; allowed: one of the two")
    folder = None if random_weights else weights_folder(LARGE, weights)
    return FreedoomWorld(torch.device(device), folder, dtype, execution, LARGE)
