"""Shapes and constants of a world model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from li_env.accel.geometry.camera import MotionLimits
from li_env.accel.plan import AttentionKind


@dataclass(frozen=True)
class WorldSpec:
    """Shapes and constants of a world model.

    Attributes:
        name: registry name.
        chunk_latents: latents made per chunk after the first.
        first_chunk_latents: latents of chunk 0, the start frame's latent included.
        latent_frames: video frames per latent (latent 0 always decodes to one frame).
        frame_size: (height, width) of a frame in pixels.
        latent_shape: (channels, height, width) of one latent.
        token_grid: (rows, columns) of tokens per latent.
        fps: frames per second of the video.
        focal: (fx / width, fy / height), principal point in the centre.
        view_distance: distance up to which a frame shows the scene, in length units; for view overlap.
        sigmas: full denoising schedule, decreasing, ending in 0.
        context_latents: most context latents in all.
        temporal_latents: most latents in the recent window.
        memory_group: latents per keyframe group; groups begin at its multiples.
        tile_shape: (latents, rows, columns) of one attention tile.
        motion: motion per latent.
        length_unit: what a length of 1 means.
        supports_block_sparse: whether `BaseWorld.generate` can run block-sparse attention.
        supports_rival_attention: whether it can run the attention of the rivals too: ``bsa`` and ``svg``.
        supports_step_reuse: whether `BaseWorld.generate` can reuse a denoising step (`ChunkPlan.reuse_threshold`).
        sparse_min_context: context latents from which block-sparse attention is faster than dense, as measured on the
            device that the world runs on.
        supports_shared_work: whether `BaseWorld.generate` can keep work for the next chunk (`ChunkRequest.sharing`).
        memory_rule: retrieval rule that the model was trained with: ``groups`` of latents that look like the coming
            views (`NearestView`), or ``slots``, each for one coming view (`ViewSlots`).
        view_threshold: view similarity from which the paper counts a chunk as a revisit; for settings whose threshold
            is None.
        fewest_memory_groups: groups that policy ``coverage`` always retrieves, the nearest views if none adds enough.
            Small models forget what they invented if they attend to the recent window alone. A sink takes the
            place of one.
        sink_latents: latents of an episode's first keyframe group that policy ``coverage`` always retrieves; for
            settings whose ``memory_sink`` is None.
        window_kappa: latent change (mean squared difference) that halves an adaptive window, measured on latents that
            the world made; None if nobody has measured it.
        explore_sigmas: denoising schedule of policy ``per_regime`` while exploring; empty for the full one.
        revisit_sigmas: the same in revisits; empty for the first and the last step of the full one.
        step_rescale: polynomial, highest power first, that turns the change of the model's input between two denoising
            steps into the change of its output (TeaCache); ``(1.0, 0.0)`` leaves it as it is.
    """

    name: str
    chunk_latents: int
    first_chunk_latents: int
    latent_frames: int
    frame_size: tuple[int, int]
    latent_shape: tuple[int, int, int]
    token_grid: tuple[int, int]
    fps: float
    focal: tuple[float, float]
    view_distance: float
    sigmas: tuple[float, ...]
    context_latents: int
    temporal_latents: int
    memory_group: int
    tile_shape: tuple[int, int, int]
    motion: MotionLimits
    length_unit: str
    supports_block_sparse: bool = False
    sparse_min_context: int = 8
    supports_shared_work: bool = False
    memory_rule: Literal["groups", "slots"] = "groups"
    view_threshold: float = 0.7
    fewest_memory_groups: int = 0
    sink_latents: int = 0
    window_kappa: float | None = None
    explore_sigmas: tuple[float, ...] = ()
    revisit_sigmas: tuple[float, ...] = ()
    step_rescale: tuple[float, ...] = (1.0, 0.0)
    supports_rival_attention: bool = False
    supports_step_reuse: bool = False

    @property
    def attention_kinds(self) -> tuple[AttentionKind, ...]:
        """Kinds of attention that a plan for this world may ask for."""
        sparse: tuple[AttentionKind, ...] = ("block_sparse",) if self.supports_block_sparse else ()
        return ("dense", *sparse, *(("bsa", "svg") if self.supports_rival_attention else ()))

    @property
    def chunk_frames(self) -> int:
        """Most new frames that any chunk brings: the T of the chunk observation."""
        return max(self.new_frames(0), self.step_frames)

    @property
    def step_frames(self) -> int:
        """New frames of every chunk after the first."""
        return self.new_frames(1)

    def new_frames(self, chunk: int) -> int:
        """Count the frames that chunk ``chunk`` adds; the start frame, which chunk 0 makes again, is not new."""
        return self.new_latents(chunk) * self.latent_frames

    def new_latents(self, chunk: int) -> int:
        """Count the latents of chunk ``chunk`` without the start frame's: one motion leads to each."""
        return self.latents_in_chunk(chunk) - (1 if chunk == 0 else 0)

    def frames_before(self, chunk: int) -> int:
        """Count the frames of the video before chunk ``chunk``, without the start frame."""
        return 0 if chunk == 0 else self.new_frames(0) + (chunk - 1) * self.step_frames

    def latents_in_chunk(self, chunk: int) -> int:
        """Count the latents of chunk ``chunk``."""
        return self.first_chunk_latents if chunk == 0 else self.chunk_latents

    @property
    def fov(self) -> tuple[float, float]:
        """(horizontal, vertical) field of view in degrees."""
        fx, fy = self.focal
        return 2 * float(np.degrees(np.arctan(0.5 / fx))), 2 * float(np.degrees(np.arctan(0.5 / fy)))
