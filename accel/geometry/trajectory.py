"""Grammar of trajectories such as ``w-31, right-4``."""

from __future__ import annotations

from li_env.accel.geometry.camera import CameraMotion, MotionLimits

MAX_TRAJECTORY_LATENTS = 1_000_000
"""Longest trajectory that `parse_trajectory` accepts: a mistyped count must not fill the RAM."""


def parse_trajectory(text: str, limits: MotionLimits) -> tuple[CameraMotion, ...]:
    """Read a trajectory such as ``"w-31, right-4"``: one motion per latent.

    Grammar: ``name-count`` commands separated by commas; names ``w s a d`` (forward, backward, left, right), ``left
    right`` (turn) and, where the world has pitch, ``up down`` (look). The count is a whole number of latents. Blanks
    around the parts and empty commands are ignored; at least one command must be left.

    Raises:
        ValueError: names the position (1 is the first character), the text found there and what is allowed.
    """
    keys = {
        "w": CameraMotion(forward=limits.translation),
        "s": CameraMotion(forward=-limits.translation),
        "a": CameraMotion(right=-limits.translation),
        "d": CameraMotion(right=limits.translation),
        "left": CameraMotion(yaw=-limits.rotation),
        "right": CameraMotion(yaw=limits.rotation),
    }
    if limits.pitch:
        keys["up"] = CameraMotion(pitch=limits.rotation)
        keys["down"] = CameraMotion(pitch=-limits.rotation)
    motions: list[CameraMotion] = []
    start = 0
    for part in text.split(","):
        command = part.strip()
        position = start + len(part) - len(part.lstrip()) + 1
        start += len(part) + 1
        if not command:
            continue
        name, dash, count = (piece.strip() for piece in command.partition("-"))
        if name not in keys:
            why = "; this world cannot look up or down" if name in ("up", "down") else ""
            raise ValueError(f"trajectory: {name!r} at character {position}: use one of {', '.join(keys)}{why}")
        if not dash or not (count.isascii() and count.isdigit() and len(count) < 10):
            raise ValueError(
                f"trajectory: {command!r} at character {position}: write {name}-COUNT, "
                "COUNT being a whole number of latents such as 4"
            )
        if len(motions) + int(count) > MAX_TRAJECTORY_LATENTS:
            raise ValueError(
                f"trajectory: {command!r} at character {position}: more than {MAX_TRAJECTORY_LATENTS:,} latents in all"
            )
        motions += [keys[name]] * int(count)
    if not motions:
        raise ValueError(f"trajectory: {text!r} has no motion: write commands such as w-31, right-4")
    return tuple(motions)
