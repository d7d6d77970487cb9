"""PPO training (Stable-Baselines3) on frames and the goal sensor, in any world; an interrupted training can be resumed.

A trained agent is a `RunFolder`: ``agent.json``, ``policy.safetensors``, ``optimizer.pt`` (tensors only),
``log.jsonl``, and ``snapshots/`` with the policy along the training.
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

from li_env import BaseWorld, EpisodeDataset, LightInteractionVectorEnv, SB3VecEnv
from li_env.agents.base import ACTION_SPACE
from li_env.agents.macro_actions import STOP, MacroActions
from li_env.agents.ppo.config import CloningConfig, PPOConfig
from li_env.agents.ppo.dagger import clone
from li_env.agents.ppo.macro_env import MacroActionVecEnv
from li_env.agents.ppo.policy import POLICY, load_policy, policy_arguments, store_policy
from li_env.agents.run_folder import RunFolder
from li_env.agents.scripted.shortest_path import ShortestPathFollower, follower_of
from li_env.device_memory import check_memory
from li_env.validation import shortened, shown_path

_STOP_LOGIT = -3.0  # before any training, so that the agent stops in about one step of 160
_TARGET_KL = 0.03  # divergence at which an update ends: a cloned policy has an untrained critic

OPTIMIZER = "optimizer.pt"
"""File name of the optimiser's state in an agent's folder."""

WATCHED = ("success", "spl", "soft_spl")
"""Measures of ended episodes that the log shows."""

_SHOWN = {"r": "return", "l": "length", **{name: name for name in WATCHED}}


def train(
    config: PPOConfig,
    out: str | Path,
    dataset: str | Path | EpisodeDataset | None = None,
    world: BaseWorld | None = None,
    device: str = "auto",
    on_update: Callable[[dict[str, Any]], None] = lambda entry: None,
) -> Path:
    """Train into folder ``out`` and return it, or resume an interrupted training there.

    A resumed training has the weights, the optimiser and the step count; its environments begin new episodes.

    Args:
        config: settings of the training.
        out: folder, made if needed.
        dataset: navigation episodes; the world's own by default.
        world: loaded world to use instead of loading ``config.world``.
        device: device of the world and the policy: ``auto``, ``cpu`` or ``cuda``.
        on_update: called with every line of the log.

    Raises:
        ValueError: ``out`` holds an agent of another configuration, the episodes name no maps to imitate in, or the
            environment refuses an argument.
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
    macro_actions = MacroActions(inner.single_action_space, inner.task.can_stop)
    teacher = _teacher(config, inner, macro_actions) if config.cloning_steps and not done else None
    check_memory("the steps of an update", _rollout_bytes(config, inner), torch.device("cpu"))
    run.begin(done, inner.world.spec.step_frames)
    venv: VecEnv = VecMonitor(MacroActionVecEnv(SB3VecEnv(inner), macro_actions), info_keywords=WATCHED)
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
        target_kl=_TARGET_KL,
        policy_kwargs=policy_arguments(),
        tensorboard_log=str(run.path / "tensorboard") if find_spec("tensorboard") else None,
        # Another seed after an interruption, so that no episode is learned twice.
        seed=config.seed + done,
        device=device,
    )
    policy = model.policy
    recorder = _Recorder(config, run, on_update)
    if done:
        load_policy(policy, run.path / POLICY)
        _load_optimizer(policy.optimizer, run.path / OPTIMIZER, model.device)
        model.num_timesteps = done
    elif macro_actions.table.shape[0] > STOP:
        # An agent that stops by chance never learns where walking leads.
        with torch.no_grad():
            policy.action_net.get_parameter("bias")[STOP] = _STOP_LOGIT
    try:
        if teacher is not None:
            model.num_timesteps = _imitate(config, policy, macro_actions, inner, teacher, recorder)
            _save(run, policy, model.num_timesteps)
        if model.num_timesteps < config.steps:
            model.learn(config.steps - model.num_timesteps, recorder, reset_num_timesteps=not model.num_timesteps)
    finally:
        venv.close()
    return run.path


def _teacher(config: PPOConfig, env: LightInteractionVectorEnv, macro_actions: MacroActions) -> ShortestPathFollower:
    """Make the teacher of the imitation.

    Raises:
        ValueError: the episodes name no maps.
    """
    teacher = follower_of(env.task, macro_actions)
    if teacher is None:
        raise ValueError(f"cloning_steps={config.cloning_steps} needs a dataset that names its maps; allowed here: 0")
    return teacher


def _rollout_bytes(config: PPOConfig, env: LightInteractionVectorEnv) -> int:
    """Return the bytes of RAM that the observations between two updates take."""
    space = env.single_observation_space
    parts = space.spaces.values() if isinstance(space, spaces.Dict) else [space]
    size = sum(prod(part.shape or ()) * (part.dtype or np.dtype(np.float32)).itemsize for part in parts)
    return config.worlds * config.horizon * size


def _imitate(
    config: PPOConfig,
    policy: ActorCriticPolicy,
    macro_actions: MacroActions,
    env: LightInteractionVectorEnv,
    teacher: ShortestPathFollower,
    recorder: _Recorder,
) -> int:
    """Clone the teacher and return the environment steps that this took."""
    steps = 0

    def note(entry: dict[str, Any]) -> None:
        nonlocal steps
        steps = int(entry.pop("steps"))
        recorder.note(steps, policy, entry)

    settings = CloningConfig(
        config.cloning_steps,
        config.worlds,
        config.horizon,
        max_episode_steps=config.max_episode_steps,
        seed=config.seed,
    )
    clone(policy, macro_actions, env, teacher, settings, note)
    return steps


class _Recorder(BaseCallback):
    """Callback that writes the log and the agent after every update, and snapshots now and then."""

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
        # The policy is still the one that made these episodes: SB3 updates it after this call.
        recent = list(self.model.ep_info_buffer or [])
        means = {name: float(np.mean([info[key] for info in recent])) for key, name in _SHOWN.items() if recent}
        self.note(self.num_timesteps, self.model.policy, {"episodes": len(recent), **means})
        _save(self._run, self.model.policy, self.num_timesteps)

    def _on_training_end(self) -> None:
        store_policy(self.model.policy, self._run.snapshot(self.num_timesteps))
        _save(self._run, self.model.policy, self.num_timesteps)


def _save(run: RunFolder, policy: BasePolicy, steps: int) -> None:
    """Store the policy and the optimiser's state."""
    stored = io.BytesIO()  # the library's own error about a full disk says nothing
    torch.save(policy.optimizer.state_dict(), stored)
    with run.save(steps) as folder:
        store_policy(policy, folder / POLICY)
        (folder / OPTIMIZER).write_bytes(stored.getbuffer())


def _load_optimizer(optimizer: torch.optim.Optimizer, path: Path, device: torch.device) -> None:
    """Fill the optimiser from a file.

    Raises:
        ValueError: no such file, or a damaged one; names it.
    """
    if not path.is_file():
        raise ValueError(f"{shown_path(path)} is not a file; allowed: what li-env train agent left there")
    try:
        optimizer.load_state_dict(torch.load(path, weights_only=True, map_location=device))
    except MemoryError:
        raise
    except Exception as error:
        raise ValueError(f"{shown_path(path)} is damaged: {shortened(error)}") from None
