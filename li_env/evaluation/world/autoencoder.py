"""Autoencoder alone: real frames encoded and decoded, which bounds every other number."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from li_env.evaluation.fidelity.real_past import decode, encode
from li_env.evaluation.fidelity.settings import CHUNK
from li_env.evaluation.world.frame_scores import frame_scores, summarised
from li_env.evaluation.world.measurement import Measurement, Unit
from li_env.worlds.freedoom.autoencoder import to_pixels
from li_env.worlds.freedoom.feature_metrics import frechet_distance

EVERY = 4
"""Every fourth chunk of a walk is compared: neighbours show nearly the same."""


def units(measurement: Measurement) -> list[Unit]:
    """List the one comparison."""
    return [Unit({"kind": "mix"}, partial(_compare, measurement))]


def _compare(measurement: Measurement) -> dict[str, Any]:
    """Score decoded frames; ``frechet`` is that of pooled features, None without their network."""
    world, videos = measurement.world, measurement.game.walks("mix")
    length = videos.frames.shape[1] // CHUNK * CHUNK
    real = videos.frames[:, :length].reshape(-1, CHUNK, *videos.frames.shape[2:])[::EVERY]
    made = decode(world, encode(world, real))
    scores = frame_scores(made, real, world.device, measurement.net)
    frechet = None
    if measurement.net is not None:
        pooled = []
        for frames in (made, real):
            flat = torch.from_numpy(frames.reshape(-1, *frames.shape[2:]))
            with torch.inference_mode():
                looks = [measurement.net(to_pixels(part.to(world.device)))[-1] for part in flat.split(64)]
                pooled.append(torch.cat([look.mean((-1, -2)) for look in looks]))
        frechet = frechet_distance(pooled[0], pooled[1])
    return {"frames": int(real.shape[0] * CHUNK), **summarised(scores), "frechet": frechet}
