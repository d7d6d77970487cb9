"""Revisits: does the same view look the same when the camera comes back.

Real first look: the first look is the game's; the second look is generated and compared with the game. Generated first
look: everything after the start frame is generated. The second look is then compared with the first and with the game;
the first alone says little, because a model that shows fog everywhere is consistent with itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from li_env.accel.world import BaseWorld
from li_env.evaluation.fidelity.real_past import Player, RealPast, chunk_motions, encode, episode_seed
from li_env.evaluation.fidelity.reference_videos import HELD_OUT, ReferenceVideos
from li_env.evaluation.fidelity.scores import score, summaries, summary
from li_env.evaluation.fidelity.settings import CHUNK, STEPS, FidelitySettings
from li_env.evaluation.fidelity.walks import LOOKS

VARIANTS = 4
"""Rows, and calls of ``advance``, per kind of revisit."""


def revisit_rows(
    world: BaseWorld,
    settings: FidelitySettings,
    videos: dict[tuple[str, str], ReferenceVideos],
    advance: Callable[[], None],
) -> list[dict[str, Any]]:
    """Score the second looks of all `walks.LOOKS`, with and without memory, in the shipped number of steps.

    Returns:
        Rows with ``kind``, ``first_look`` (``real`` or ``generated``), ``memory``, and scores of the second look
        against the game (``psnr``, ``ssim``, ``sharpness``) and against the generated first look of the same pose
        (``psnr_first_look``; absent where nothing was generated from the same pose). Names that end in ``/memory``
        leave out frames whose first look is still in the recent window when they are generated: only retrieved latents
        can know the others. ``psnr_by_chunk`` lists the means of the second look's chunks.
    """
    rows = []
    for kind in LOOKS:
        chosen = videos[(HELD_OUT, f"look/{kind}")]
        half = int(np.argmax(chosen.first_look >= 0))
        latents = encode(world, chosen.frames[:, :half])
        for first in ("real", "generated"):
            for memory in (True, False):
                player = Player(world, settings.preset, STEPS[0], memory)
                frames = _play(player, world, settings, chosen, latents if first == "real" else None, half)
                labels = {"kind": kind, "first_look": first, "memory": memory, "steps": STEPS[0]}
                same_pose = first == "generated" and kind != "offset"
                rows.append({**labels, **_scores(world, frames, chosen, half, same_pose)})
                advance()
    return rows


def _play(
    player: Player,
    world: BaseWorld,
    settings: FidelitySettings,
    chosen: ReferenceVideos,
    latents: torch.Tensor | None,
    half: int,
) -> np.ndarray:
    """Play all frames [N, L, H, W, 3]; given real ``latents`` [N, half, C, h, w], the first ``half`` are the game's."""
    seeds = [episode_seed(settings.seed, row) for row in range(len(chosen))]
    if latents is None:
        states = player.engine.start(
            list(chosen.frames[:, 0]), [""] * len(chosen), seeds, list(chosen.poses[:, 0])
        )  # fmt: skip
        parts, begin = [], 0
    else:
        pasts = [
            RealPast(world, chosen.frames[row], latents[row], chosen.poses[row]) for row in range(len(chosen))
        ]  # fmt: skip
        begin = half // CHUNK
        states = [past.state(begin, seed) for past, seed in zip(pasts, seeds, strict=True)]
        parts = [chosen.frames[:, :half]]
    for chunk in range(begin, chosen.frames.shape[1] // CHUNK):
        states, results = player.step(states, [chunk_motions(poses, chunk) for poses in chosen.poses])
        parts.append(np.stack([result.frames for result in results]))
    return np.concatenate(parts, axis=1)


def _scores(
    world: BaseWorld, frames: np.ndarray, chosen: ReferenceVideos, half: int, same_pose: bool
) -> dict[str, Any]:
    first = chosen.first_look[half:]
    starts = np.arange(half, half + len(first)) // CHUNK * CHUNK
    from_memory = first < starts - world.spec.temporal_latents
    second = frames[:, half:]
    against_game = score(second, chosen.frames[:, half:], world.device)
    found: dict[str, Any] = summaries(against_game)
    kept = {name: values[:, from_memory] for name, values in against_game.items()}
    found |= {f"{name}/memory": value for name, value in summaries(kept).items()}
    found["psnr_by_chunk"] = against_game["psnr"].reshape(len(frames), -1, CHUNK).mean((0, 2)).tolist()
    if same_pose:
        values = score(second, frames[:, first], world.device)["psnr"]
        found["psnr_first_look"] = summary(values)
        found["psnr_first_look/memory"] = summary(values[:, from_memory])
    return found
