"""Loops ABA and ABCA by length: does the first leg look the same when the camera comes back, and as in the game."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from li_env.doom.known_maps import known_map
from li_env.evaluation.fidelity.real_past import RealPast, encode
from li_env.evaluation.fidelity.reference_videos import ReferenceVideos
from li_env.evaluation.fidelity.settings import CHUNK
from li_env.evaluation.fidelity.walks import Walk
from li_env.evaluation.world.driver import Banks, Driver
from li_env.evaluation.world.frame_scores import frame_scores, summarised
from li_env.evaluation.world.loop_paths import KINDS, Loop, find_loop
from li_env.evaluation.world.measurement import Measurement, Unit

LENGTHS = (2, 4, 8)
"""Steps of 0.75 m per leg."""

FIRST_LOOKS = ("real", "generated")
"""Whether the first leg is the game's, or generated from the start frame as everything else is."""


class _Drawn:
    """Loops of one kind and length on the maps of the measurement, drawn and rendered when first needed."""

    def __init__(self, measurement: Measurement, kind: str, steps: int) -> None:
        self._measurement, self._kind, self._steps = measurement, kind, steps

    @cached_property
    def loops(self) -> dict[int, Loop]:
        """The loop of every map that has room for one, by its index."""
        settings, kind = self._measurement.settings, self._kind
        drawn = {
            row: find_loop(
                known_map(seed),
                kind,
                self._steps,
                np.random.default_rng([seed, settings.seed, self._steps, KINDS[kind]]),
            )
            for row, seed in enumerate(settings.map_seeds)
        }
        return {row: found for row, found in drawn.items() if found is not None}

    @cached_property
    def videos(self) -> ReferenceVideos:
        """The game along the loops."""
        return self._measurement.game.shown([_walk(found) for found in self.loops.values()], [*self.loops])


def units(measurement: Measurement) -> list[Unit]:
    """List loops of every kind and length, both first looks, without and with the first scan."""
    settings = measurement.settings
    found = []
    for kind in KINDS:
        for steps in LENGTHS:
            if 2 * steps > settings.chunks:  # a quick look leaves out long loops
                continue
            drawn = _Drawn(measurement, kind, steps)
            found += [
                Unit(
                    {"preset": preset, "scan": scan, "kind": kind, "steps": steps, "first_look": first},
                    partial(_loops, measurement, drawn, preset, scan, first),
                )
                for preset, scan in settings.variants
                for first in FIRST_LOOKS
            ]
    return found


def _loops(measurement: Measurement, drawn: _Drawn, preset: str, scan: float | None, first: str) -> dict[str, Any]:
    """Score the second look at the first leg.

    Returns:
        ``loops``: their number, one per map that has room for one; ``frames_between``; measures of the second look
        against the game (``game``, and its PSNR by frame) and, after a generated first look, against that
        (``first_look``).
    """
    rows = [*drawn.loops]
    if not rows:
        return {"loops": 0, "frames_between": None, "game": None, "game_psnr_by_frame": None, "first_look": None}
    looks, videos, banks = drawn.loops[rows[0]], drawn.videos, measurement.banks(scan)
    own = None if banks is None else [banks[row] for row in rows]
    seeds = [measurement.seeds[row] for row in rows]
    driver = Driver(measurement.world, preset)
    frames = play_loops(measurement, driver, videos, looks, seeds, own, real=first == "real")
    device, net = measurement.world.device, measurement.net
    second = frames[:, looks.second]
    scores = frame_scores(second, videos.frames[:, looks.second], device, net)
    again = None
    if first == "generated":
        # The start frame is given, so it is no first look of the world's own.
        again = summarised(frame_scores(second[:, 1:], frames[:, looks.first[1:]], device, net))
    return {
        "loops": len(rows),
        "frames_between": int(looks.second[0] - looks.first[-1] - 1),
        "game": summarised(scores),
        "game_psnr_by_frame": scores["psnr"].mean(0).tolist(),
        "first_look": again,
    }


def play_loops(
    measurement: Measurement,
    driver: Driver,
    videos: ReferenceVideos,
    looks: Loop,
    seeds: list[int],
    banks: Banks,
    real: bool,
) -> np.ndarray:
    """Play loops and return all frames uint8 [N, L, H, W, 3]; if ``real``, the chunks of the first leg are the game's.

    Args:
        measurement: holds the world.
        driver: steps the episodes.
        videos: the game along the loops.
        looks: one of them; all have equal indices.
        seeds: of the noise.
        banks: views of scans.
        real: whether the first leg is the game's.
    """
    world, chunks = measurement.world, videos.frames.shape[1] // CHUNK
    if not real:
        return driver.play(videos, seeds, chunks, banks).frames
    known = -(-len(looks.first) // CHUNK)
    states = []
    for row, seed in enumerate(seeds):
        latents = encode(world, videos.frames[row, : CHUNK * known])
        state = RealPast(world, videos.frames[row], latents, videos.poses[row]).state(known, seed)
        states.append(state if banks is None else replace(state, bank=banks[row]))
    made, _ = driver.follow(states, videos.poses, range(known, chunks))
    return np.concatenate([videos.frames[:, : CHUNK * known], made], axis=1)


def _walk(found: Loop) -> Walk:
    none = np.zeros((0, 3), dtype=np.float32)
    return Walk(found.doom_poses, np.full(len(found.doom_poses), -1), none, none)
