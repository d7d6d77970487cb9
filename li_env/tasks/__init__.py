"""What an agent is to do in a world: Explore, PointGoal, ImageGoal.

A task is a value without an episode inside, as everything below `li_env.episodes`: a task state goes in, the next one
comes out. Names and definitions of the navigation tasks follow Habitat-Lab.
"""

from __future__ import annotations

from pathlib import Path

from li_env.accel.world import WorldModel
from li_env.errors import check_choice
from li_env.tasks.explore import Explore
from li_env.tasks.task import Opening, Task

__all__ = ["TASKS", "Explore", "Opening", "Task", "load_task"]

TASKS = ("explore",)


def load_task(task: str | Task, world: WorldModel, dataset: str | Path | None = None) -> Task:
    """A task by name, for a world.

    Args:
        task: one of `TASKS`, or a task of your own.
        world: the world that it is set in.
        dataset: episodes for it.

    Raises:
        ValueError: unknown name, or a dataset that the task has no use for.
    """
    if not isinstance(task, str):
        return task
    check_choice("task", task, TASKS)
    if dataset is not None:
        raise ValueError(f"dataset={str(dataset)!r} is of no use to task {task!r}; allowed: none")
    return Explore(world.spec)
