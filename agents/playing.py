"""Agents by name, for the command line."""

from __future__ import annotations

import os
from pathlib import Path

from li_env.agents.agent import Agent
from li_env.agents.cem import CrossEntropyPlanner
from li_env.agents.expert import Expert
from li_env.agents.mapper import Mapper
from li_env.agents.moves import Moves
from li_env.agents.policy import PolicyAgent
from li_env.agents.scripted import GoalSeeker, RandomAgent, Wanderer
from li_env.agents.seeing import EYE, load_eye
from li_env.episodes import Episodes
from li_env.errors import check_choice
from li_env.tasks import PointGoal
from li_env.tasks.navigation import Navigation

NAMES = ("random", "wanderer", "seeker", "expert", "planner")

ARRIVAL = 0.8
"""Scripted agents stop within this share of the success radius."""


def make_agent(name: str, rules: Episodes, seed: int = 0, greedy: bool = False, device: str = "cpu") -> Agent:
    """An agent by name, or a trained one by its folder.

    Args:
        name: one of `NAMES` or a folder that `li_env.agents.training.train` wrote.
        rules: the world and task that it will play, with ``continuous`` actions.
        seed: of its choices.
        greedy: trained agents take the most likely move instead of drawing.
        device: of trained agents.

    Raises:
        ValueError: unknown name, or an agent that cannot play this task.
    """
    moves = Moves(rules.actions.space, rules.task.can_stop)
    size = moves.table.shape[1]
    if os.path.isfile(Path(name) / EYE):
        task = rules.task
        if not isinstance(task, PointGoal):
            raise ValueError(f"agent={name!r} is a mapper and plays PointGoal only, not {task.name!r}")
        eye = load_eye(Path(name) / EYE, rules.observation_space, device)
        return Mapper(eye, moves, rules.spec.fov[0], ARRIVAL * task.rules.success_radius)
    if name and os.path.isdir(name):
        return PolicyAgent.load(name, rules.observation_space, moves, None if greedy else seed, device)
    check_choice("agent (no folder either)", name, NAMES)
    if name == "random":
        return RandomAgent(moves, seed)
    if name == "wanderer":
        return Wanderer(size, seed)
    if name == "planner":
        return CrossEntropyPlanner(rules, moves, seed=seed)
    task = rules.task
    if name == "seeker" and isinstance(task, PointGoal):
        return GoalSeeker(rules.spec, size, ARRIVAL * task.rules.success_radius, seed)
    if name == "expert" and isinstance(task, Navigation) and task.dataset is not None:
        return Expert(moves, task.dataset, ARRIVAL * task.rules.success_radius)
    raise ValueError(f"agent={name!r} cannot play task {task.name!r} here: it needs PointGoal or a dataset of maps")
