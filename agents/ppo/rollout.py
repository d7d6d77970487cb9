"""Steps of the present policy, as the tensors that an update learns from."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from li_env.agents.ppo.macro_env import MacroActionEnvs, MacroStep, Observations
from li_env.agents.ppo.networks import Answer, NavigationNet

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

    With several groups of environments one waits for its frames while another is looked after: the host finishes a
    step, lets the policy choose, and begins the next step, whose chunks wait behind those of the other groups. The
    order of all draws is that of groups that step one after the other.

    Args:
        net: the policy.
        groups: environments that step together; groups share a world.
        gamma: discount.
        gae_lambda: trade-off between bias and variance of the advantages.
        reward_scale: factor of rewards.

    Attributes:
        ended: measures of the episodes that ended since the last look: ``return``, ``length`` and `WATCHED`.
    """

    def __init__(
        self,
        net: NavigationNet,
        groups: Sequence[MacroActionEnvs],
        gamma: float,
        gae_lambda: float,
        reward_scale: float,
    ) -> None:
        self._net, self._gamma, self._lambda = net, gamma, gae_lambda
        self.ended: list[dict[str, float]] = []
        self._groups = [_Group(net, envs, gamma, reward_scale, self.ended) for envs in groups]

    def begin(self, seed: int) -> None:
        """Begin an episode in every environment."""
        for number, group in enumerate(self._groups):
            group.begin(seed + number)

    @torch.no_grad()
    def collect(self, steps: int, generator: torch.Generator) -> Rollout:
        """Play ``steps`` steps in every environment; actions are drawn from ``generator``."""
        hidden = torch.cat([group.hidden for group in self._groups])
        columns: dict[str, torch.Tensor] = {}
        parts = list(self._parts(columns, steps))
        with _no_garbage_collection():
            for step in range(steps):
                for group, part in zip(self._groups, parts, strict=True):
                    if step:
                        part(step - 1, group.receive())
                    part(step, group.act(generator))
            for group, part in zip(self._groups, parts, strict=True):
                part(steps - 1, group.receive())
        after = torch.cat([group.value() for group in self._groups])
        rewards, ends = columns.pop("rewards"), columns.pop("ends")
        own = {name: columns.pop(name) for name in ("starts", "indices", "log_probs", "values", "bumps")}
        advantages = estimate_advantages(rewards, own["values"], after, ends, self._gamma, self._lambda)
        return Rollout(observations=columns, hidden=hidden, advantages=advantages, **own)

    def _parts(
        self, columns: dict[str, torch.Tensor], steps: int
    ) -> Iterator[Callable[[int, Mapping[str, torch.Tensor]], None]]:
        """Yield for every group a function that writes what it gives in a step into ``columns`` [T, B, ...]."""
        total, first = sum(group.size for group in self._groups), 0

        def write(rows: slice, step: int, values: Mapping[str, torch.Tensor]) -> None:
            for name, each in values.items():
                if name not in columns:
                    columns[name] = each.new_empty((steps, total, *each.shape[1:]))
                columns[name][step, rows] = each

        for group in self._groups:
            yield partial(write, slice(first, first + group.size))
            first += group.size


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Keep Python's collector away: it would look at the objects of all episodes again and again, and find nothing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _Group:
    """Environments that step together, and where their episodes are."""

    def __init__(
        self,
        net: NavigationNet,
        envs: MacroActionEnvs,
        gamma: float,
        reward_scale: float,
        ended: list[dict[str, float]],
    ) -> None:
        self._net, self._envs, self._gamma, self._scale, self._ended = net, envs, gamma, reward_scale, ended
        self.size = envs.num_envs
        self._returns, self._lengths = np.zeros(self.size), np.zeros(self.size, dtype=int)
        self._seen: Observations = {}
        self.hidden, self._starts = net.start(self.size), torch.ones(self.size, device=net.device)

    def begin(self, seed: int) -> None:
        """Begin an episode in every environment."""
        self._seen = self._envs.reset(seed)
        self._returns[:], self._lengths[:] = 0, 0
        self.hidden, self._starts = self._net.start(self.size), torch.ones_like(self._starts)

    def act(self, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """Choose actions and begin a step; returns what the policy saw and said."""
        answer = self._answer(self._seen, self._starts)
        chances = torch.log_softmax(answer.logits[0], -1)
        indices = torch.multinomial(chances.exp(), 1, generator=generator)
        self._envs.step_async(indices[:, 0])
        self.hidden = answer.hidden
        said = {"indices": indices[:, 0], "log_probs": chances.gather(1, indices)[:, 0], "values": answer.values[0]}
        return {**self._seen, "starts": self._starts, **said}

    def receive(self) -> dict[str, torch.Tensor]:
        """Finish the step and begin new episodes in the places of those that ended; returns what the step gave."""
        step = self._envs.step_wait()
        self._starts = step.ended.float()
        rewards = step.rewards * self._scale + self._gamma * self._beyond(step)
        self._seen = self._next(step)
        return {"bumps": step.bumps, "rewards": rewards, "ends": self._starts}

    def value(self) -> torch.Tensor:
        """Return the value [n] of where the episodes are."""
        return self._answer(self._seen, self._starts).values[0]

    def _answer(self, seen: Observations, starts: torch.Tensor) -> Answer:
        answer: Answer = self._net({name: each[None] for name, each in seen.items()}, self.hidden, starts[None])
        return answer

    def _beyond(self, step: MacroStep) -> torch.Tensor:
        """Return the value [n] of what would come after episodes that were cut, 0 elsewhere."""
        cut = step.ended & ~step.terminated
        if not bool(cut.any()):
            return torch.zeros_like(step.rewards)
        values = self._answer(step.observations, torch.zeros_like(self._starts)).values[0]
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
            self._ended.append({"return": float(self._returns[row]), "length": float(self._lengths[row]), **measures})
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
