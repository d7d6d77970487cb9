"""Benchmark paths in the real game, for worlds with ground truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from li_env.accel.geometry.camera import follow
from li_env.accel.world import BaseWorld
from li_env.errors import MissingExtraError
from li_env.evaluation.camera_path import CameraPath


def played_paths(world: BaseWorld, paths: Sequence[CameraPath]) -> list[CameraPath]:
    """Return the paths as the game realises them (its walls stop or deflect the camera), with its frames.

    Raises:
        MissingExtraError: the game is not installed.
        ValueError: a world without ground truth.
    """
    truth = world.ground_truth
    if truth is None:
        raise ValueError(f"world={world.spec.name!r} has no ground truth to compare with")
    maps, starts = zip(*(truth.start(path.start) for path in paths), strict=True)
    motions = truth.walk(maps, np.stack(starts), [path.flat for path in paths])
    cameras = [
        np.concatenate([start[None], follow(start, moves)]) for start, moves in zip(starts, motions, strict=True)
    ]
    try:
        frames = truth.render(maps, cameras)
    except MissingExtraError as error:
        purpose = "comparing with the real game (--no-game leaves it out)"
        raise MissingExtraError("ViZDoom", "doom", purpose) from error
    return [path.along(moves, world, real) for path, moves, real in zip(paths, motions, frames, strict=True)]
