"""The Matrix-Game-3.0 world behind the world contract."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from li_env.accel.geometry.camera import CameraMotion
from li_env.accel.geometry.frustum import FrustumSampler
from li_env.accel.grouping import equal_groups
from li_env.accel.plan import AttentionPlan
from li_env.accel.world import BaseWorld, ChunkRequest, DecodeStream, MotionRequest, StartViews
from li_env.accel.world_spec import WorldSpec
from li_env.worlds.common.step_reuse import step_reuse
from li_env.worlds.common.streaming_codec import VideoCodec
from li_env.worlds.matrix_game_3.camera_map import camera_values, clip_poses, distinct_views, memory_pose
from li_env.worlds.matrix_game_3.clip import generate_clip
from li_env.worlds.matrix_game_3.config import LATENT_PIXELS, MatrixGame3Config
from li_env.worlds.matrix_game_3.controls import MOTION, action_rows, follow_motions, possible_motion
from li_env.worlds.matrix_game_3.layout import TILE_SHAPE, ClipShape, token_layout
from li_env.worlds.matrix_game_3.model import PATCH, ClipConditions, MatrixGame3Model, TextCache
from li_env.worlds.matrix_game_3.sampler import noise_levels
from li_env.worlds.matrix_game_3.time_axis import LATENT_FRAMES, PAST_LATENTS, ClipSizes

GRID = (44, 80)
"""Rows and columns of a latent of a 704 x 1280 frame."""

VIEW_DISTANCE = 30.0
MEMORY_LATENTS = 5
STEPS = 3

VIEW_THRESHOLD = 0.45
"""View overlap of a revisit in the paper, for this model."""

SPARSE_MIN_CONTEXT = PAST_LATENTS
"""A sequence of 14 latents is long enough: its dense attention takes more than a third of a clip (benchmarks)."""

VIEW_TIME = 0
"""Time of a view of a scan, as a latent index: a view was there before the episode, as the start image was."""

BATCH_TOKENS = 2**14
"""Most tokens of a model call with several clips: one published clip keeps a GPU busy, more only take more memory."""

PromptStates = Callable[[str], torch.Tensor]
"""Prompt -> text states [n, text_dim]."""


def world_spec(config: MatrixGame3Config, grid: tuple[int, int] = GRID, sizes: ClipSizes | None = None) -> WorldSpec:
    """Return the constants of the world for a model of these sizes on latents of ``grid`` = (rows, columns)."""
    sizes = sizes or ClipSizes()
    return WorldSpec(
        name="matrix_game_3",
        chunk_latents=sizes.later_latents,
        first_chunk_latents=sizes.first_latents,
        latent_frames=LATENT_FRAMES,
        frame_size=(LATENT_PIXELS * grid[0], LATENT_PIXELS * grid[1]),
        latent_shape=(config.in_dim, *grid),
        token_grid=(grid[0] // PATCH, grid[1] // PATCH),
        fps=17.0,
        focal=(0.5, 0.5),
        view_distance=VIEW_DISTANCE,
        sigmas=noise_levels(STEPS),
        context_latents=PAST_LATENTS + MEMORY_LATENTS,
        temporal_latents=PAST_LATENTS,
        memory_group=1,
        tile_shape=TILE_SHAPE,
        motion=MOTION,
        length_unit="metre",
        supports_block_sparse=True,
        supports_rival_attention=True,
        supports_step_reuse=True,
        sparse_min_context=SPARSE_MIN_CONTEXT,
        memory_rule="slots",
        view_threshold=VIEW_THRESHOLD,
    )


@dataclass(frozen=True, eq=False)
class MatrixGame3Scene:
    """Constants of an episode: the text's keys and values, and the start image's latent [C, h, w]."""

    text: TextCache
    image: torch.Tensor


@dataclass(frozen=True)
class _BatchKey:
    """Batch key: clips with equal keys share a micro-batch."""

    shape: ClipShape
    sigmas: tuple[float, ...]
    attention: AttentionPlan
    reuses: bool


def clip_tokens(spec: WorldSpec) -> int:
    """Count the tokens of the longest clip."""
    rows, columns = spec.token_grid
    return max(spec.first_chunk_latents, spec.context_latents + spec.chunk_latents) * rows * columns


def working_bytes(config: MatrixGame3Config, spec: WorldSpec, element: int, worlds: int = 1) -> int:
    """Return the memory that episodes take besides weights, latents and decoder.

    Every episode keeps its text. The episodes of one model call also take the camera scales and shifts of all blocks
    and the activations.

    Args:
        config: of the model.
        spec: of the world.
        element: bytes per number of the model's type.
        worlds: episodes.
    """
    text = 2 * config.num_layers * config.dim * config.text_len
    clip = clip_tokens(spec)
    tokens = max(clip, min(worlds * clip, BATCH_TOKENS))
    per_token = 2 * config.num_layers * config.dim + 2 * config.ffn_dim + 12 * config.dim
    return element * (worlds * text + tokens * per_token)


class MatrixGame3World(BaseWorld[MatrixGame3Scene, DecodeStream]):
    """The published distilled model: any start image and prompt, keyboard and mouse.

    Args:
        model: the transformer.
        codec: image to latent, latents to frames.
        prompt_states: prompt to text states.
        device: where the parts run.
        grid: rows and columns of a latent.
        sizes: frames per clip.
        start_frames: uint8 [n, H, W, 3] to begin episodes with; without them every episode needs an image.
    """

    def __init__(
        self,
        model: MatrixGame3Model,
        codec: VideoCodec,
        prompt_states: PromptStates,
        device: torch.device,
        grid: tuple[int, int] = GRID,
        sizes: ClipSizes | None = None,
        start_frames: np.ndarray | None = None,
    ) -> None:
        self.start_views = StartViews(() if start_frames is None else start_frames)
        self.model, self.codec, self.prompt_states, self.device = model, codec, prompt_states, device
        self.spec = world_spec(model.config, grid, sizes)
        self._overlap = FrustumSampler(self.spec.fov, self.spec.view_distance)

    def execution_name(self) -> str:
        return str(self.model.dtype).removeprefix("torch.")

    def working_bytes(self, num_envs: int) -> int:
        """Return the memory that generating chunks takes (`working_bytes`)."""
        return working_bytes(self.model.config, self.spec, self.model.dtype.itemsize, num_envs)

    def start(self, images: Sequence[np.ndarray], prompts: Sequence[str]) -> list[MatrixGame3Scene]:
        """Encode images and prompts; equal prompts share their text."""
        texts: dict[str, TextCache] = {}
        for prompt in prompts:
            if prompt not in texts:
                texts[prompt] = self.model.embed_text(self.prompt_states(prompt)[None].to(self.device))
        return [
            MatrixGame3Scene(texts[prompt], self.codec.encode_image(image).to(self.device, self.model.dtype))
            for image, prompt in zip(images, prompts, strict=True)
        ]

    def feasible_motions(self, requests: Sequence[MotionRequest]) -> list[tuple[CameraMotion, ...]]:
        """Return what keys and mouse can do of the motions; this world knows no walls."""
        return [tuple(possible_motion(motion) for motion in request.motions) for request in requests]

    def follow_many(self, poses: np.ndarray, motions: np.ndarray) -> np.ndarray:
        """Move cameras as keys and mouse do (`controls.follow_motions`)."""
        paths = [
            follow_motions(pose, [possible_motion(CameraMotion(*row)) for row in rows])
            for pose, rows in zip(poses, motions.tolist(), strict=True)
        ]
        return np.stack(paths) if paths else np.zeros((0, motions.shape[1], 4, 4))

    def encode_views(self, images: np.ndarray) -> torch.Tensor:
        """Encode each view as a still clip: one latent of four equal frames, as the memory slots hold them."""
        stills = [self.codec.encode_still(image) for image in images]
        return torch.stack(stills).to(self.device, self.model.dtype)

    def encoder_key(self) -> str:
        return self.codec.encoder_key()

    def generate(self, requests: Sequence[ChunkRequest]) -> list[torch.Tensor]:
        """Generate clips; clips of equal shape, schedule and attention share model calls."""
        keys = [self._batch_key(request) for request in requests]
        out: list[torch.Tensor] = [torch.empty(0)] * len(requests)
        for members in equal_groups(keys):
            key = keys[members[0]]
            rows, columns = self.spec.token_grid
            size = max(1, BATCH_TOKENS // (key.shape.latents * rows * columns))
            for first in range(0, len(members), size):
                part = members[first : first + size]
                for index, latents in zip(part, self._generate(key, [requests[i] for i in part]), strict=True):
                    out[index] = latents
        return out

    def decode(
        self, latents: Sequence[torch.Tensor], streams: Sequence[DecodeStream]
    ) -> tuple[list[np.ndarray], list[DecodeStream]]:
        return self.codec.decode_batch(latents, streams)

    def _batch_key(self, request: ChunkRequest) -> _BatchKey:
        plan = request.plan
        given = max(1, len(plan.temporal))
        new = len(request.poses) - (0 if plan.temporal else 1)
        memory = len(plan.slots) or len(plan.views) + len(plan.memory)
        shape = ClipShape(self.spec.token_grid, memory, given, new)
        reuses = plan.reuse_threshold is not None or bool(plan.computed)
        return _BatchKey(shape, plan.sigmas, plan.attention, reuses)

    def _generate(self, key: _BatchKey, requests: Sequence[ChunkRequest]) -> list[torch.Tensor]:
        first, shape = requests[0], key.shape
        layout = token_layout(
            shape, shape.memory + shape.given, key.attention, self.spec.tile_shape, len(requests), self.device
        )  # fmt: skip
        clips = [_Clip.of(request, self._references(request)) for request in requests]
        rows = [_rows(request) for request in requests]
        texts = zip(*(request.scene.text for request in requests), strict=True)
        views, numbers = distinct_views(np.concatenate([clip.poses for clip in clips]))
        conditions = ClipConditions(
            latents=torch.tensor([clip.latents for clip in clips]),
            camera=camera_values(views, shape.grid, self.device).to(self.model.dtype),
            views=torch.from_numpy(numbers).view(len(clips), -1),
            mouse=torch.from_numpy(np.stack([mouse for mouse, _ in rows])).to(self.device),
            keyboard=torch.from_numpy(np.stack([keyboard for _, keyboard in rows])).to(self.device),
            text=tuple(_joined(block) for block in texts),
        )
        known = torch.stack([clip.known for clip in clips])
        noise = torch.stack([request.noise[-shape.new :] for request in requests])
        reuse = step_reuse(requests, self.spec)
        made = generate_clip(self.model, conditions, layout, known, noise, key.sigmas, reuse)
        if reuse is not None:
            reuse.report()
        if first.plan.temporal:
            return list(made)
        return [torch.cat((clip.known[-1:], latents)) for clip, latents in zip(clips, made, strict=True)]

    def _references(self, request: ChunkRequest) -> list[_Reference]:
        """Return the clip's views and retrieved latents in sequence order.

        Where the plan names no memory slots, each belongs to the coming view that it shows most of. Ties go to the
        later view.
        """
        plan, first = request.plan, len(request.plan.views)
        rows = {latent: first + index for index, latent in enumerate(plan.context)}
        if plan.slots:
            return [_Reference(rows[latent], latent, view) for latent, view in plan.slots]
        seen = [*((row, VIEW_TIME) for row in range(first)), *((rows[latent], latent) for latent in plan.memory)]
        if not seen:
            return []
        views = np.arange(len(request.poses) - 1, -1, -2)[:MEMORY_LATENTS]
        shown = self._overlap.overlap(request.poses[views], request.context_poses[[row for row, _ in seen]])
        return [_Reference(*each, int(views[best])) for each, best in zip(seen, shown.argmax(axis=0), strict=True)]


class _Reference(NamedTuple):
    """A latent in front of the clip: its row in the context, its time, the coming latent to whose view it relates."""

    row: int
    time: int
    view: int


@dataclass(frozen=True, eq=False)
class _Clip:
    """One clip's sequence.

    Attributes:
        latents: absolute indices [T].
        poses: [T, 4, 4], as the camera map needs them.
        known: [M + K, C, h, w], memory and given latents.
    """

    latents: list[int]
    poses: np.ndarray
    known: torch.Tensor

    @classmethod
    def of(cls, request: ChunkRequest, memory: Sequence[_Reference]) -> _Clip:
        plan = request.plan
        related = [memory_pose(request.context_poses[each.row], request.poses[each.view]) for each in memory]
        if plan.temporal:
            context = list(plan.context)
            temporal = [len(plan.views) + context.index(latent) for latent in plan.temporal]
            own = clip_poses(np.concatenate((request.context_poses[temporal], request.poses)))
            first, known = plan.temporal[0], request.context[[each.row for each in memory] + temporal]
        else:
            own, first, known = clip_poses(request.poses), 0, request.scene.image[None]
            if memory:
                known = torch.cat((request.context[[each.row for each in memory]].to(known.dtype), known))
        return cls(
            [*(each.time for each in memory), *range(first, first + len(own))],
            np.concatenate((np.array(related).reshape(-1, 4, 4), own)),
            known,
        )


def _rows(request: ChunkRequest) -> tuple[np.ndarray, np.ndarray]:
    """Return mouse and keyboard rows of the clip's frames.

    A clip after the first begins with the second of its first latent's frames, and ends with the row that will lead on
    to the next clip. That row is not known yet: the last motion is assumed to continue.
    """
    plan, motions = request.plan, list(request.motions)
    if plan.temporal:
        moved = dict(zip(plan.context, request.context_motions[len(plan.views) :], strict=True))
        motions = [*(moved[latent] for latent in plan.temporal), *motions]
    mouse, keyboard = (
        np.concatenate((np.repeat(rows, LATENT_FRAMES, axis=0), rows[-1:])) for rows in action_rows(motions)
    )
    return (mouse[1:], keyboard[1:]) if plan.temporal else (mouse, keyboard)


def _joined(block: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Join the text of one block of several episodes to a batch; the text of a single episode is not copied."""
    if len(block) == 1:
        return block[0]
    return torch.cat([key for key, _ in block]), torch.cat([value for _, value in block])
