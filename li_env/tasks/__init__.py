"""Tasks of an agent in a world: Explore, PointGoal, ImageGoal.

A task keeps nothing about an episode, as everything below `li_env.episodes`: a task state goes in, the next one comes
out. Names and definitions of the navigation tasks follow Habitat-Lab.
"""

from __future__ import annotations

from pathlib import Path

from li_env.accel.world import BaseWorld
from li_env.tasks.dataset import EpisodeDataset, EpisodeRecord
from li_env.tasks.explore import Explore
from li_env.tasks.navigation import ImageGoal, NavigationRules, PointGoal
from li_env.tasks.task import BaseTask, ForeignTask, Opening, Task
from li_env.validation import check_choice

__all__ = [
    "TASKS",
    "BaseTask",
    "EpisodeDataset",
    "EpisodeRecord",
    "Explore",
    "ImageGoal",
    "NavigationRules",
    "Opening",
    "PointGoal",
    "Task",
    "load_task",
]

TASKS = ("explore", "pointgoal", "imagegoal")


def load_task(task: str | Task, world: BaseWorld, dataset: str | Path | EpisodeDataset | None = None) -> Task:
    """Load a task by name, for a world.

    Args:
        task: one of `TASKS`, or a task of your own.
        world: the world that it is set in.
        dataset: a file of navigation episodes (`EpisodeDataset`) or its content. Where there is none, a world whose
            start frames come from known maps brings its own; in others goals are drawn around the start.

    Raises:
        ValueError: unknown name, a dataset that the task has no use for, or a mistake in the dataset.
    """
    if not isinstance(task, str):
        if dataset is not None:
            raise ValueError("dataset goes with a task's name; a Task brings its own")
        return task if isinstance(task, Task) else ForeignTask(task)
    check_choice("task", task, TASKS)
    if task == "explore":
        if dataset is not None:
            raise ValueError("dataset is of no use to task 'explore'; allowed: none")
        return Explore(world.spec)
    dataset = world.episodes_file if dataset is None else dataset
    episodes = EpisodeDataset.read(dataset) if isinstance(dataset, str | Path) else dataset
    kind = PointGoal if task == "pointgoal" else ImageGoal
    return kind(world.spec, episodes, truth=world.ground_truth)
