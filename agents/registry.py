"""Agents by name: make one, train one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from li_env.accel.world import WorldModel
from li_env.agents.base import Agent
from li_env.agents.config import Config
from li_env.agents.constants import ARRIVAL
from li_env.agents.macro_actions import MacroActions
from li_env.agents.mapper.agent import Mapper
from li_env.agents.mapper.train import EYE, load_eye
from li_env.agents.mapper.train import train as train_mapper
from li_env.agents.ppo.config import PPOConfig
from li_env.agents.ppo.policy import PolicyAgent
from li_env.agents.ppo.train import train as train_ppo
from li_env.agents.scripted.cem import CrossEntropyPlanner
from li_env.agents.scripted.heuristics import GoalFollower, RandomAgent, RandomForwardAgent
from li_env.agents.scripted.shortest_path import ShortestPathFollower
from li_env.episodes import EpisodeRunner
from li_env.errors import check_choice
from li_env.tasks import EpisodeDataset, PointGoal
from li_env.tasks.navigation import Navigation

NAMES = ("random", "wanderer", "seeker", "expert", "planner")


def make_agent(name: str, rules: EpisodeRunner, seed: int = 0, greedy: bool = False, device: str = "cpu") -> Agent:
    """An agent by name, or a trained one by its folder.

    Args:
        name: one of `NAMES` or a folder that `li_env.agents.registry.train` wrote.
        rules: the world and task that it will play, with ``continuous`` actions.
        seed: of its choices.
        greedy: trained agents take the most likely move instead of drawing.
        device: of trained agents.

    Raises:
        ValueError: unknown name, or an agent that cannot play this task.
    """
    moves = MacroActions(rules.actions.space, rules.task.can_stop)
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
        return RandomForwardAgent(size, seed)
    if name == "planner":
        return CrossEntropyPlanner(rules, moves, seed=seed)
    task = rules.task
    if name == "seeker" and isinstance(task, PointGoal):
        return GoalFollower(rules.spec, size, ARRIVAL * task.rules.success_radius, seed)
    if name == "expert" and isinstance(task, Navigation) and task.dataset is not None:
        return ShortestPathFollower(moves, task.dataset, ARRIVAL * task.rules.success_radius)
    raise ValueError(f"agent={name!r} cannot play task {task.name!r} here: it needs PointGoal or a dataset of maps")


def train(
    config: Config,
    out: str | Path,
    dataset: str | Path | EpisodeDataset | None = None,
    world: WorldModel | None = None,
    device: str = "auto",
    on_update: Callable[[dict[str, Any]], None] = lambda entry: None,
) -> Path:
    """Train into folder ``out``; see `li_env.agents.ppo.train` and `li_env.agents.mapper.train`."""
    if isinstance(config, PPOConfig):
        return train_ppo(config, out, dataset, world, device, on_update)
    return train_mapper(config, out, dataset, world, device, on_update)
