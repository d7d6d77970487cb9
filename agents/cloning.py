"""Behaviour cloning of a teacher inside a world, on the states that the learner itself gets into.

Dataset aggregation (Ross et al. 2011, arXiv 1011.0686): the learner plays, the teacher says what it would have done,
and the learner fits all answers so far. In the first round the teacher plays itself. Half of what the learner fits is
seen in a mirror: left and right are alike in these tasks, which doubles the data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from stable_baselines3.common.policies import ActorCriticPolicy

from li_env.agents.agent import View
from li_env.agents.history import HISTORY, mirrored_history, no_memory, remember
from li_env.agents.moves import Moves
from li_env.agents.policy import PolicyAgent, stack_observations
from li_env.episodes import Episodes
from li_env.state import SavedState

_DECAY = 1e-3


class Teacher(Protocol):
    """Knows what to do."""

    def choose(self, view: View) -> int:
        """Index of the move to make."""
        ...


@dataclass(frozen=True)
class CloningConfig:
    """How long and how.

    Attributes:
        steps: environment steps in all, over all worlds.
        worlds: that step together.
        horizon: steps per world in a round.
        epochs: over all answers so far, in every round.
        batch_size: of a gradient step.
        learning_rate: of AdamW.
        max_episode_steps: until an episode is cut.
        seed: of episodes and draws.
    """

    steps: int
    worlds: int = 64
    horizon: int = 32
    epochs: int = 6
    batch_size: int = 256
    learning_rate: float = 1e-3
    max_episode_steps: int = 32
    seed: int = 0


def clone(
    policy: ActorCriticPolicy,
    moves: Moves,
    rules: Episodes,
    teacher: Teacher,
    config: CloningConfig,
    on_round: Callable[[dict[str, Any]], None] = lambda entry: None,
) -> None:
    """Teach ``policy`` in place.

    Args:
        policy: of `li_env.agents.ppo.build_policy`, on the device to train on.
        moves: of the action space.
        rules: the world and its task.
        teacher: asked about every state.
        config: see there.
        on_round: called after every round with ``steps``, ``loss`` and ``agreement`` (share of states in which the
            learner, before it learns from the round, would most likely do what the teacher does).
    """
    play = _Play(rules, config, moves)
    optimiser = torch.optim.AdamW(policy.parameters(), config.learning_rate, weight_decay=_DECAY)
    rng = np.random.default_rng([config.seed, 1])
    observations: list[dict[str, np.ndarray]] = []
    answers: list[np.ndarray] = []
    rounds = max(1, config.steps // (config.worlds * config.horizon))
    for index in range(rounds):
        student = PolicyAgent(policy.eval(), moves, seed=config.seed + index)
        seen, told = play.round(teacher, None if index == 0 else student)
        agreement = _agreement(policy, seen, told)
        observations.append(seen)
        answers.append(told)
        loss = _fit(policy, moves, optimiser, _joined(observations), np.concatenate(answers), config, rng)
        on_round({"steps": (index + 1) * len(told), "loss": loss, "agreement": agreement})
    policy.eval()


class _Play:
    """Episodes that go on from round to round."""

    def __init__(self, rules: Episodes, config: CloningConfig, moves: Moves) -> None:
        self._rules, self._config, self._moves = rules, config, moves
        self._generators = [np.random.default_rng([config.seed, world]) for world in range(config.worlds)]
        self._moments: list[SavedState] = rules.start(self._generators, [{}] * config.worlds)
        self._steps = [0] * config.worlds
        self._memories = [no_memory(moves)] * config.worlds

    def round(self, teacher: Teacher, student: PolicyAgent | None) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """(observations of all states met, the teacher's moves there); the teacher plays where there is no student."""
        seen: list[dict[str, np.ndarray]] = []
        told: list[int] = []
        for _ in range(self._config.horizon):
            views = [
                View(self._rules.observation(now), self._rules.info(now), now, memory)
                for now, memory in zip(self._moments, self._memories, strict=True)
            ]
            lessons = [teacher.choose(view) for view in views]
            made = lessons if student is None else student.choose(views).tolist()
            shown: list[dict[str, Any]] = [
                {**view.observation, HISTORY: view.memory.ravel()}  # type: ignore[dict-item]
                for view in views
            ]
            seen.append(stack_observations(shown))
            told += lessons
            self._memories = [remember(*pair) for pair in zip(self._memories, shown, made, strict=True)]
            self._advance(self._moves.actions(made))
        return _joined(seen), np.array(told)

    def _advance(self, actions: list[np.ndarray]) -> None:
        self._moments = self._rules.step(self._moments, actions)
        self._steps = [count + 1 for count in self._steps]
        ended = [
            world
            for world, now in enumerate(self._moments)
            if self._rules.terminated(now)
            or self._rules.truncated(now)
            or self._steps[world] == self._config.max_episode_steps
        ]
        fresh = self._rules.start([self._generators[world] for world in ended], [{}] * len(ended)) if ended else []
        for world, now in zip(ended, fresh, strict=True):
            self._moments[world], self._steps[world], self._memories[world] = now, 0, no_memory(self._moves)


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


def _fit(
    policy: ActorCriticPolicy,
    moves: Moves,
    optimiser: torch.optim.Optimizer,
    seen: dict[str, np.ndarray],
    told: np.ndarray,
    config: CloningConfig,
    rng: np.random.Generator,
) -> float:
    """Mean cross entropy of the last epoch."""
    mirrored, losses = moves.mirrored(), [0.0]
    policy.train()
    for _ in range(config.epochs):
        order, losses = rng.permutation(len(told)), []
        for first in range(0, len(order), config.batch_size):
            rows = order[first : first + config.batch_size]
            batch, target = {name: array[rows] for name, array in seen.items()}, told[rows]
            if rng.random() < 0.5:
                batch, target = _mirror(batch, moves), mirrored[target]
            tensors, _ = policy.obs_to_tensor({name: np.ascontiguousarray(array) for name, array in batch.items()})
            chances = policy.get_distribution(tensors).log_prob(torch.as_tensor(target, device=policy.device))
            loss = -chances.mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(float(loss.detach()))
    return float(np.mean(losses))


def _mirror(batch: dict[str, np.ndarray], moves: Moves) -> dict[str, np.ndarray]:
    """Frames [n, 3, H, W], the bearing of the goal and the history, left and right exchanged."""
    turned = {name: array[..., ::-1] for name, array in batch.items() if array.ndim == 4}
    if "pointgoal" in batch:
        turned["pointgoal"] = batch["pointgoal"] * np.array([1, -1], np.float32)
    return {**turned, HISTORY: mirrored_history(batch[HISTORY], moves)}
