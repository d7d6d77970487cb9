"""Behaviour cloning: fit the policy network to the decisions of a recorded dataset.

The network, the history and the files are those of the PPO agent, so that every command that takes a trained agent
takes this one. Dataset aggregation inside a world is `li_env.agents.ppo.dagger`; here the labels come from files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from li_env.agents.cloning.config import BCConfig
from li_env.agents.macro_actions import MacroActions
from li_env.agents.ppo.action_history import HISTORY, add_action, add_bump, empty_history
from li_env.agents.ppo.config import CloningConfig
from li_env.agents.ppo.dagger import LabelLearner
from li_env.agents.ppo.policy import POLICY, build_policy, store_policy
from li_env.agents.run_folder import RunFolder
from li_env.datasets.lerobot import CAMERA
from li_env.datasets.reading import RecordedDataset
from li_env.validation import shown
from li_env.worlds import resolve_device


def train(
    config: BCConfig,
    out: str | Path,
    data: str | Path | Sequence[str | Path],
    device: str = "auto",
    on_update: Callable[[dict[str, Any]], None] = lambda entry: None,
) -> Path:
    """Train an agent from datasets of PointGoal episodes in format LeRobot.

    Args:
        config: settings.
        out: folder of the agent, without another agent in it.
        data: folder of the dataset, or several: what an expert did, and what it would have done where another walked.
        device: ``auto``, ``cpu`` or ``cuda``.
        on_update: called with every line of the log, one per epoch.

    Raises:
        ValueError: no such dataset, one of another task or without the target, datasets of different frames or
            actions, or a folder that holds an agent.
    """
    run = RunFolder(out, "bc", config, (POLICY,))
    if run.steps_done():
        raise ValueError(f"out={shown(str(run.path))} holds a trained agent; allowed: another folder")
    folders = [data] if isinstance(data, str | Path) else list(data)
    datasets = [RecordedDataset(folder, config.split, decisions=True) for folder in folders]
    for dataset in datasets:
        if dataset.manifest["task"] != "pointgoal":
            raise ValueError(f"data: task={shown(dataset.manifest['task'])} cannot be cloned; allowed: pointgoal")
    if len({str(_spaces(dataset)[0]) + str(dataset.info["features"]["action"]) for dataset in datasets}) != 1:
        raise ValueError(f"data: {len(datasets)} datasets of different frames or actions; allowed: those of one world")
    torch.manual_seed(config.seed)
    space, macro_actions = _spaces(datasets[0])
    policy = build_policy(space, macro_actions)
    policy.to(resolve_device(device))
    labels = np.concatenate([macro_actions.nearest(each.columns[_target(config, each)]) for each in datasets])
    observations = {
        "rgb": np.concatenate([each.frames for each in datasets]),
        "pointgoal": np.concatenate([each.columns["observation.state"][:, :2] for each in datasets]),
        HISTORY: np.concatenate([histories(macro_actions, each) for each in datasets]),
    }
    fit = CloningConfig(
        steps=len(labels), epochs=1, batch_size=config.batch_size, learning_rate=config.learning_rate, seed=config.seed
    )
    learner = LabelLearner(policy, macro_actions, fit)
    run.begin(0, 1)
    for epoch in range(config.epochs):
        loss = learner.fit(observations, labels, np.zeros((len(labels), 0), np.float32))
        on_update(run.note((epoch + 1) * len(labels), {"epoch": epoch + 1, "loss": loss}))
    with run.save(config.epochs * len(labels)) as folder:
        store_policy(policy, folder / POLICY)
    return run.path


def histories(macro_actions: MacroActions, dataset: RecordedDataset) -> np.ndarray:
    """Rebuild what the agent would remember at every decision: float32 [n, numbers]."""
    columns, found = dataset.columns, []
    ran = macro_actions.nearest(columns["action"])
    history = empty_history(macro_actions)
    for row, step in enumerate(columns["frame_index"].tolist()):
        if step == 0:
            history = empty_history(macro_actions)
        else:
            history = add_bump(history, float(columns["step.blocked"][row - 1]))
        found.append(history.ravel())
        history = add_action(history, {"pointgoal": columns["observation.state"][row, :2]}, int(ran[row]))
    return np.stack(found)


def _target(config: BCConfig, dataset: RecordedDataset) -> str:
    there = "teacher.action" in dataset.columns
    if config.target == "teacher" and not there:
        raise ValueError("target='teacher': the dataset has no column teacher.action; allowed: auto, action")
    return "teacher.action" if there and config.target != "action" else "action"


def _spaces(dataset: RecordedDataset) -> tuple[spaces.Dict, MacroActions]:
    """Return the spaces of the environment that the dataset was recorded in."""
    features = dataset.info["features"]
    space = spaces.Dict({
        "rgb": spaces.Box(0, 255, tuple(features[CAMERA]["shape"]), np.uint8),
        "pointgoal": spaces.Box(-np.inf, np.inf, (2,), np.float32),
    })  # fmt: skip
    names = features["action"]["names"]
    return space, MacroActions(spaces.Box(-1.0, 1.0, (len(names),), np.float32), "stop" in names)
