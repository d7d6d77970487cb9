"""Agents by name: make one, train one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from li_env import BaseWorld, EpisodeDataset
from li_env.agents.base import Agent, PlayedEnv
from li_env.agents.constants import ARRIVAL
from li_env.agents.macro_actions import MacroActions
from li_env.agents.mapper.agent import Mapper
from li_env.agents.mapper.config import MapperConfig
from li_env.agents.mapper.train import WEIGHTS, load_net
from li_env.agents.mapper.train import train as train_mapper
from li_env.agents.ppo.config import PPOConfig
from li_env.agents.ppo.policy import PolicyAgent
from li_env.agents.ppo.train import train as train_ppo
from li_env.agents.scripted.cem import CrossEntropyPlanner
from li_env.agents.scripted.heuristics import GoalFollower, RandomAgent, RandomForwardAgent
from li_env.agents.scripted.shortest_path import follower_of
from li_env.tasks import PointGoal
from li_env.validation import check_choice

NAMES = ("random", "wanderer", "seeker", "expert", "planner")
"""Names of the scripted agents."""


def make_agent(name: str, env: PlayedEnv, seed: int = 0, greedy: bool = False, device: str = "cpu") -> Agent:
    """Make an agent by name, or load a trained agent from its folder.

    Args:
        name: one of `NAMES`, or a folder that `train` wrote.
        env: single environment that the agent will play, with ``continuous`` actions.
        seed: seed of the agent's draws.
        greedy: whether a trained policy takes the most likely macro action instead of drawing.
        device: device of a trained agent.

    Raises:
        ValueError: unknown name, or an agent that cannot play this task.
    """
    macro_actions, task = MacroActions(env.action_space, env.task.can_stop), env.task
    size = macro_actions.table.shape[1]
    if os.path.isfile(Path(name) / WEIGHTS):
        if not isinstance(task, PointGoal):
            raise ValueError(f"agent={name!r} is a mapper and plays PointGoal only, not {task.name!r}")
        net = load_net(Path(name) / WEIGHTS, env.observation_space, device)
        return Mapper(net, macro_actions, env.world.spec.fov[0], ARRIVAL * task.rules.success_radius)
    if name and os.path.isdir(name):
        return PolicyAgent.load(name, env.observation_space, macro_actions, None if greedy else seed, device)
    check_choice("agent (no folder either)", name, NAMES)
    if name == "random":
        return RandomAgent(macro_actions, seed)
    if name == "wanderer":
        return RandomForwardAgent(size, seed)
    if name == "planner":
        return CrossEntropyPlanner(env, macro_actions, seed=seed)
    if name == "seeker" and isinstance(task, PointGoal):
        return GoalFollower(env.world.spec, size, ARRIVAL * task.rules.success_radius, seed)
    if name == "expert" and (follower := follower_of(task, macro_actions)) is not None:
        return follower
    raise ValueError(f"agent={name!r} cannot play task {task.name!r} here: it needs PointGoal or a dataset of maps")


def train(
    config: PPOConfig | MapperConfig,
    out: str | Path,
    dataset: str | Path | EpisodeDataset | None = None,
    world: BaseWorld | None = None,
    device: str = "auto",
    on_update: Callable[[dict[str, Any]], None] = lambda entry: None,
) -> Path:
    """Train into folder ``out``. Arguments and errors as `li_env.agents.ppo.train` and `li_env.agents.mapper.train`."""
    if isinstance(config, PPOConfig):
        return train_ppo(config, out, dataset, world, device, on_update)
    return train_mapper(config, out, dataset, world, device, on_update)
