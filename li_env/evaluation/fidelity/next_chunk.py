"""The next chunk after a past that is the real game's: what the model can do where its own errors play no part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from li_env.accel.world import WorldModel
from li_env.evaluation.fidelity.real_past import Player, RealPast, chunk_motions, decode, episode_seed
from li_env.evaluation.fidelity.reference_videos import ReferenceVideos
from li_env.evaluation.fidelity.scores import grouped, score, summaries
from li_env.evaluation.fidelity.settings import CHUNK, FIRST_WITH_MEMORY, STEPS, FidelitySettings

SAME_PLACE_METRES, SAME_PLACE_DEGREES = 0.1, 2.0
"""How near an earlier pose must be for a view to count as seen before."""


def next_chunk_rows(
    world: WorldModel,
    settings: FidelitySettings,
    footage: ReferenceVideos,
    latents: torch.Tensor,
    way_back: bool,
    advance: Callable[[], None],
) -> list[dict[str, Any]]:
    """Score the next chunk at a few places of every trajectory.

    Places are chunks whose history is longer than the whole context (20 latents), so that memory has been retrieved;
    with ``way_back`` only those all of whose poses were taken before, out of the recent window's reach.

    Args:
        world: to measure.
        settings: of the report.
        footage: the trajectories.
        latents: [N, L, C, h, w], those of the frames.
        way_back: see above.
        advance: called after each variant (`variants` of them).

    Returns:
        One row per variant: ``method`` (``world``, ``copy last frame``, ``autoencoder``), ``steps``, ``memory``,
        ``psnr``, ``ssim``, ``sharpness``; no rows where there is no such place.
    """
    places = _places(settings, footage, world.spec.temporal_latents if way_back else None)
    if not places:
        return []
    trajectories = [row for row, _ in places]
    begins = np.array([CHUNK * chunk for _, chunk in places])
    frames = begins[:, None] + np.arange(CHUNK)
    real = footage.frames[np.array(trajectories)[:, None], frames]

    def row(generated: np.ndarray, **labels: Any) -> dict[str, Any]:
        advance()
        scores = grouped(score(generated, real, world.device), trajectories)
        return {**labels, **summaries(scores)}

    rows = []
    pasts = {
        index: RealPast(world, footage.frames[index], latents[index], footage.poses[index])
        for index in sorted(set(trajectories))
    }
    motions = [chunk_motions(footage.poses[index], chunk) for index, chunk in places]
    states = [pasts[index].state(chunk, episode_seed(settings.seed, index)) for index, chunk in places]
    for steps in STEPS:
        for memory in (True, False):
            _, results = Player(world, settings.preset, steps, memory).step(states, motions)
            generated = np.stack([result.frames for result in results])
            rows.append(row(generated, method="world", steps=steps, memory=memory))
    last = footage.frames[np.array(trajectories), begins - 1]
    rows.append(row(np.repeat(last[:, None], CHUNK, axis=1), method="copy last frame", steps=None, memory=None))
    targets = torch.stack([latents[index, CHUNK * chunk : CHUNK * (chunk + 1)] for index, chunk in places])
    rows.append(row(decode(world, targets), method="autoencoder", steps=None, memory=None))
    return rows


VARIANTS = 2 * len(STEPS) + 2
"""Calls of ``advance`` in `next_chunk_rows`."""


def _places(settings: FidelitySettings, footage: ReferenceVideos, window: int | None) -> list[tuple[int, int]]:
    """(trajectory, chunk) to generate, at most ``settings.positions`` per trajectory."""
    places = []
    for row, poses in enumerate(footage.poses):
        chunks: Sequence[int] = range(FIRST_WITH_MEMORY, len(poses) // CHUNK)
        if window is not None:
            chunks = [chunk for chunk in chunks if _seen_before(poses, CHUNK * chunk, window)]
        rng = np.random.default_rng([settings.seed, row, 3])
        drawn = rng.permutation(np.asarray(chunks, dtype=int))[: settings.positions]
        places += [(row, int(chunk)) for chunk in np.sort(drawn)]
    return places


def _seen_before(poses: np.ndarray, begin: int, window: int) -> bool:
    """Whether each pose of the chunk at latent ``begin`` was taken before the last ``window`` latents."""
    old = poses[: begin - window]
    for pose in poses[begin : begin + CHUNK]:
        near = np.linalg.norm(old[:, :3, 3] - pose[:3, 3], axis=-1) <= SAME_PLACE_METRES
        alike = old[:, :3, 2] @ pose[:3, 2] >= np.cos(np.radians(SAME_PLACE_DEGREES))
        if not (near & alike).any():
            return False
    return True
