"""Accuracy of the world's walls: its feasible motions against the realised ones, on real frames of held-out maps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from li_env.accel.geometry.camera import CameraMotion, follow
from li_env.accel.retrieval.motion_context import motion_context
from li_env.accel.world import BaseWorld, MotionRequest
from li_env.evaluation.fidelity.real_past import RealPast
from li_env.evaluation.fidelity.reference_videos import ReferenceVideos
from li_env.evaluation.fidelity.settings import BATCH, CHUNK, FidelitySettings

BLOCKED_METRES = 0.05
"""Shortfall of a motion from its command from which on it counts as blocked (as in training)."""


def motion_accuracy(
    world: BaseWorld,
    settings: FidelitySettings,
    videos: ReferenceVideos,
    latents: torch.Tensor,
    advance: Callable[[], None],
) -> dict[str, Any]:
    """Ask the world for the feasible part of every commanded motion of the trajectories from chunk 1 on.

    The world is given the motion context that the engine would give it, here from real latents.

    Returns:
        ``motions`` (their number), ``blocked_share``; ``error_metres`` (mean distance of the predicted from the true
        displacement), ``error_blocked_metres`` (of motions that are blocked), ``error_ignored_metres`` (if all
        commands were realised), ``precision`` and ``recall`` of being blocked. A share without any case is None.
    """
    wanted, true, found = [], [], []
    pasts = [
        RealPast(world, videos.frames[row], latents[row], videos.poses[row]) for row in range(len(videos))
    ]  # fmt: skip
    for chunk in range(1, videos.frames.shape[1] // CHUNK):
        part = slice(CHUNK * chunk - 1, CHUNK * chunk + CHUNK - 1)
        requests = []
        for row, past in enumerate(pasts):
            state = past.state(chunk, 0)
            moves = tuple(
                CameraMotion(yaw=float(yaw), right=float(right), forward=float(forward))
                for yaw, right, forward in videos.commanded[row, part]
            )
            shown = motion_context(
                state.history.track, state.pose, follow(state.pose, moves)[-1], world.spec.view_distance
            )
            recent = state.history.latents(shown)
            requests.append(MotionRequest(state.scene, state.pose, moves, recent, state.history.poses[list(shown)]))
        with torch.inference_mode():
            for begin in range(0, len(requests), BATCH):
                for moves in world.feasible_motions(requests[begin : begin + BATCH]):
                    found.append([(move.right, move.forward) for move in moves])
        wanted.append(videos.commanded[:, part, 1:])
        true.append(videos.feasible[:, part, 1:])
        advance()
    return _accuracy(np.concatenate(wanted), np.concatenate(true), np.array(found))


def _accuracy(wanted: np.ndarray, true: np.ndarray, found: np.ndarray) -> dict[str, Any]:
    """Compare displacements [..., 2] in metres: commanded, realised in the game, found by the world."""
    error = np.linalg.norm(found - true, axis=-1)
    shortfall = np.linalg.norm(true - wanted, axis=-1)
    blocked = shortfall > BLOCKED_METRES
    predicted = np.linalg.norm(found - wanted, axis=-1) > BLOCKED_METRES
    return {
        "motions": int(error.size),
        "blocked_share": float(blocked.mean()),
        "error_metres": float(error.mean()),
        "error_blocked_metres": float(error[blocked].mean()) if blocked.any() else None,
        "error_ignored_metres": float(shortfall.mean()),
        "precision": float((predicted & blocked).sum() / predicted.sum()) if predicted.any() else None,
        "recall": float((predicted & blocked).sum() / blocked.sum()) if blocked.any() else None,
    }
