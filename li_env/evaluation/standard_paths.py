"""Trajectories of the benchmark as commanded motions, one per latent after the start frame."""

from __future__ import annotations

import numpy as np

from li_env.accel.geometry.camera import CameraMotion, MotionLimits
from li_env.validation import check_choice

TRAJECTORIES = ("left-right", "forward-backward", "square", "random")
"""Names that `commands` takes. The first two are the paper's (Light Interaction, protocol of its experiments)."""

_LEG = (2, 6)
"""Shortest and longest leg of a random walk, in latents."""


def commands(name: str, length: int, limits: MotionLimits, seed: int) -> tuple[CameraMotion, ...]:
    """List the motions of a trajectory.

    Args:
        name: ``left-right`` (turn left, then as far back), ``forward-backward``, ``square`` (walk a side, turn right by
            90 degrees, round and round; one loop takes the whole length if that is long enough) or ``random`` (legs of
            2 to 6 latents: mostly walking, some turning, a little backwards).
        length: number of motions.
        limits: the world's motion per latent.
        seed: seed of the random walk; the other trajectories do not use it.

    Raises:
        ValueError: an unknown name.
    """
    check_choice("trajectory", name, TRAJECTORIES)
    forward, backward = CameraMotion(forward=limits.translation), CameraMotion(forward=-limits.translation)
    left, right = CameraMotion(yaw=-limits.rotation), CameraMotion(yaw=limits.rotation)
    half = length // 2
    if name == "left-right":
        return (left,) * half + (right,) * (length - half)
    if name == "forward-backward":
        return (forward,) * half + (backward,) * (length - half)
    if name == "square":
        turn = max(1, round(90.0 / limits.rotation))
        side = max(1, length // 4 - turn)
        loop = [forward] * side + [right] * turn
        return tuple((loop * (length // len(loop) + 1))[:length])
    rng = np.random.default_rng([seed, length])
    motions: list[CameraMotion] = []
    while len(motions) < length:
        motion = (forward, left, right, backward)[int(rng.choice(4, p=(0.5, 0.2, 0.2, 0.1)))]
        motions += [motion] * int(rng.integers(_LEG[0], _LEG[1] + 1))
    return tuple(motions[:length])
