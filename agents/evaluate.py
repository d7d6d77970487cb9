"""Evaluation: play episodes to their end and summarise the task's measures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from li_env.agents.base import Agent, DrawingAgent
from li_env.rollouts import Environment, FinishedEpisode, play_episodes

MEASURES = ("success", "spl", "soft_spl", "distance_to_goal", "collisions", "path_length", "seen_area")
"""Measures that a row holds, as far as the task has them."""

_RESAMPLES = 1000  # bootstrap samples of a confidence interval


def evaluate(
    env: Environment,
    agent: Agent,
    options: Sequence[Mapping[str, Any]],
    max_steps: int | None = None,
    seed: int = 0,
    batch: int = 64,
    on_episodes: Callable[[int], None] = lambda ended: None,
) -> list[dict[str, float]]:
    """Play one episode per entry of ``options`` (`li_env.rollouts.play_episodes`).

    Args:
        env: environment with ``continuous`` actions, or its `EpisodeRunner`.
        agent: agent that plays. A `DrawingAgent` draws from its own seed, another agent from ``seed``.
        options: reset options of every episode, such as ``{"episode": 3}``.
        max_steps: steps until an episode is cut; the environment's time limit by default.
        seed: seed of the episodes.
        batch: most episodes that step together; changes nothing but the speed.
        on_episodes: called with the number of episodes that have ended since the last call.

    Returns:
        one row per episode, in the order of ``options``: ``return``, ``steps`` and the task's measures at the end.
    """
    rows: dict[int, dict[str, float]] = {}
    agent_seed = agent.seed if isinstance(agent, DrawingAgent) else seed
    for episode in play_episodes(
        env, agent.act, options, max_steps=max_steps, seed=seed, agent_seed=agent_seed, batch=batch
    ):
        rows[episode.index] = _row(episode)
        on_episodes(1)
    return [rows[index] for index in range(len(options))]


def _row(episode: FinishedEpisode) -> dict[str, float]:
    measures = {name: episode.measures[name] for name in MEASURES if name in episode.measures}
    return {"return": float(sum(episode.rewards)), "steps": float(len(episode.actions)), **measures}


def summarise(rows: Sequence[Mapping[str, float]], seed: int = 0) -> dict[str, Any]:
    """Return the mean of every measure over episodes and its 95 % interval (bootstrap, seeded)."""
    rng = np.random.default_rng(seed)
    picks = rng.integers(len(rows), size=(_RESAMPLES, len(rows)))
    summary: dict[str, Any] = {"episodes": len(rows)}
    for name in rows[0]:
        values = np.array([row[name] for row in rows])
        low, high = np.percentile(values[picks].mean(1), [2.5, 97.5])
        summary[name] = {"mean": float(values.mean()), "interval": [float(low), float(high)]}
    return summary
