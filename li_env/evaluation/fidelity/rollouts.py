"""Own rollouts: everything after one real frame is generated, along the game's poses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from li_env.evaluation.fidelity.real_past import Player, chunk_motions, episode_seed
from li_env.evaluation.fidelity.reference_videos import ReferenceVideos
from li_env.evaluation.fidelity.scores import Scores, by_chunk, ratio, score, summary
from li_env.evaluation.fidelity.settings import CHUNK, FidelitySettings

SATURATED_PIXELS, SATURATED_LEVELS = 0.5, (2, 253)
"""Share of values at or beyond these levels from which on a frame is saturated."""

CONSTANT_LEVELS = 3.0
"""Standard deviation of brightness, in levels, below which a frame is constant."""


def roll_out(
    player: Player,
    settings: FidelitySettings,
    videos: ReferenceVideos,
    device: torch.device,
    masks: Mapping[str, torch.Tensor],
    shown: int,
    advance: Callable[[], None],
) -> tuple[dict[str, Any], np.ndarray]:
    """Generate ``settings.chunks`` chunks of every trajectory and score them by chunk.

    Args:
        player: steps the episodes.
        settings: settings of the report.
        videos: the trajectories.
        device: where to compute scores.
        masks: name -> bool [N, L, H, W] of pixels that are also scored by themselves.
        shown: trajectories whose generated frames are returned.
        advance: called after each chunk.

    Returns:
        (row, frames): the row holds lists by chunk of ``psnr``, ``ssim``, ``sharpness``, of ``psnr/NAME``,
        ``sharpness/NAME`` and ``share/NAME`` (of all pixels) per mask, and of the health of the frames: shares
        ``saturated``, ``constant`` and ``not_finite``, ``collapsed`` (any of them where the game's frame is not), and
        ``brightness`` (mean level, generated - game). The frames are uint8 [shown, L, H, W, 3], the start frame first.
    """
    count = len(videos)
    states = player.engine.start(
        list(videos.frames[:, 0]),
        [""] * count,
        [episode_seed(settings.seed, row) for row in range(count)],
        list(videos.poses[:, 0]),
    )
    chunks: list[dict[str, dict[str, Any]]] = []
    pictures = []
    for chunk in range(settings.chunks):
        states, results = player.step(states, [chunk_motions(poses, chunk) for poses in videos.poses])
        generated = np.stack([result.frames for result in results])
        pictures.append(generated[:shown])
        part = slice(CHUNK * chunk, CHUNK * (chunk + 1))
        given = 1 if chunk == 0 else 0  # the start frame is given, not generated
        generated, real = generated[:, given:], videos.frames[:, part][:, given:]
        scores = {"": score(generated, real, device)}
        covered = {}
        for name, mask in masks.items():
            kept = mask[:, part][:, given:]
            scores[f"/{name}"] = score(generated, real, device, kept)
            covered[f"share/{name}"] = summary(kept.float().mean((-1, -2)).cpu().numpy())
        not_finite = np.array([result.degenerated for result in results])
        chunks.append({**_summaries(scores), **covered, **_health(generated, real, not_finite)})
        advance()
    row = {name: by_chunk([entry[name] for entry in chunks]) for name in chunks[0]}
    return row, np.concatenate(pictures, axis=1)


def _summaries(scores: Mapping[str, Scores]) -> dict[str, dict[str, Any]]:
    found = {}
    for name, values in scores.items():
        found[f"psnr{name}"] = summary(values["psnr"])
        found[f"ssim{name}"] = summary(values["ssim"])
        found[f"sharpness{name}"] = ratio(values["energy"], values["real_energy"])
    return found


def _health(generated: np.ndarray, real: np.ndarray, not_finite: np.ndarray) -> dict[str, dict[str, Any]]:
    drift = generated.mean((-1, -2, -3)) - real.mean((-1, -2, -3))
    found = {**degenerate_frames(generated, real, not_finite), "brightness": drift}
    return {name: summary(values.astype(float)) for name, values in found.items()}


def degenerate_frames(generated: np.ndarray, real: np.ndarray, not_finite: np.ndarray) -> dict[str, np.ndarray]:
    """Mark degenerate frames: bool [n, T] each.

    Args:
        generated, real: uint8 [n, T, H, W, 3].
        not_finite: bool [n], episodes whose world has produced a number that is not finite.

    Returns:
        ``saturated``, ``constant`` and ``not_finite``, and ``collapsed``: any of them where the game's frame is not.
    """
    broken = np.repeat(not_finite[:, None], generated.shape[1], axis=1)
    signs, normal = _signs(generated), _signs(real)
    collapsed = broken | (signs["saturated"] & ~normal["saturated"]) | (signs["constant"] & ~normal["constant"])
    return {**signs, "not_finite": broken, "collapsed": collapsed}


def _signs(frames: np.ndarray) -> dict[str, np.ndarray]:
    """Mark frames [n, T, H, W, 3] that are saturated or constant: bool [n, T] each."""
    low, high = SATURATED_LEVELS
    clipped = ((frames <= low) | (frames >= high)).mean((-1, -2, -3))
    return {
        "saturated": clipped > SATURATED_PIXELS,
        "constant": frames.mean(-1).std((-1, -2)) < CONSTANT_LEVELS,
    }
