"""A Gymnasium environment on an accelerated interactive video world model.

Importing this package registers the environments and nothing else: neither PyTorch nor a world is loaded before
``gymnasium.make`` or the first use of a public name. What is used more rarely is in the one public module, `tools`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import gymnasium

if TYPE_CHECKING:
    from li_env.accel.config import AccelConfig
    from li_env.accel.geometry.camera import CameraMotion
    from li_env.accel.ground_truth import GroundTruth
    from li_env.accel.world import BaseWorld
    from li_env.accel.world_spec import WorldSpec
    from li_env.accel.world_wrapper import WorldWrapper
    from li_env.actions import Action
    from li_env.datasets.reading import RecordedDataset
    from li_env.env import LightInteractionEnv
    from li_env.rollouts import View, play_episodes
    from li_env.sb3 import SB3VecEnv
    from li_env.scans.scan import Scan
    from li_env.state import EpisodeState
    from li_env.tasks.dataset import EpisodeDataset
    from li_env.tasks.task import Task
    from li_env.vector_env import LightInteractionVectorEnv
    from li_env.worlds.registry import load_world, register_world

__version__ = "0.1.0"

__all__ = [
    "AccelConfig",
    "Action",
    "BaseWorld",
    "CameraMotion",
    "EpisodeDataset",
    "EpisodeState",
    "GroundTruth",
    "LightInteractionEnv",
    "LightInteractionVectorEnv",
    "RecordedDataset",
    "SB3VecEnv",
    "Scan",
    "Task",
    "View",
    "WorldSpec",
    "WorldWrapper",
    "load_world",
    "play_episodes",
    "register_world",
    "tools",
]

_HOMES = {
    "AccelConfig": "accel.config",
    "Action": "actions",
    "BaseWorld": "accel.world",
    "CameraMotion": "accel.geometry.camera",
    "EpisodeDataset": "tasks.dataset",
    "EpisodeState": "state",
    "GroundTruth": "accel.ground_truth",
    "LightInteractionEnv": "env",
    "LightInteractionVectorEnv": "vector_env",
    "RecordedDataset": "datasets.reading",
    "SB3VecEnv": "sb3",
    "Scan": "scans.scan",
    "Task": "tasks.task",
    "View": "rollouts",
    "WorldSpec": "accel.world_spec",
    "WorldWrapper": "accel.world_wrapper",
    "load_world": "worlds.registry",
    "play_episodes": "rollouts",
    "register_world": "worlds.registry",
}

for _name, _task, _steps in (
    ("Explore", "explore", 64),
    ("PointGoal", "pointgoal", 32),
    ("ImageGoal", "imagegoal", 32),
):
    gymnasium.register(
        id=f"LightInteraction/{_name}-v0",
        entry_point="li_env.env:LightInteractionEnv",
        vector_entry_point="li_env.vector_env:LightInteractionVectorEnv",
        kwargs={"task": _task},
        max_episode_steps=_steps,
    )


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name == "tools":
        return importlib.import_module("li_env.tools")  # the import puts it into this namespace
    if name not in _HOMES:
        raise AttributeError(f"module 'li_env' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"li_env.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
