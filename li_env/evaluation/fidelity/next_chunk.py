"""Next chunk after a real past: what the model can do where its own errors play no part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from li_env.accel.world import BaseWorld
from li_env.evaluation.fidelity.real_past import Player, RealPast, chunk_motions, decode, episode_seed
from li_env.evaluation.fidelity.reference_videos import ReferenceVideos
from li_env.evaluation.fidelity.scores import grouped, score, summaries
from li_env.evaluation.fidelity.settings import CHUNK, FIRST_WITH_MEMORY, STEPS, FidelitySettings

SAME_VIEW_METRES, SAME_VIEW_DEGREES = 0.1, 2.0
"""Largest distance to an earlier pose from which a view counts as seen before."""


def next_chunk_rows(
    world: BaseWorld,
    settings: FidelitySettings,
    videos: ReferenceVideos,
    latents: torch.Tensor,
    returning: bool,
    advance: Callable[[], None],
) -> list[dict[str, Any]]:
    """Score the next chunk at a few positions of every trajectory.

    Positions are chunks whose history is longer than the whole context (20 latents), so that latents are retrieved.
    With ``returning`` all poses of such a chunk were taken before, out of the recent window's reach.

    Args:
        world: the world to measure.
        settings: settings of the report.
        videos: the trajectories.
        latents: [N, L, C, h, w] of the frames.
        returning: whether only chunks at known poses count.
        advance: called after each of `VARIANTS` variants.

    Returns:
        One row per variant: ``method`` (``world``, ``copy last frame``, ``autoencoder``), ``steps``, ``memory``,
        ``psnr``, ``ssim``, ``sharpness``; no rows without such a chunk.
    """
    positions = positions_of(settings, videos, world.spec.temporal_latents if returning else None)
    if not positions:
        return []
    trajectories = [row for row, _ in positions]
    begins = np.array([CHUNK * chunk for _, chunk in positions])
    frames = begins[:, None] + np.arange(CHUNK)
    real = videos.frames[np.array(trajectories)[:, None], frames]

    def row(generated: np.ndarray, **labels: Any) -> dict[str, Any]:
        advance()
        scores = grouped(score(generated, real, world.device), trajectories)
        return {**labels, **summaries(scores)}

    rows = []
    pasts = {
        index: RealPast(world, videos.frames[index], latents[index], videos.poses[index])
        for index in sorted(set(trajectories))
    }
    motions = [chunk_motions(videos.poses[index], chunk) for index, chunk in positions]
    states = [pasts[index].state(chunk, episode_seed(settings.seed, index)) for index, chunk in positions]
    for steps in STEPS:
        for memory in (True, False):
            _, results = Player(world, settings.preset, steps, memory).step(states, motions)
            generated = np.stack([result.frames for result in results])
            rows.append(row(generated, method="world", steps=steps, memory=memory))
    last = videos.frames[np.array(trajectories), begins - 1]
    rows.append(row(np.repeat(last[:, None], CHUNK, axis=1), method="copy last frame", steps=None, memory=None))
    wanted = torch.stack([latents[index, CHUNK * chunk : CHUNK * (chunk + 1)] for index, chunk in positions])
    rows.append(row(decode(world, wanted), method="autoencoder", steps=None, memory=None))
    return rows


VARIANTS = 2 * len(STEPS) + 2
"""Calls of ``advance`` in `next_chunk_rows`."""


def positions_of(settings: FidelitySettings, videos: ReferenceVideos, window: int | None) -> list[tuple[int, int]]:
    """Draw the (trajectory, chunk) to generate, at most ``settings.positions`` per trajectory.

    Args:
        settings: seed and number.
        videos: the trajectories.
        window: None for any chunk after `FIRST_WITH_MEMORY`; a number of latents for chunks all of whose poses were
            taken before so many latents.
    """
    positions = []
    for row, poses in enumerate(videos.poses):
        chunks: Sequence[int] = range(FIRST_WITH_MEMORY, len(poses) // CHUNK)
        if window is not None:
            chunks = [chunk for chunk in chunks if _visited_before(poses, CHUNK * chunk, window)]
        rng = np.random.default_rng([settings.seed, row, 3])
        drawn = rng.permutation(np.asarray(chunks, dtype=int))[: settings.positions]
        positions += [(row, int(chunk)) for chunk in np.sort(drawn)]
    return positions


def _visited_before(poses: np.ndarray, begin: int, window: int) -> bool:
    """Return whether each pose of the chunk at latent ``begin`` was taken before the last ``window`` latents."""
    old = poses[: begin - window]
    for pose in poses[begin : begin + CHUNK]:
        near = np.linalg.norm(old[:, :3, 3] - pose[:3, 3], axis=-1) <= SAME_VIEW_METRES
        alike = old[:, :3, 2] @ pose[:3, 2] >= np.cos(np.radians(SAME_VIEW_DEGREES))
        if not (near & alike).any():
            return False
    return True
