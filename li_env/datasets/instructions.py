"""Instructions in words: several phrasings per task, chosen by the number of the episode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

_PHRASES: dict[str, tuple[str, ...]] = {
    "pointgoal": (
        "Go to the point {distance} {unit} {direction} and stop there.",
        "Walk to the place {distance} {unit} {direction}, then stop.",
        "Your goal lies {distance} {unit} {direction}. Stop when you have reached it.",
        "Find a path to the spot {distance} {unit} {direction} and stop.",
    ),
    "imagegoal": (
        "Go to the place that the goal picture shows and stop there.",
        "Find the view of the goal picture, then stop.",
        "Walk to where the goal picture was taken and stop.",
    ),
    "explore": (
        "Explore the rooms and see as much of them as possible.",
        "Walk around and look at places that you have not seen yet.",
        "Explore this building.",
    ),
}
_SECTORS = ("ahead", "ahead to the right", "to the right", "behind to the right", "behind you",
            "behind to the left", "to the left", "ahead to the left")  # fmt: skip


def instruction_of(task: str, unit: str, number: int, sensors: Mapping[str, Any], given: str = "") -> str:
    """Return the instruction of an episode.

    Args:
        task: name of the task.
        unit: length unit of the world.
        number: of the episode; chooses the phrasing.
        sensors: observation at the start, without frames.
        given: text that replaces the templates.
    """
    if given:
        return given
    phrases = _PHRASES.get(task, ("Do the task {task}.",))
    phrase = phrases[number % len(phrases)]
    distance, bearing = np.asarray(sensors.get("pointgoal", (0.0, 0.0)), np.float64).tolist()
    sector = _SECTORS[round(bearing / (np.pi / 4)) % 8]
    whole = max(1, round(distance))
    return phrase.format(distance=whole, unit=unit + "s" * (whole != 1), direction=sector, task=task)
