"""Behaviour cloning of a teacher inside a world, on the states that the learner itself gets into.

Dataset aggregation (Ross et al. 2011, arXiv 1011.0686): the learner plays, the teacher labels every state, and the
learner fits all labels so far. In the first round the teacher plays. Three things make the labels go further. Half of
the batches are mirrored, because left and right are alike in these tasks. Colours are changed at random, because
textures say nothing about clearances. And the features also learn to predict clearances, if the teacher knows them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from li_env import View
from li_env.agents.base import Label, Teacher
from li_env.agents.macro_actions import MacroActions
from li_env.agents.ppo.action_history import add_action, history_of, with_history
from li_env.agents.ppo.config import CloningConfig
from li_env.agents.ppo.mirror import mirrored
from li_env.agents.ppo.networks import GAINS, Answer, NavigationNet
from li_env.agents.ppo.policy import PolicyAgent, stack_observations
from li_env.agents.rounds import Rounds
from li_env.rollouts import Environment

_DECAY = 1e-3  # weight decay
_GAINS = (0.6, 1.4)  # brightness of each colour
_MICRO_BATCH = 1024  # states whose agreement is computed in one call


def clone(
    policy: NavigationNet,
    macro_actions: MacroActions,
    env: Environment,
    teacher: Teacher,
    config: CloningConfig,
    on_round: Callable[[dict[str, Any]], None] = lambda entry: None,
) -> None:
    """Train ``policy`` in place to act as the teacher does.

    Args:
        policy: network of `li_env.agents.ppo.policy.build_policy` without a memory, on the device to train on.
        macro_actions: macro actions of the action space.
        env: environment that steps the episodes.
        teacher: labels every state.
        config: settings.
        on_round: called after every round with ``steps``, ``loss`` and ``agreement``: the share of the round's states
            in which the learner, before it learns from them, would most likely do what the teacher does.
    """
    rounds = Rounds(env, config.worlds, config.max_episode_steps, config.seed)
    learner = LabelLearner(policy, macro_actions, config)
    observations: list[dict[str, np.ndarray]] = []
    indices: list[np.ndarray] = []
    clearances: list[np.ndarray] = []
    for index in range(max(1, config.steps // (config.worlds * config.horizon))):
        student = None if index == 0 else PolicyAgent(policy.eval(), macro_actions)
        collector = _Collector(macro_actions, teacher, student)
        rounds.play(collector.act, (index + 1) * config.worlds * config.horizon)
        observations.append(_joined(collector.observations))
        indices.append(np.array([label.macro_action for label in collector.labels]))
        clearances.append(np.stack([label.clearances for label in collector.labels]).astype(np.float32))
        agreement = _agreement(policy, observations[-1], indices[-1])
        loss = learner.fit(_joined(observations), np.concatenate(indices), np.concatenate(clearances))
        on_round({"steps": rounds.steps, "loss": loss, "agreement": agreement})
    policy.eval()


class _Collector:
    """Agent that keeps the teacher's label of every state; the teacher plays where there is no student.

    Attributes:
        observations: observations of the states, one batch per step.
        labels: labels of the states, one per state.
    """

    def __init__(self, macro_actions: MacroActions, teacher: Teacher, student: PolicyAgent | None) -> None:
        self._macro_actions, self._teacher, self._student = macro_actions, teacher, student
        self.observations: list[dict[str, np.ndarray]] = []
        self.labels: list[Label] = []

    def act(self, views: Sequence[View]) -> tuple[list[np.ndarray], list[Any]]:
        """Answer every view; the agent state is a history of `li_env.agents.ppo.action_history`."""
        histories = [history_of(view, self._macro_actions) for view in views]
        labels = [self._teacher.label(view) for view in views]
        seen = [with_history(view.observation, history) for view, history in zip(views, histories, strict=True)]
        if self._student is None:
            indices = [label.macro_action for label in labels]
        else:
            indices = self._student.choose(seen, views)[0].tolist()
        self.observations.append(stack_observations(seen))
        self.labels += labels
        return self._macro_actions.actions(indices), [
            add_action(*each) for each in zip(histories, seen, indices, strict=True)
        ]


def _joined(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _agreement(policy: NavigationNet, observations: dict[str, np.ndarray], indices: np.ndarray) -> float:
    """Return the share of states in which the policy's most likely macro action is the label's."""
    same = 0
    for first in range(0, len(indices), _MICRO_BATCH):
        part = {name: array[first : first + _MICRO_BATCH] for name, array in observations.items()}
        with torch.inference_mode():
            likeliest = _answer(policy, _tensors(part, policy.device)).logits[0].argmax(-1).cpu().numpy()
        same += int((likeliest == indices[first : first + _MICRO_BATCH]).sum())
    return same / len(indices)


class LabelLearner:
    """Optimiser of a policy on labels."""

    def __init__(self, policy: NavigationNet, macro_actions: MacroActions, config: CloningConfig) -> None:
        self._policy, self._config = policy, config
        self._other = macro_actions.mirrored()
        self._rng = np.random.default_rng([config.seed, 1])
        self._clearance_head: torch.nn.Linear | None = None
        self._optimiser = torch.optim.AdamW(policy.parameters(), config.learning_rate, weight_decay=_DECAY)

    def fit(self, observations: dict[str, np.ndarray], indices: np.ndarray, clearances: np.ndarray) -> float:
        """Fit all labels and return the mean cross entropy of the macro actions in the last epoch."""
        policy, config, losses = self._policy, self._config, [0.0]
        if clearances.shape[1] and self._clearance_head is None:
            self._clearance_head = torch.nn.Linear(policy.value.in_features, clearances.shape[1]).to(policy.device)
            self._optimiser.add_param_group({"params": list(self._clearance_head.parameters())})
        policy.train()
        for _ in range(config.epochs):
            order, losses = self._rng.permutation(len(indices)), []
            for first in range(0, len(order), config.batch_size):
                rows = order[first : first + config.batch_size]
                batch = _tensors({name: array[rows] for name, array in observations.items()}, policy.device)
                target, lengths = indices[rows], clearances[rows]
                if self._rng.random() < 0.5:
                    other = torch.as_tensor(self._other, device=policy.device)
                    batch, target = mirrored(batch, other), self._other[target]
                    lengths = lengths[:, ::-1].copy()
                losses.append(self._step(batch, target, lengths))
        return float(np.mean(losses))

    def _step(self, batch: dict[str, torch.Tensor], indices: np.ndarray, clearances: np.ndarray) -> float:
        policy = self._policy
        gains = self._rng.uniform(*_GAINS, (len(indices), 3)).astype(np.float32)
        seen = {**batch, GAINS: torch.as_tensor(gains, device=policy.device)}
        logits = _answer(policy, seen).logits[0]
        loss = torch.nn.functional.cross_entropy(logits, torch.as_tensor(indices, device=policy.device))
        total = loss
        if self._clearance_head is not None:
            target = torch.as_tensor(clearances, device=policy.device)
            lengths = self._clearance_head(policy.features(seen))
            total = loss + torch.nn.functional.smooth_l1_loss(lengths, target, beta=0.1)
        self._optimiser.zero_grad()
        total.backward()
        self._optimiser.step()
        return float(loss.detach())


def _tensors(observations: dict[str, np.ndarray], device: torch.device) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array).to(device) for name, array in observations.items()}


def _answer(policy: NavigationNet, seen: dict[str, torch.Tensor]) -> Answer:
    """Answer states [n, ...] that have nothing to do with each other, as n episodes of one step."""
    count = len(next(iter(seen.values())))
    starts = torch.ones(1, count, device=policy.device)
    return policy({name: each[None] for name, each in seen.items()}, policy.start(count), starts)
