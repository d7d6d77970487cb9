"""Agents by name, and their configurations: make one, read one, train it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from li_env.accel.world import WorldModel
from li_env.agents.base import Agent
from li_env.agents.macro_actions import MacroActions
from li_env.agents.mapper.agent import Mapper
from li_env.agents.mapper.train import EYE, MapperConfig, load_eye
from li_env.agents.mapper.train import train as train_mapper
from li_env.agents.ppo.policy import PolicyAgent
from li_env.agents.ppo.train import PPOConfig
from li_env.agents.ppo.train import train as train_ppo
from li_env.agents.run_folder import read_settings
from li_env.agents.scripted.cem import CrossEntropyPlanner
from li_env.agents.scripted.heuristics import GoalFollower, RandomAgent, RandomForwardAgent
from li_env.agents.scripted.shortest_path import ShortestPathFollower
from li_env.episodes import EpisodeRunner
from li_env.errors import check_choice, check_keys
from li_env.tasks import EpisodeDataset, PointGoal
from li_env.tasks.navigation import Navigation
from li_env.validation import shown_path

NAMES = ("random", "wanderer", "seeker", "expert", "planner")

ARRIVAL = 0.8
"""Scripted agents stop within this share of the success radius."""


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


Config = PPOConfig | MapperConfig

KINDS: dict[str, type[PPOConfig] | type[MapperConfig]] = {
    "ppo": PPOConfig,
    "mapper": MapperConfig,
}
"""Values of the key ``agent`` of a configuration; ``ppo`` without one."""


def read_config(path: str | Path) -> Config:
    """Read YAML.

    Raises:
        ValueError: not a file or not YAML, an unknown key or a value that is not allowed.
    """
    data, name = read_settings(path), shown_path(Path(path).name)
    kind = KINDS[check_choice(f"{name}: agent", data.pop("agent", "ppo"), tuple(KINDS))]
    check_keys(f"{name}:", data, ["agent", *(item.name for item in fields(kind))])
    return kind(**data)


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
