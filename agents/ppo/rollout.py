"""Steps of the present policy, as the tensors that an update learns from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from li_env.agents.ppo.macro_env import MacroActionEnvs, MacroStep, Observations
from li_env.agents.ppo.networks import NavigationNet

WATCHED = ("success", "spl", "soft_spl", "distance_to_goal", "seen_area", "collisions")
"""Measures of ended episodes that the log shows, as far as the task has them."""


@dataclass(frozen=True, eq=False)
class Rollout:
    """T steps of B environments.

    Attributes:
        observations: [T, B, ...] by key.
        starts: [T, B], 1 where a step is the first of its episode.
        hidden: [B, numbers], the memory before the first step.
        indices: int64 [T, B], the macro actions taken.
        log_probs: [T, B], of the macro actions.
        values: [T, B].
        bumps: [T, B], the share of the motion that walls refused.
        advantages: [T, B].
    """

    observations: Observations
    starts: torch.Tensor
    hidden: torch.Tensor
    indices: torch.Tensor
    log_probs: torch.Tensor
    values: torch.Tensor
    bumps: torch.Tensor
    advantages: torch.Tensor


class Collector:
    """Player of the episodes of a training; keeps its place between two rollouts.

    Args:
        net: the policy.
        envs: episodes.
        gamma: discount.
        gae_lambda: trade-off between bias and variance of the advantages.
        reward_scale: factor of rewards.

    Attributes:
        ended: measures of the episodes that ended since the last look: ``return``, ``length`` and `WATCHED`.
    """

    def __init__(
        self, net: NavigationNet, envs: MacroActionEnvs, gamma: float, gae_lambda: float, reward_scale: float
    ) -> None:
        self._net, self._envs, self._gamma, self._lambda, self._scale = net, envs, gamma, gae_lambda, reward_scale
        self.ended: list[dict[str, float]] = []
        self._returns, self._lengths = np.zeros(envs.num_envs), np.zeros(envs.num_envs, dtype=int)
        self._seen: Observations = {}
        self._hidden, self._starts = net.start(envs.num_envs), torch.ones(envs.num_envs, device=net.device)

    def begin(self, seed: int) -> None:
        """Begin an episode in every environment."""
        self._seen = self._envs.reset(seed)
        self._returns[:], self._lengths[:] = 0, 0
        self._hidden, self._starts = self._net.start(self._envs.num_envs), torch.ones_like(self._starts)

    @torch.no_grad()
    def collect(self, steps: int, generator: torch.Generator) -> Rollout:
        """Play ``steps`` steps in every environment; actions are drawn from ``generator``."""
        hidden = self._hidden
        observations: dict[str, list[torch.Tensor]] = {name: [] for name in self._seen}
        names = ("starts", "indices", "log_probs", "values", "bumps", "rewards", "ends")
        columns: dict[str, list[torch.Tensor]] = {name: [] for name in names}
        for _ in range(steps):
            starts, answer = self._starts, self._answer(self._seen)
            chances = torch.log_softmax(answer.logits[0], -1)
            indices = torch.multinomial(chances.exp(), 1, generator=generator)
            for name, each in self._seen.items():
                observations[name].append(each)
            self._hidden = answer.hidden
            step = self._envs.step(indices[:, 0])
            self._starts = step.ended.float()
            rewards = step.rewards * self._scale + self._gamma * self._beyond(step)
            log_probs = chances.gather(1, indices)[:, 0]
            made = (starts, indices[:, 0], log_probs, answer.values[0], step.bumps, rewards, self._starts)
            for name, each in zip(names, made, strict=True):
                columns[name].append(each)
            self._seen = self._next(step)
        after = self._answer(self._seen).values[0]
        found = {name: torch.stack(column) for name, column in columns.items()}
        rewards, ends = found.pop("rewards"), found.pop("ends")
        advantages = estimate_advantages(rewards, found["values"], after, ends, self._gamma, self._lambda)
        seen = {name: torch.stack(column) for name, column in observations.items()}
        return Rollout(observations=seen, hidden=hidden, advantages=advantages, **found)

    def _answer(self, seen: Observations) -> Any:
        return self._net({name: each[None] for name, each in seen.items()}, self._hidden, self._starts[None])

    def _beyond(self, step: MacroStep) -> torch.Tensor:
        """Return the value [n] of what would come after episodes that were cut, 0 elsewhere."""
        cut = step.ended & ~step.terminated
        if not bool(cut.any()):
            return torch.zeros_like(step.rewards)
        seen = {name: each[None] for name, each in step.observations.items()}
        values = self._net(seen, self._hidden, torch.zeros_like(self._starts)[None]).values[0]
        return torch.where(cut, values, torch.zeros_like(values))

    def _next(self, step: MacroStep) -> Observations:
        """Note the episodes that ended and begin new ones in their places."""
        ended = step.ended.cpu().numpy()
        self._returns += step.rewards.cpu().numpy()
        self._lengths += 1
        if not ended.any():
            return step.observations
        names = [name for name in WATCHED if name in step.infos]
        for row in np.flatnonzero(ended).tolist():
            measures = {name: float(step.infos[name][row]) for name in names}
            self.ended.append({"return": float(self._returns[row]), "length": float(self._lengths[row]), **measures})
        self._returns[ended], self._lengths[ended] = 0, 0
        return self._envs.restart(ended)


def estimate_advantages(
    rewards: torch.Tensor,
    values: torch.Tensor,
    after: torch.Tensor,
    ends: torch.Tensor,
    gamma: float,
    gae_lambda: float,
) -> torch.Tensor:
    """Return generalised advantage estimates [T, B] (Schulman et al. 2016, arXiv 1506.02438).

    Args:
        rewards: [T, B]; a step that cuts an episode brings the discounted value of what would come after.
        values: [T, B], before each step.
        after: [B], the value after the last step.
        ends: [T, B], 1 where a step ends an episode.
        gamma: discount.
        gae_lambda: trade-off between bias and variance.
    """
    advantages, running = torch.zeros_like(rewards), torch.zeros_like(after)
    for step in reversed(range(len(rewards))):
        going = 1 - ends[step]
        error = rewards[step] + gamma * after * going - values[step]
        advantages[step] = running = error + gamma * gae_lambda * going * running
        after = values[step]
    return advantages
