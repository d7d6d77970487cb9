"""Requests to a world: latents of scans and histories gathered for motions and for chunks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import torch

from li_env.accel.geometry.camera import STILL, CameraMotion
from li_env.accel.kept_work import Sharing
from li_env.accel.pose_track import PoseTrack
from li_env.accel.retrieval.motion_context import motion_contexts, scanned_motion_contexts
from li_env.accel.runtime.chunk import GenerationState, PlannedChunk
from li_env.accel.world import BaseWorld, ChunkRequest, MotionRequest, StepLog

Choice = tuple[tuple[int, ...], tuple[int, ...]]
"""(views of the scan, latents of the episode)."""


def motion_requests(
    world: BaseWorld,
    states: Sequence[GenerationState],
    commanded: Sequence[tuple[CameraMotion, ...]],
    arrivals: Sequence[np.ndarray],
) -> list[MotionRequest]:
    """Build the requests how far commanded motions can go, with their motion contexts.

    Args:
        world: the world.
        states: one per episode.
        commanded: motions of each episode.
        arrivals: [4, 4] per episode, the camera where its motions would end.
    """
    choices = _motion_choices(world, states, arrivals)
    latents, poses = _gather(world, states, choices), _poses(states, choices)
    return [
        MotionRequest(state.scene, state.pose, motions, shown, cameras, len(choice[0]))
        for state, motions, choice, shown, cameras in zip(states, commanded, choices, latents, poses, strict=True)
    ]


def chunk_requests(
    world: BaseWorld,
    states: Sequence[GenerationState],
    chunks: Sequence[PlannedChunk],
    noises: Sequence[torch.Tensor],
) -> list[ChunkRequest]:
    """Build the requests to generate planned chunks.

    Args:
        world: the world.
        states: one per episode.
        chunks: the planned chunk of each episode.
        noises: [n, C, h, w] per episode.
    """
    choices = [(chunk.plan.views, chunk.plan.context) for chunk in chunks]
    latents, poses = _gather(world, states, choices), _poses(states, choices)
    return [
        ChunkRequest(
            scene=state.scene,
            plan=chunk.plan,
            poses=chunk.poses,
            motions=chunk.motions,
            context=context,
            context_poses=cameras,
            noise=noise,
            context_motions=(STILL,) * len(choice[0]) + state.history.motions_to(choice[1]),
            origin=state.history.poses[0] if len(state.history) else chunk.poses[0],
            sharing=Sharing(state.kept) if chunk.plan.shares else None,
            log=None if chunk.plan.reuse_threshold is None and not chunk.plan.computed else StepLog(),
        )
        for state, chunk, choice, context, cameras, noise in zip(
            *(states, chunks, choices, latents, poses, noises), strict=True
        )
    ]


def _motion_choices(
    world: BaseWorld, states: Sequence[GenerationState], arrivals: Sequence[np.ndarray]
) -> list[Choice]:
    """Choose the motion context of every episode, with a scan or without."""
    choices: dict[int, Choice] = {}
    own = [index for index, state in enumerate(states) if state.bank is None]
    if own:
        tracks, before, after = _cameras(states, arrivals, own)
        found = motion_contexts(tracks, before, after, world.spec.view_distance)
        choices.update((index, ((), latents)) for index, latents in zip(own, found, strict=True))
    banks = {index: state.bank for index, state in enumerate(states) if state.bank is not None}
    if banks:
        tracks, before, after = _cameras(states, arrivals, [*banks])
        scanned = scanned_motion_contexts(tracks, [*banks.values()], before, after, world.spec)
        choices.update(zip(banks, scanned, strict=True))
    return [choices[index] for index in range(len(states))]


def _cameras(
    states: Sequence[GenerationState], arrivals: Sequence[np.ndarray], rows: Sequence[int]
) -> tuple[list[PoseTrack], np.ndarray, np.ndarray]:
    """Return tracks, poses now [B, 4, 4] and poses at arrival [B, 4, 4] of some episodes."""
    return (
        [states[row].history.track for row in rows],
        np.stack([states[row].pose for row in rows]),
        np.stack([arrivals[row] for row in rows]),
    )


def _poses(states: Sequence[GenerationState], choices: Sequence[Choice]) -> list[np.ndarray]:
    """Gather the poses [m, 4, 4] of every episode's views and latents, as parts of one array."""
    pieces: list[np.ndarray] = []
    for state, (views, latents) in zip(states, choices, strict=True):
        if state.bank is not None and views:
            pieces.append(state.bank.poses.take(views, axis=0))
        pieces.append(state.history.track.poses_at(latents))
    if not pieces:
        return []
    ends = list(accumulate(len(views) + len(latents) for views, latents in choices))
    whole = np.concatenate(pieces)
    return [whole[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _gather(world: BaseWorld, states: Sequence[GenerationState], choices: Sequence[Choice]) -> Sequence[torch.Tensor]:
    """Gather latents of every episode as views of one tensor: one copy per batch, not one per episode."""
    pieces: list[torch.Tensor] = []
    for state, (views, latents) in zip(states, choices, strict=True):
        if state.bank is not None:
            pieces += state.bank.pieces(views)
        pieces += state.history.pieces(latents)
    if not pieces:
        nothing = torch.zeros((0, *world.spec.latent_shape), device=world.device)
        return [nothing] * len(states)
    return torch.cat(pieces).split([len(views) + len(latents) for views, latents in choices])
