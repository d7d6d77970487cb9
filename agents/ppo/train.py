"""PPO (Stable-Baselines3) on pixels and the goal sensor, in any world: train, go on, store, act.

A trained agent is a folder: ``agent.json`` (how it was trained and how far), ``policy.safetensors``, ``optimizer.pt``
(tensors only), ``log.jsonl``, and ``snapshots/`` with the policy along the way.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy, MultiInputActorCriticPolicy
from stable_baselines3.common.vec_env import VecEnv, VecMonitor

from li_env.accel.world import WorldModel
from li_env.agents.base import ACTION_SPACE
from li_env.agents.macro_actions import STOP, MacroActions
from li_env.agents.ppo.dagger import CloningConfig, clone
from li_env.agents.ppo.macro_env import MacroActionVecEnv
from li_env.agents.ppo.policy import POLICY, load_policy, policy_arguments, store_policy
from li_env.agents.run_folder import check_settings, keep_log, read_state
from li_env.agents.scripted.shortest_path import ShortestPathFollower
from li_env.errors import check_choice, check_folder, check_keys
from li_env.files import append_json, atomic_write, write_json
from li_env.sb3 import SB3VecEnv
from li_env.tasks import EpisodeDataset
from li_env.tasks.navigation import Navigation
from li_env.validation import check_number, check_whole, shortened, shown, shown_path
from li_env.vector_env import LightInteractionVectorEnv
from li_env.worlds.common.checkpoints import check_memory

_RARELY = -3.0  # logit of stop before any training: about one step in 160
_CHANGE = 0.03  # of the policy in one update, which ends when it is reached: a cloned policy has an untrained critic
_ARRIVAL = 0.8  # the expert stops at this share of the success radius

TASKS = ("pointgoal", "imagegoal")
"""What can be trained: tasks with a goal sensor."""

WATCHED = ("success", "spl", "soft_spl")
"""Measures of ended episodes that the log shows."""

_SHOWN = {"r": "return", "l": "length", **{name: name for name in WATCHED}}


@dataclass(frozen=True)
class PPOConfig:
    """How an agent is trained; the same keys in YAML.

    Attributes:
        task: ``pointgoal`` or ``imagegoal``.
        world: by name.
        preset: acceleration preset, by name or as settings.
        steps: environment steps in all, over all worlds; a step is one chunk of frames.
        cloning_steps: the first of them, in which the agent imitates shortest ways (`li_env.agents.ppo.dagger`)
            instead of learning from reward; needs a dataset that names its maps.
        worlds: that step together.
        horizon: steps per world between two updates.
        batch_size: of a gradient step.
        epochs: over the steps of an update.
        learning_rate: at the start; falls linearly to 0.
        gamma, gae_lambda, clip_range, entropy: of PPO.
        max_episode_steps: until an episode is cut.
        snapshots: how often the policy is stored along the way.
        seed: of the policy and the episodes.
    """

    task: str = "pointgoal"
    world: str = "freedoom"
    preset: str | Mapping[str, Any] = "off"
    steps: int = 100_000
    cloning_steps: int = 0
    worlds: int = 64
    horizon: int = 32
    batch_size: int = 512
    epochs: int = 4
    learning_rate: float = 5e-4
    gamma: float = 0.97
    gae_lambda: float = 0.95
    clip_range: float = 0.2
    entropy: float = 0.01
    max_episode_steps: int = 32
    snapshots: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("task", self.task, TASKS)
        check_settings(self)
        for name in ("gamma", "gae_lambda", "entropy"):
            check_number(name, getattr(self, name), 0, 1)
        for name in ("learning_rate", "clip_range"):
            check_number(name, getattr(self, name), 0, 1, above=True)
        if self.worlds * self.horizon < 2:
            raise ValueError("worlds=1 with horizon=1 is not allowed; PPO needs two steps per update")


def train(
    config: PPOConfig,
    out: str | Path,
    dataset: str | Path | EpisodeDataset | None = None,
    world: WorldModel | None = None,
    device: str = "auto",
    on_update: Callable[[dict[str, Any]], None] = lambda entry: None,
) -> Path:
    """Train into folder ``out``, or go on where a training there was interrupted.

    A resumed training has the weights, the optimiser and the step count; its worlds begin new episodes.

    Args:
        config: as in `PPOConfig`.
        out: made if needed.
        dataset: of navigation episodes; the world's own by default.
        world: a loaded world instead of ``config.world`` by name.
        device: of the world and of the policy: ``auto``, ``cpu`` or ``cuda``.
        on_update: called with every line of the log.

    Raises:
        ValueError: ``out`` holds an agent of another configuration, or what the environment says.
    """
    folder = check_folder("out", out, (POLICY, "optimizer.pt", "agent.json", "log.jsonl"))
    done = _resumable(folder, config)
    inner = LightInteractionVectorEnv(
        config.worlds,
        max_episode_steps=config.max_episode_steps,
        autoreset_mode=AutoresetMode.SAME_STEP,
        world=config.world if world is None else world,
        preset=config.preset,
        action_space=ACTION_SPACE,
        observation="frame",
        device=device,
        task=config.task,
        dataset=dataset,
    )
    if config.cloning_steps and not done:
        _taught(config, inner)
    check_memory("the steps of an update", _rollout_bytes(config, inner), torch.device("cpu"))
    (folder / "snapshots").mkdir(parents=True, exist_ok=True)
    keep_log(folder / "log.jsonl", done)
    moves = MacroActions(inner.single_action_space, inner.episodes.task.can_stop)
    venv: VecEnv = VecMonitor(MacroActionVecEnv(SB3VecEnv(inner), moves), info_keywords=WATCHED)
    model = PPO(
        MultiInputActorCriticPolicy,
        venv,
        learning_rate=lambda left: config.learning_rate * left,
        n_steps=config.horizon,
        batch_size=min(config.batch_size, config.worlds * config.horizon),
        n_epochs=config.epochs,
        gamma=config.gamma,
        gae_lambda=config.gae_lambda,
        clip_range=config.clip_range,
        ent_coef=config.entropy,
        target_kl=_CHANGE,
        policy_kwargs=policy_arguments(),
        tensorboard_log=str(folder / "tensorboard") if find_spec("tensorboard") else None,
        # Another seed for what follows an interruption: the same episodes again would be learned twice.
        seed=config.seed + done,
        device=device,
    )
    policy = model.policy
    keeper = _Keeper(config, folder, inner.world.spec.step_frames, on_update)
    if done:
        load_policy(model.policy, folder / POLICY)
        _load_optimizer(model.policy.optimizer, folder / "optimizer.pt", model.device)
        model.num_timesteps = done
    elif moves.table.shape[0] > STOP:
        # An agent that stops by chance never learns where walking leads.
        with torch.no_grad():
            policy.action_net.get_parameter("bias")[STOP] = _RARELY
    try:
        if not done and config.cloning_steps:
            model.num_timesteps = _imitate(config, policy, moves, inner, keeper)
            _save(folder, config, policy, model.num_timesteps)
        if model.num_timesteps < config.steps:
            model.learn(config.steps - model.num_timesteps, keeper, reset_num_timesteps=not model.num_timesteps)
    finally:
        venv.close()
    return folder


def _taught(config: PPOConfig, env: LightInteractionVectorEnv) -> tuple[EpisodeDataset, float]:
    """Episodes on known maps and the radius of success."""
    task = env.episodes.task
    if not isinstance(task, Navigation) or task.dataset is None:
        raise ValueError(f"cloning_steps={config.cloning_steps} needs a dataset that names its maps; allowed here: 0")
    return task.dataset, task.rules.success_radius


def _rollout_bytes(config: PPOConfig, env: LightInteractionVectorEnv) -> int:
    """Memory of the observations between two updates."""
    space = env.single_observation_space
    parts = space.spaces.values() if isinstance(space, spaces.Dict) else [space]
    size = sum(prod(part.shape or ()) * (part.dtype or np.dtype(np.float32)).itemsize for part in parts)
    return config.worlds * config.horizon * size


def _imitate(
    config: PPOConfig,
    policy: ActorCriticPolicy,
    moves: MacroActions,
    env: LightInteractionVectorEnv,
    keeper: _Keeper,
) -> int:
    """Clone the expert; returns the steps it took."""
    dataset, radius = _taught(config, env)
    steps = 0

    def told(entry: dict[str, Any]) -> None:
        nonlocal steps
        steps = int(entry.pop("steps"))
        keeper.note(steps, policy, entry)

    settings = CloningConfig(
        config.cloning_steps,
        config.worlds,
        config.horizon,
        max_episode_steps=config.max_episode_steps,
        seed=config.seed,
    )
    teacher = ShortestPathFollower(moves, dataset, _ARRIVAL * radius)
    clone(policy, moves, env.episodes, teacher, settings, told)
    return steps


class _Keeper(BaseCallback):
    """Writes the log after every update, snapshots now and then, and what a resumed training needs."""

    def __init__(
        self, config: PPOConfig, folder: Path, frames_per_step: int, on_update: Callable[[dict[str, Any]], None]
    ) -> None:
        super().__init__()
        self._config, self._folder, self._frames = config, folder, frames_per_step
        self._on_update, self._began, self._next = on_update, time.perf_counter(), 0

    def note(self, steps: int, policy: torch.nn.Module, entry: dict[str, Any]) -> None:
        """Add a line to the log, and a snapshot if it is time for one."""
        seconds = time.perf_counter() - self._began
        entry = {"steps": steps, "frames": steps * self._frames, "seconds": seconds, **entry}
        append_json(self._folder / "log.jsonl", entry)
        if steps >= self._next:
            store_policy(policy, self._folder / "snapshots" / f"{steps:09d}.safetensors")
            self._next = steps + max(1, self._config.steps // self._config.snapshots)
        self._on_update(entry)

    def _on_step(self) -> bool:
        return True

    def _on_training_start(self) -> None:
        self._next = max(self._next, self.num_timesteps)

    def _on_rollout_end(self) -> None:
        # The policy is that of the update before, which is what made the episodes in the log.
        recent = list(self.model.ep_info_buffer or [])
        means = {name: float(np.mean([info[key] for info in recent])) for key, name in _SHOWN.items() if recent}
        self.note(self.num_timesteps, self.model.policy, {"episodes": len(recent), **means})
        _save(self._folder, self._config, self.model.policy, self.num_timesteps)

    def _on_training_end(self) -> None:
        store_policy(self.model.policy, self._folder / "snapshots" / f"{self.num_timesteps:09d}.safetensors")
        _save(self._folder, self._config, self.model.policy, self.num_timesteps)


def _save(folder: Path, config: PPOConfig, policy: BasePolicy, steps: int) -> None:
    """What acting and going on need."""
    store_policy(policy, folder / POLICY)
    stored = io.BytesIO()  # the library's own error about a full disk says nothing
    torch.save(policy.optimizer.state_dict(), stored)
    with atomic_write(folder / "optimizer.pt") as temporary:
        temporary.write_bytes(stored.getbuffer())
    # Last: a training is resumable once this file is there.
    write_json(folder / "agent.json", {"agent": "ppo", "steps": steps, "config": asdict(config)})


def _load_optimizer(optimizer: torch.optim.Optimizer, path: Path, device: torch.device) -> None:
    """Fill the optimiser from a file; whatever is wrong with that becomes a ``ValueError`` that names it."""
    if not path.is_file():
        raise ValueError(f"{shown_path(path)} is not a file; allowed: what li-env train agent left there")
    try:
        optimizer.load_state_dict(torch.load(path, weights_only=True, map_location=device))
    except MemoryError:
        raise
    except Exception as error:
        raise ValueError(f"{shown_path(path)} is damaged: {shortened(error)}") from None


def _resumable(folder: Path, config: PPOConfig) -> int:
    """Steps that were made already; 0 in a new folder."""
    path = folder / "agent.json"
    if not path.is_file():
        return 0
    state = read_state(folder)
    if state["agent"] != "ppo":
        raise ValueError(
            f"out={shown(str(folder))} holds another kind of agent, {shortened(state['agent'])}; use another folder"
        )
    check_keys(f"{shown_path(path)}: config", state["config"], [item.name for item in fields(PPOConfig)])
    before = PPOConfig(**state["config"])
    expected = replace(before, steps=config.steps, snapshots=config.snapshots)  # these may change
    different = [name for name, value in asdict(expected).items() if value != getattr(config, name)]
    if different:
        raise ValueError(
            f"out={shown(str(folder))} holds an agent with another {', '.join(different)}; use another folder"
        )
    return check_whole(f"{shown_path(path)}: steps", state["steps"])
