"""PPO on frames and sensors, policy and world on one device; an interrupted training can be resumed.

A trained agent is a `RunFolder`: ``agent.json``, ``policy.safetensors``, ``optimizer.safetensors``, ``log.jsonl``, and
``snapshots/`` with the policy along the training.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import inf, prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium.vector import AutoresetMode

from li_env import BaseWorld, EpisodeDataset, LightInteractionVectorEnv
from li_env.agents.base import ACTION_SPACE
from li_env.agents.macro_actions import MacroActions
from li_env.agents.ppo.checkpoint import OPTIMIZER, load_training, save_training
from li_env.agents.ppo.config import CloningConfig, PPOConfig
from li_env.agents.ppo.dagger import clone
from li_env.agents.ppo.learner import PPOLearner
from li_env.agents.ppo.macro_env import MacroActionEnvs
from li_env.agents.ppo.networks import NavigationNet
from li_env.agents.ppo.policy import POLICY, build_policy, policy_space, store_policy
from li_env.agents.ppo.rollout import Collector
from li_env.agents.run_folder import RunFolder
from li_env.agents.scripted.shortest_path import ShortestPathFollower, follower_of
from li_env.device_memory import check_memory
from li_env.validation import shown
from li_env.worlds import resolve_device


def train(
    config: PPOConfig,
    out: str | Path,
    dataset: str | Path | EpisodeDataset | None = None,
    world: BaseWorld | None = None,
    device: str = "auto",
    on_update: Callable[[dict[str, Any]], None] = lambda entry: None,
    max_seconds: float = inf,
) -> Path:
    """Train into folder ``out`` and return it, or resume an interrupted training there.

    A training that was interrupted gives bit for bit the agent of one that was not, if device and software are the same
    and compute reproducibly (a CPU with one thread does).

    Args:
        config: settings of the training.
        out: folder, made if needed.
        dataset: navigation episodes; the world's own by default.
        world: loaded world to use instead of loading ``config.world``.
        device: device of the world and the policy: ``auto``, ``cpu`` or ``cuda``.
        on_update: called with every line of the log.
        max_seconds: seconds after which the training ends at its next save, to be resumed later.

    Raises:
        ValueError: ``out`` holds an agent of another configuration, the episodes name no maps to imitate in, the
            environment refuses an argument, or the training degenerates (the last agent that was saved is kept).
    """
    began = time.monotonic()
    run = RunFolder(out, "ppo", config, (POLICY, OPTIMIZER))
    done = run.steps_done(may_change=("steps", "snapshots"))
    if done >= config.steps:
        return run.path
    envs = _open(config, dataset, world, device)
    env = envs[0]
    macro_actions = MacroActions(env.single_action_space, env.task.can_stop)
    teacher = _teacher(config, env, macro_actions) if config.cloning_steps and not done else None
    target = torch.device(resolve_device(device))
    check_memory("the steps of an update", _rollout_bytes(config, env), target)
    torch.manual_seed(config.seed)
    net = build_policy(env.single_observation_space, macro_actions, config.recurrent, config.symmetric).to(target)
    run.begin(done, env.world.spec.step_frames)
    training = _Training(config, run, net, envs, macro_actions, on_update)
    try:
        if done:
            load_training(run, net, training.learner.optimizer)
        elif teacher is not None:
            done = training.imitate(teacher)
        with _urgent(target):
            training.run(done, began + max_seconds)
    finally:
        for each in envs:
            each.close()
    return run.path


class _Training:
    """One training: imitation, then updates until all steps are played."""

    def __init__(
        self,
        config: PPOConfig,
        run: RunFolder,
        net: NavigationNet,
        envs: Sequence[LightInteractionVectorEnv],
        macro_actions: MacroActions,
        on_update: Callable[[dict[str, Any]], None],
    ) -> None:
        self._config, self._run, self._net, self._env = config, run, net, envs[0]
        self._macro_actions, self._on_update = macro_actions, on_update
        self.learner = PPOLearner(net, config)
        groups = [MacroActionEnvs(env, macro_actions, net.device, config.colours) for env in envs]
        self._collector = Collector(net, groups, config.gamma, config.gae_lambda, config.reward_scale)

    def imitate(self, teacher: ShortestPathFollower) -> int:
        """Clone the teacher and return the environment steps that this took."""
        config, steps = self._config, 0

        def note(entry: dict[str, Any]) -> None:
            nonlocal steps
            before, steps = steps, int(entry.pop("steps"))
            self._note(before, steps, entry)

        settings = CloningConfig(
            config.cloning_steps,
            config.worlds,
            config.horizon,
            max_episode_steps=config.max_episode_steps,
            seed=config.seed,
        )
        clone(self._net, self._macro_actions, self._env, teacher, settings, note)
        save_training(self._run, self._net, self.learner.optimizer, steps)
        return steps

    def run(self, steps: int, deadline: float) -> None:
        """Learn from reward, from step number ``steps`` on, until all are done or the clock shows ``deadline``.

        Raises:
            ValueError: the training degenerates.
        """
        config, saved = self._config, steps
        size = config.worlds * config.horizon
        while steps < config.steps and time.monotonic() < deadline:
            # Nothing but weights, moments and the number of steps crosses this line: a resumed training begins here.
            seed = int(np.random.default_rng([config.seed, steps]).integers(2**31 - 1))
            draws = torch.Generator(self._net.device).manual_seed(seed)
            order = torch.Generator().manual_seed(seed)
            self._collector.begin(seed)
            for _ in range(config.saves):
                rollout = self._collector.collect(config.horizon, draws)
                try:
                    losses = self.learner.update(rollout, steps / config.steps, order)
                except FloatingPointError as error:
                    kept = (
                        f"{shown(str(self._run.path))} keeps the agent of step {saved}" if saved else "nothing is kept"
                    )
                    raise ValueError(
                        f"the training degenerates at step {steps}: {error}; {kept}; try a lower learning_rate than "
                        f"{config.learning_rate}"
                    ) from None
                before, steps = steps, steps + size
                self._note(before, steps, {**_means(self._collector.ended), **losses})
                self._collector.ended.clear()
                if steps >= config.steps:
                    break
            save_training(self._run, self._net, self.learner.optimizer, steps)
            saved = steps

    def _note(self, before: int, steps: int, entry: dict[str, Any]) -> None:
        """Add a line to the log, and a snapshot if one is due between ``before`` and ``steps``."""
        every = max(1, self._config.steps // self._config.snapshots)
        if before // every < steps // every or steps >= self._config.steps:
            store_policy(self._net, self._run.snapshot(steps))
        self._on_update(self._run.note(steps, entry))


def _open(
    config: PPOConfig, dataset: str | Path | EpisodeDataset | None, world: BaseWorld | None, device: str
) -> list[LightInteractionVectorEnv]:
    """Open an environment per group; all of them share a world, its scans and the task."""
    found: list[LightInteractionVectorEnv] = []
    shared: dict[str, Any] = {
        "world": config.world if world is None else world,
        "task": config.task,
        "dataset": dataset,
        "scans": config.scans or None,
    }
    for size in config.groups:
        found.append(
            LightInteractionVectorEnv(
                size,
                max_episode_steps=config.max_episode_steps,
                autoreset_mode=AutoresetMode.DISABLED,
                device_obs=True,
                preset=config.preset,
                action_space=ACTION_SPACE,
                observation="frame",
                device=device,
                **shared,
            )
        )
        first = found[0]
        shared = {"world": first.world, "task": first.task, "scans": first.runner.scans.own or None}
    return found


@contextmanager
def _urgent(device: torch.device) -> Iterator[None]:
    """Let a GPU do the work inside the ``with`` statement before that of chunks: the host waits for its answers."""
    if device.type != "cuda":
        yield
        return
    usual, urgent = torch.cuda.current_stream(device), torch.cuda.Stream(device, priority=-1)
    urgent.wait_stream(usual)
    with torch.cuda.stream(urgent):
        yield
    usual.wait_stream(urgent)


def _means(ended: list[dict[str, float]]) -> dict[str, float]:
    """Return the number of episodes and the means of their measures."""
    names = ended[0] if ended else {}
    return {"episodes": len(ended), **{name: float(np.mean([each[name] for each in ended])) for name in names}}


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
    """Return the bytes that the observations of an update take."""
    parts = policy_space(env.single_observation_space).spaces.values()
    size = sum(prod(part.shape or ()) * (part.dtype or np.dtype(np.float32)).itemsize for part in parts)
    return config.worlds * config.horizon * size
