"""Play episodes to their end and say how it went."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from li_env.agents.agent import Agent, View
from li_env.episodes import Episodes

MEASURES = ("success", "spl", "soft_spl", "distance_to_goal", "collisions", "path_length", "seen_area")
"""Of those, every task reports the ones it has."""

_RESAMPLES = 1000


def evaluate(
    rules: Episodes,
    agent: Agent,
    options: Sequence[Mapping[str, Any]],
    max_steps: int,
    seed: int = 0,
    batch: int = 64,
    on_episodes: Callable[[int], None] = lambda ended: None,
) -> list[dict[str, float]]:
    """Play one episode per entry of ``options``, ``batch`` at a time.

    Args:
        rules: the world and its task, with ``continuous`` actions.
        agent: who plays.
        options: reset options of every episode, such as ``{"episode": 3}``.
        max_steps: steps until an episode is cut.
        seed: episode i draws from the generator of (seed, i).
        batch: episodes that step together.
        on_episodes: called with the number of episodes that have ended since the last call.

    Returns:
        per episode ``return``, ``steps`` and the task's measures at its end.
    """
    rows: list[dict[str, float]] = []
    for first in range(0, len(options), batch):
        part = options[first : first + batch]
        for given in part:
            rules.check_options(given)
        generators = [np.random.default_rng([seed, first + index]) for index in range(len(part))]
        rows += _play(rules, agent, generators, part, max_steps, on_episodes)
    return rows


def _play(
    rules: Episodes,
    agent: Agent,
    generators: Sequence[np.random.Generator],
    options: Sequence[Mapping[str, Any]],
    max_steps: int,
    on_episodes: Callable[[int], None],
) -> list[dict[str, float]]:
    moments = rules.start(generators, options)
    memories: list[Any] = [None] * len(moments)
    rewards, steps = np.zeros(len(moments)), np.zeros(len(moments), dtype=int)
    going = list(range(len(moments)))
    while going:
        views = [
            View(rules.observation(moments[index]), rules.info(moments[index]), moments[index], memories[index])
            for index in going
        ]
        actions, remembered = agent.act(views)
        following = rules.step([moments[index] for index in going], actions)
        for index, moment, memory in zip(going, following, remembered, strict=True):
            moments[index], memories[index] = moment, memory
            rewards[index] += rules.reward(moment)
            steps[index] += 1
        ended = [
            index
            for index in going
            if rules.terminated(moments[index]) or rules.truncated(moments[index]) or steps[index] == max_steps
        ]
        going = [index for index in going if index not in ended]
        on_episodes(len(ended))
    return [
        {"return": float(reward), "steps": float(count), **_measures(rules, moment)}
        for reward, count, moment in zip(rewards, steps, moments, strict=True)
    ]


def _measures(rules: Episodes, moment: Any) -> dict[str, float]:
    metrics = rules.task.metrics(moment.task)
    return {name: float(metrics[name]) for name in MEASURES if name in metrics}


def summarise(rows: Sequence[Mapping[str, float]], seed: int = 0) -> dict[str, Any]:
    """Mean of every measure and its 95 % interval over episodes (bootstrap, seeded)."""
    rng = np.random.default_rng(seed)
    picks = rng.integers(len(rows), size=(_RESAMPLES, len(rows)))
    summary: dict[str, Any] = {"episodes": len(rows)}
    for name in rows[0]:
        values = np.array([row[name] for row in rows])
        low, high = np.percentile(values[picks].mean(1), [2.5, 97.5])
        summary[name] = {"mean": float(values.mean()), "interval": [float(low), float(high)]}
    return summary
