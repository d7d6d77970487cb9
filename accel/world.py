"""The contract between the engine and an interactive video world model.

A world owns weights and tensor shapes. It keeps nothing about an episode: what lasts an episode is a `Scene`, what
lasts between two decodes is a `DecodeStream`; both are returned by the world and handed back by the engine, so that two
environments in one process never mix and a fork costs nothing.

Poses are camera-to-world 4x4 float64 matrices with OpenCV axes (x right, y down, z forward). Lengths are the world's
own unit (`WorldSpec.length_unit`), angles are degrees.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol

import numpy as np
import torch
from typing_extensions import TypeVar

from li_env.accel.costs import CostTable
from li_env.accel.geometry.camera import CameraMotion, follow_many
from li_env.accel.geometry.frustum import ViewOverlap
from li_env.accel.ground_truth import GroundTruth
from li_env.accel.kept_work import Sharing
from li_env.accel.plan import ChunkPlan
from li_env.accel.world_spec import WorldSpec

Scene = Any
"""Opaque, immutable: what a world needs for a whole episode (image latent, text cache)."""

DecodeStream = Any
"""Opaque, immutable: what a streaming decoder needs from earlier chunks; ``None`` before the first chunk."""

SceneT = TypeVar("SceneT", default=Any)
StreamT = TypeVar("StreamT", default=Any)


@dataclass(eq=False)
class StepLog:
    """Record that a world writes of the denoising steps of one chunk whose plan allows reuse.

    Attributes:
        computed: whether each step was computed.
        observe: whether ``changes`` are wanted too; every step must be computed for that (a threshold of 0).
        changes: relative change of the model's input and of its output from each step to the next.
    """

    computed: tuple[bool, ...] = ()
    observe: bool = False
    changes: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class ChunkRequest:
    """Everything a world needs to generate one chunk of one episode.

    Attributes:
        scene: what `BaseWorld.start` returned for this episode.
        plan: the planner's decisions.
        poses: [n, 4, 4] float64, poses of the n latents to make.
        motions: the realised motions that led to them, one per latent after the first of the episode.
        context: [m, C, h, w], the views named by ``plan.views``, then the latents named by ``plan.context``, in that
            order.
        context_poses: [m, 4, 4] float64.
        noise: [n, C, h, w], standard normal.
        context_motions: the motions that led to the context's latents, m of them (standing still for views and for
            the episode's first latent).
        origin: [4, 4] float64, the pose of the episode's first latent.
        sharing: work of the chunk before and room for this chunk's own, where ``plan.shares``.
        log: record to fill in where the plan allows the reuse of steps; None elsewhere.
    """

    scene: Scene
    plan: ChunkPlan
    poses: np.ndarray
    motions: tuple[CameraMotion, ...]
    context: torch.Tensor
    context_poses: np.ndarray
    noise: torch.Tensor
    context_motions: tuple[CameraMotion, ...] = ()
    origin: np.ndarray = field(default_factory=lambda: np.eye(4))
    sharing: Sharing | None = None
    log: StepLog | None = None


@dataclass(frozen=True)
class MotionRequest:
    """Commanded motions and the motion context by which a world says how far they can go.

    Attributes:
        scene: what `BaseWorld.start` returned for this episode.
        pose: [4, 4] float64, the camera before the first motion.
        motions: the commanded motions.
        recent: [m, C, h, w], the motion context: views of a scan, a few retrieved latents, then the newest latents.
        recent_poses: [m, 4, 4] float64, their poses.
        views: how many of ``recent``, in front, are views of a scan.
    """

    scene: Scene
    pose: np.ndarray
    motions: tuple[CameraMotion, ...]
    recent: torch.Tensor
    recent_poses: np.ndarray
    views: int = 0


@dataclass(frozen=True)
class StartViews:
    """Start frames that episodes of a world may begin with.

    Attributes:
        images: start frames uint8 [n, H, W, 3].
        poses: [n, 4, 4] camera-to-world of the start frames; the identity where the world does not say.
        prompts: one text per start frame; empty texts where the world does not say.
    """

    images: Sequence[np.ndarray] | np.ndarray = ()
    poses: np.ndarray | None = None
    prompts: Sequence[str] | None = None

    def __len__(self) -> int:
        return len(self.images)


class RequestStream(Protocol):
    """Requests of a known number, of which some may not be planned yet."""

    def __iter__(self) -> Iterator[ChunkRequest]:
        """Iterate over the requests, once."""
        ...

    def __len__(self) -> int:
        """Return the number of requests in all."""
        ...


class BaseWorld(ABC, Generic[SceneT, StreamT]):
    """An interactive video world model.

    A world inherits from this class, sets ``spec`` and ``device`` and writes `start`, `generate` and
    `decode`; everything else has a default. Batches are sequences with one entry per episode; plans may differ.

    Attributes:
        spec: shapes and constants.
        device: where the weights are.
        view_overlap: the view overlap that the model was trained with; the frustum of ``spec`` if None.
        start_views: what episodes begin with where no image is given.
        ground_truth: the true map and clearances, where a simulator or a scan knows them.
        needs_start_frame: whether every episode begins with a picture; otherwise `start_from_views` makes scenes
            without one.
        decodes_on_device: whether `decode_on_device` makes the frames there instead of copying those of `decode`.
        episodes_file: navigation episodes that the world ships.
        step_output: module whose output is that of a denoising step, called once per step where the world runs without
            CUDA graphs; for measurements.
        costs: measured times of the model's calls on ``device``; None if nobody has measured them. `load_world` sets
            it.
    """

    spec: WorldSpec
    device: torch.device
    view_overlap: ViewOverlap | None = None
    start_views: StartViews = StartViews()
    ground_truth: GroundTruth | None = None
    episodes_file: Path | None = None
    step_output: torch.nn.Module | None = None
    needs_start_frame: bool = True
    decodes_on_device: bool = False
    costs: CostTable | None = None

    @abstractmethod
    def start(self, images: Sequence[np.ndarray], prompts: Sequence[str]) -> list[SceneT]:
        """Prepare episodes from start frames (uint8 [H, W, 3], RGB, size ``spec.frame_size``) and prompts."""

    @abstractmethod
    def generate(self, requests: Sequence[ChunkRequest]) -> list[torch.Tensor]:
        """Denoise one chunk per request: latents [n, C, h, w] on ``device``."""

    @abstractmethod
    def decode(
        self, latents: Sequence[torch.Tensor], streams: Sequence[StreamT | None]
    ) -> tuple[list[np.ndarray], list[StreamT | None]]:
        """Decode the next chunk of each episode.

        Args:
            latents: [n, C, h, w] per episode.
            streams: what the last call returned for the episode, ``None`` before the first chunk.

        Returns:
            Frames uint8 [T, H, W, 3] and the stream to pass next time, per episode.
        """

    def feasible_motions(self, requests: Sequence[MotionRequest]) -> list[tuple[CameraMotion, ...]]:
        """Return the motions that obstacles allow, one tuple per request; all of them by default."""
        return [tuple(request.motions) for request in requests]

    def follow_many(self, poses: np.ndarray, motions: np.ndarray) -> np.ndarray:
        """Move cameras: poses [B, 4, 4] and a `motion_table` [B, n, 4] -> the poses after each motion [B, n, 4, 4]."""
        return follow_many(poses, motions)

    def generate_stream(self, requests: RequestStream) -> list[torch.Tensor]:
        """Do what `generate` does for requests of which some may not be planned yet, so that a GPU can begin early."""
        return self.generate(list(requests))

    def decode_on_device(
        self, latents: Sequence[torch.Tensor], streams: Sequence[StreamT | None]
    ) -> tuple[list[torch.Tensor], list[StreamT | None]]:
        """Do what `decode` does with frames as tensors on ``device``, without going to the host where possible."""
        frames, following = self.decode(latents, streams)
        # Anything but frames is passed on unchanged: the engine checks it and names what was promised.
        tensors: list[Any] = [
            torch.from_numpy(np.require(each, requirements="W")).to(self.device)
            if isinstance(each, np.ndarray) and each.dtype == np.uint8
            else each
            for each in frames
        ]
        return tensors, following

    def encode(self, frames: np.ndarray) -> torch.Tensor:
        """Encode frames uint8 [n, H, W, 3], each by itself, to latents [n, C, h, w].

        Raises:
            ValueError: the world has no encoder for single frames.
        """
        raise ValueError(f"world={self.spec.name!r} cannot encode frames")

    def encode_views(self, images: np.ndarray) -> torch.Tensor:
        """Encode views of a scan uint8 [n, H, W, 3] to latents [n, C, h, w] that can stand in a context.

        Raises:
            ValueError: as `encode`, which is the default.
        """
        return self.encode(images)

    def encoder_key(self) -> str:
        """Return a text that is equal only for encoders that make the same latents; empty if nobody knows.

        Views of a scan that were encoded under this key are kept on disk.
        """
        return ""

    def start_from_views(self, prompts: Sequence[str]) -> list[SceneT]:
        """Prepare episodes without a start frame, whose first chunk is generated from the views of a scan alone.

        Raises:
            ValueError: the world needs a start frame.
        """
        raise ValueError(f"world={self.spec.name!r} needs a start frame: reset(options={{'scan': ..., 'view': k}})")

    def render_start(self, prompt: str, pose: np.ndarray) -> np.ndarray | None:
        """Render the start frame uint8 [H, W, 3] of an episode that begins at ``pose``; None if the world cannot."""
        return None

    def working_bytes(self, num_envs: int) -> int:
        """Return the bytes that generating for ``num_envs`` episodes takes, beside weights and what episodes keep."""
        return 0

    def kept_bytes(self) -> int:
        """Return the bytes of `KeptWork` that one episode leaves for its next chunk where its settings share work."""
        return 0

    def micro_batch(self, num_envs: int) -> int:
        """Return how many episodes one call of the model computes, padding included, in an environment of ``num_envs``.

        A world whose calls take as long as their episodes one after another returns 1, the default.
        """
        return 1

    def model_calls(self, plans: Sequence[ChunkPlan], num_envs: int) -> list[list[int]]:
        """Return the indices of the chunks that each call of the model makes, in order; one per call by default.

        Args:
            plans: of chunks with history, one per episode, in the order in which they are planned.
            num_envs: episodes that the environment holds.
        """
        return [[index] for index in range(len(plans))]

    def execution_name(self) -> str:
        """Return what beside the device decides the model's times, such as ``bfloat16, graphs``; empty by default."""
        return ""

    def close(self) -> None:
        """Free what the world holds outside of this process; it may be used again."""
        return


WorldModel = BaseWorld
"""The former name of `BaseWorld`; goes with the next release."""


def check_world_type(world: object) -> None:
    """Refuse what does not inherit from `BaseWorld`.

    Raises:
        ValueError: names the class.
    """
    if not isinstance(world, BaseWorld):
        name = type(world).__qualname__
        raise ValueError(
            f"world={name} is not usable; allowed: a world's name or an object whose class inherits from "
            "li_env.BaseWorld"
        )
