"""Behaviour cloning of a teacher inside a world, on the states that the learner itself gets into.

Dataset aggregation (Ross et al. 2011, arXiv 1011.0686): the learner plays, the teacher says what it would have done,
and the learner fits all answers so far. In the first round the teacher plays itself. Three things make the answers go
further. Half of them are seen in a mirror, since left and right are alike in these tasks. Colours are changed at
random, since textures say nothing about ways. And the eye also learns to tell how far one could walk along rays of the
view, if the teacher knows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.policies import ActorCriticPolicy

from li_env.agents.base import Label, Teacher
from li_env.agents.macro_actions import MacroActions
from li_env.agents.ppo.action_history import HISTORY, mirrored_history, no_memory, recall, remember
from li_env.agents.ppo.config import CloningConfig
from li_env.agents.ppo.policy import PolicyAgent, stack_observations
from li_env.agents.rounds import Rounds
from li_env.episodes import EpisodeRunner
from li_env.rollouts import View

_DECAY = 1e-3
_GAINS = (0.6, 1.4)  # of each colour


def clone(
    policy: ActorCriticPolicy,
    moves: MacroActions,
    rules: EpisodeRunner,
    teacher: Teacher,
    config: CloningConfig,
    on_round: Callable[[dict[str, Any]], None] = lambda entry: None,
) -> None:
    """Teach ``policy`` in place.

    Args:
        policy: of `li_env.agents.ppo.train.build_policy`, on the device to train on.
        moves: of the action space.
        rules: the world and its task.
        teacher: asked about every state.
        config: see there.
        on_round: called after every round with ``steps``, ``loss`` and ``agreement`` (share of states in which the
            learner, before it learns from the round, would most likely do what the teacher does).
    """
    play = Rounds(rules, config.worlds, config.max_episode_steps, config.seed)
    learner = _Learner(policy, moves, config)
    observations: list[dict[str, np.ndarray]] = []
    answers: list[np.ndarray] = []
    rays: list[np.ndarray] = []
    rounds = max(1, config.steps // (config.worlds * config.horizon))
    for index in range(rounds):
        student = None if index == 0 else PolicyAgent(policy.eval(), moves)
        school = _School(moves, teacher, student)
        play.play(school.act, (index + 1) * config.worlds * config.horizon)
        seen, lessons = _joined(school.seen), school.lessons
        told = np.array([lesson.move for lesson in lessons])
        agreement = _agreement(policy, seen, told)
        observations.append(seen)
        answers.append(told)
        rays.append(np.stack([lesson.rays for lesson in lessons]).astype(np.float32))
        loss = learner.fit(_joined(observations), np.concatenate(answers), np.concatenate(rays))
        on_round({"steps": play.steps, "loss": loss, "agreement": agreement})
    policy.eval()


class _School:
    """Plays and keeps what the teacher says of every state; the teacher plays where there is no student.

    Attributes:
        seen: observations of the states met, one batch per step.
        lessons: what the teacher says there, one per state.
    """

    def __init__(self, moves: MacroActions, teacher: Teacher, student: PolicyAgent | None) -> None:
        self._moves, self._teacher, self._student = moves, teacher, student
        self.seen: list[dict[str, np.ndarray]] = []
        self.lessons: list[Label] = []

    def act(self, views: Sequence[View]) -> tuple[list[np.ndarray], list[Any]]:
        """Answer as `li_env.agents.base.Agent` does; the memory is that of `li_env.agents.ppo.action_history`."""
        memories = [
            no_memory(self._moves) if view.memory is None else recall(view.memory, view.info["blocked"])
            for view in views
        ]
        lessons = [self._teacher.label(view) for view in views]
        taught = [lesson.move for lesson in lessons]
        made = taught if self._student is None else self._student.choose(views).tolist()
        shown: list[dict[str, Any]] = [
            {**view.observation, HISTORY: memory.ravel()} for view, memory in zip(views, memories, strict=True)
        ]
        self.seen.append(stack_observations(shown))
        self.lessons += lessons
        return self._moves.actions(made), [remember(*each) for each in zip(memories, shown, made, strict=True)]


def _joined(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _agreement(policy: ActorCriticPolicy, seen: dict[str, np.ndarray], told: np.ndarray) -> float:
    same = 0
    for first in range(0, len(told), 1024):
        part = {name: array[first : first + 1024] for name, array in seen.items()}
        with torch.inference_mode():
            tensors, _ = policy.obs_to_tensor(part)
            guesses = policy.get_distribution(tensors).mode().cpu().numpy()
        same += int((guesses == told[first : first + 1024]).sum())
    return same / len(told)


class _Learner:
    """Fits a policy to lessons."""

    def __init__(self, policy: ActorCriticPolicy, moves: MacroActions, config: CloningConfig) -> None:
        self._policy, self._moves, self._config = policy, moves, config
        self._rng = np.random.default_rng([config.seed, 1])
        self._rays: torch.nn.Linear | None = None
        self._optimiser = torch.optim.AdamW(policy.parameters(), config.learning_rate, weight_decay=_DECAY)

    def fit(self, seen: dict[str, np.ndarray], told: np.ndarray, rays: np.ndarray) -> float:
        """Mean cross entropy of the moves in the last epoch."""
        policy, config, losses = self._policy, self._config, [0.0]
        if rays.shape[1] and self._rays is None:
            self._rays = torch.nn.Linear(policy.features_dim, rays.shape[1]).to(policy.device)
            self._optimiser.add_param_group({"params": list(self._rays.parameters())})
        policy.train()
        for _ in range(config.epochs):
            order, losses = self._rng.permutation(len(told)), []
            for first in range(0, len(order), config.batch_size):
                rows = order[first : first + config.batch_size]
                batch, moves, free = {name: array[rows] for name, array in seen.items()}, told[rows], rays[rows]
                if self._rng.random() < 0.5:
                    batch, moves = _mirror(batch, self._moves), self._moves.mirrored()[moves]
                    free = free[:, ::-1].copy()
                losses.append(self._step(batch, moves, free))
        return float(np.mean(losses))

    def _step(self, batch: dict[str, np.ndarray], moves: np.ndarray, rays: np.ndarray) -> float:
        policy = self._policy
        tensors, _ = policy.obs_to_tensor({name: np.ascontiguousarray(array) for name, array in batch.items()})
        assert isinstance(tensors, dict)
        gains = self._rng.uniform(*_GAINS, (len(moves), 3, 1, 1)).astype(np.float32)
        tensors["rgb"] = tensors["rgb"].float() * torch.as_tensor(gains, device=policy.device)
        features = policy.extract_features(tensors)
        assert isinstance(features, torch.Tensor)
        chances = policy.action_net(policy.mlp_extractor.forward_actor(features))
        loss = torch.nn.functional.cross_entropy(chances, torch.as_tensor(moves, device=policy.device))
        total = loss
        if self._rays is not None:
            target = torch.as_tensor(rays, device=policy.device)
            total = loss + torch.nn.functional.smooth_l1_loss(self._rays(features), target, beta=0.1)
        self._optimiser.zero_grad()
        total.backward()
        self._optimiser.step()
        return float(loss.detach())


def _mirror(batch: dict[str, np.ndarray], moves: MacroActions) -> dict[str, np.ndarray]:
    """Frames [n, 3, H, W], the bearing of the goal and the history, left and right exchanged."""
    turned = {name: array[..., ::-1] for name, array in batch.items() if array.ndim == 4}
    if "pointgoal" in batch:
        turned["pointgoal"] = batch["pointgoal"] * np.array([1, -1], np.float32)
    return {**turned, HISTORY: mirrored_history(batch[HISTORY], moves)}
