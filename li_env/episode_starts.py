"""Starts of episodes: what the reset options, the task and the draws of a generator decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from li_env.accel.config import AccelConfig
from li_env.accel.runtime.start_from_views import generate_starts
from li_env.accel.view_bank import ViewBank
from li_env.accel.world import BaseWorld
from li_env.fitted_scans import ScanCache
from li_env.start_view import start_view
from li_env.tasks.task import Opening, Task


@dataclass(frozen=True, eq=False)
class OpenedEpisode:
    """Start of one episode.

    Attributes:
        opening: what the task chose.
        image: start frame uint8 [H, W, 3]; None where the world generates it from the views of the scan.
        pose: [4, 4] of the start frame.
        prompt: text.
        index: index of the world's start frame, -1 for another picture.
        seed: of the noise.
        config: acceleration settings.
        bank: views of the scan; None without a scan.
    """

    opening: Opening
    image: np.ndarray | None
    pose: np.ndarray
    prompt: str
    index: int
    seed: int
    config: AccelConfig
    bank: ViewBank | None


def open_start(
    world: BaseWorld,
    task: Task,
    scans: ScanCache,
    generator: np.random.Generator,
    options: Mapping[str, Any],
    preset: AccelConfig,
) -> OpenedEpisode:
    """Choose the start of an episode.

    Args:
        world: the world.
        task: the task.
        scans: of the environment.
        generator: of the random draws.
        options: reset options without ``state``.
        preset: settings if the options name none.

    Raises:
        ValueError: an option that is not known or a value that is not allowed.
    """
    given = {name: value for name, value in options.items() if name not in ("preset", "scan")}
    config = AccelConfig.of(options.get("preset", preset))
    # Draw both numbers every time, so that the noise does not depend on the origin of the start frame.
    seed, draw = int(generator.integers(2**31 - 1)), float(generator.random())
    drawn = None
    if scans.by_map and "scan" not in options:  # an episode on a map takes place in the scan of that map
        drawn = task.draw_episode(given, scans.by_map, generator)
    if drawn is None:
        scan = scans.choose(options, generator)
    else:
        given, scan = {"episode": drawn[0]}, scans.by_map[drawn[1]]
    scanned = {} if scan is None else {"scan": scan}
    opening = task.open({**given, **scanned}, generator)
    image, pose, prompt, index = start_view(world, {**opening.start, **scanned}, draw)
    seed = seed if opening.seed is None else opening.seed
    return OpenedEpisode(opening, image, pose, prompt, index, seed, config, None if scan is None else scan.bank)


def start_frames(world: BaseWorld, begun: Sequence[OpenedEpisode]) -> list[np.ndarray]:
    """Return the start frame uint8 [H, W, 3] of each episode, generated where there is no picture.

    Args:
        world: the world.
        begun: the episodes.
    """
    missing = [(each, each.bank) for each in begun if each.image is None]
    made = iter(
        generate_starts(
            world,
            [each.prompt for each, _ in missing],
            [each.seed for each, _ in missing],
            [each.pose for each, _ in missing],
            [bank for _, bank in missing if bank is not None],
        )
    )
    return [next(made) if each.image is None else each.image for each in begun]
