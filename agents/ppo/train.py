"""PPO (Stable-Baselines3) on pixels and the goal sensor, in any world: train, go on, store, act.

A trained agent is a folder: ``agent.json`` (how it was trained and how far), ``policy.safetensors``, ``optimizer.pt``
(tensors only), ``log.jsonl``, and ``snapshots/`` with the policy along the way.
"""

from __future__ import annotations

import io
from collections.abc import Callable
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
from li_env.agents.constants import ARRIVAL
from li_env.agents.macro_actions import STOP, MacroActions
from li_env.agents.ppo.config import CloningConfig, PPOConfig
from li_env.agents.ppo.dagger import clone
from li_env.agents.ppo.macro_env import MacroActionVecEnv
from li_env.agents.ppo.policy import POLICY, load_policy, policy_arguments, store_policy
from li_env.agents.run_folder import RunFolder
from li_env.agents.scripted.shortest_path import ShortestPathFollower
from li_env.sb3 import SB3VecEnv
from li_env.tasks import EpisodeDataset
from li_env.tasks.navigation import Navigation
from li_env.validation import shortened, shown_path
from li_env.vector_env import LightInteractionVectorEnv
from li_env.worlds.common.checkpoints import check_memory

_RARELY = -3.0  # logit of stop before any training: about one step in 160
_CHANGE = 0.03  # of the policy in one update, which ends when it is reached: a cloned policy has an untrained critic

OPTIMIZER = "optimizer.pt"
"""Name of the optimiser's state in the folder."""

WATCHED = ("success", "spl", "soft_spl")
"""Measures of ended episodes that the log shows."""

_SHOWN = {"r": "return", "l": "length", **{name: name for name in WATCHED}}


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
    run = RunFolder(out, "ppo", config, (POLICY, OPTIMIZER))
    done = run.steps_done(may_change=("steps", "snapshots"))
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
    run.begin(done, inner.world.spec.step_frames)
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
        tensorboard_log=str(run.path / "tensorboard") if find_spec("tensorboard") else None,
        # Another seed for what follows an interruption: the same episodes again would be learned twice.
        seed=config.seed + done,
        device=device,
    )
    policy = model.policy
    keeper = _Keeper(config, run, on_update)
    if done:
        load_policy(model.policy, run.path / POLICY)
        _load_optimizer(model.policy.optimizer, run.path / OPTIMIZER, model.device)
        model.num_timesteps = done
    elif moves.table.shape[0] > STOP:
        # An agent that stops by chance never learns where walking leads.
        with torch.no_grad():
            policy.action_net.get_parameter("bias")[STOP] = _RARELY
    try:
        if not done and config.cloning_steps:
            model.num_timesteps = _imitate(config, policy, moves, inner, keeper)
            _save(run, policy, model.num_timesteps)
        if model.num_timesteps < config.steps:
            model.learn(config.steps - model.num_timesteps, keeper, reset_num_timesteps=not model.num_timesteps)
    finally:
        venv.close()
    return run.path


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
    teacher = ShortestPathFollower(moves, dataset, ARRIVAL * radius)
    clone(policy, moves, env.episodes, teacher, settings, told)
    return steps


class _Keeper(BaseCallback):
    """Writes the log after every update, snapshots now and then, and what a resumed training needs."""

    def __init__(self, config: PPOConfig, run: RunFolder, on_update: Callable[[dict[str, Any]], None]) -> None:
        super().__init__()
        self._run, self._on_update, self._next = run, on_update, 0
        self._every = max(1, config.steps // config.snapshots)

    def note(self, steps: int, policy: torch.nn.Module, entry: dict[str, Any]) -> None:
        """Add a line to the log, and a snapshot if it is time for one."""
        entry = self._run.note(steps, entry)
        if steps >= self._next:
            store_policy(policy, self._run.snapshot(steps))
            self._next = steps + self._every
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
        _save(self._run, self.model.policy, self.num_timesteps)

    def _on_training_end(self) -> None:
        store_policy(self.model.policy, self._run.snapshot(self.num_timesteps))
        _save(self._run, self.model.policy, self.num_timesteps)


def _save(run: RunFolder, policy: BasePolicy, steps: int) -> None:
    """Store what acting and going on need."""
    stored = io.BytesIO()  # the library's own error about a full disk says nothing
    torch.save(policy.optimizer.state_dict(), stored)
    with run.save(steps) as folder:
        store_policy(policy, folder / POLICY)
        (folder / OPTIMIZER).write_bytes(stored.getbuffer())


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
