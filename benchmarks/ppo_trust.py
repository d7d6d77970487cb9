"""Can an evaluation inside the learned world be trusted? Two measurements on policies of different strength.

    python benchmarks/ppo_trust.py --agents DIR/open-all-full-0 DIR/open-all-full-1 --dataset DIR/episodes/open.json \
        --device cuda --out benchmarks/ppo_trust.json

*Agreement*: an agent plays under ``off``; the same actions are played under ``all``. In every state that both reach,
the two distributions over macro actions are compared: share of equal likeliest macro actions, mean total variation.

*Return*: policies (scripted agents, and every snapshot of the trained ones) play the same episodes in the learned
world under ``off`` and ``all``. Their actions are then played in the game, and each policy also plays there itself. The
figure is Spearman's rank correlation, over policies, between the mean return inside and in the game; over episodes as
well.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from provenance import provenance
from score_statistics import rank_correlation

from li_env import View
from li_env.agents.base import ACTION_SPACE, Agent
from li_env.agents.macro_actions import MacroActions
from li_env.agents.ppo.policy import PolicyAgent
from li_env.agents.registry import make_agent
from li_env.episodes import EpisodeRunner, open_episodes
from li_env.files import write_json
from li_env.rollouts import FinishedEpisode, play_episodes
from li_env.worlds.registry import load_world, resolve_device

SCRIPTED = ("random", "wanderer", "seeker")
PRESETS = ("off", "all")


@dataclass(frozen=True)
class Settings:
    """Numbers of a run: episodes of every policy, steps until an episode is cut, episodes that step together."""

    episodes: int
    max_steps: int
    batch: int


class Replay:
    """Agent that repeats what was played before, and waits in place after the end of it."""

    def __init__(self, played: Sequence[FinishedEpisode]) -> None:
        self._actions = {episode.number: episode.actions for episode in played}

    def act(self, views: Sequence[View]) -> tuple[list[np.ndarray], list[int]]:
        """Answer every view; the agent state is the number of actions so far."""
        answers, steps = [], []
        for view in views:
            actions, step = self._actions[int(view.info["episode_index"])], view.memory or 0
            answers.append(actions[step] if step < len(actions) else np.zeros_like(actions[0]))
            steps.append(step + 1)
        return answers, steps


class Recorder:
    """Agent that answers as another one does and keeps the distributions of a policy in every state.

    Args:
        actor: says what is played.
        watched: whose distributions are kept.

    Attributes:
        seen: [macro actions] by (episode, step).
    """

    def __init__(self, actor: Agent, watched: PolicyAgent) -> None:
        self._actor, self._watched = actor, watched
        self.seen: dict[tuple[int, int], np.ndarray] = {}

    def act(self, views: Sequence[View]) -> tuple[list[np.ndarray], list[Any]]:
        """Answer every view; the agent state holds those of both agents."""
        memories = [view.memory or (None, None) for view in views]
        first, second = ([_with(view, each[k]) for view, each in zip(views, memories, strict=True)] for k in (0, 1))
        actions, played = self._actor.act(first)
        chances, after = self._watched.follow(second, actions)
        for view, row in zip(views, chances, strict=True):
            self.seen[(int(view.info["episode_index"]), int(view.info["num_steps"]))] = row
        return actions, list(zip(played, after, strict=True))


def _with(view: View, memory: Any) -> View:
    return View(view.observation, view.info, view.state, memory, view.generator)


def play(runner: EpisodeRunner, agent: Agent, settings: Settings) -> list[FinishedEpisode]:
    """Play the first episodes of the dataset, in order."""
    options = [{"episode": index} for index in range(settings.episodes)]
    found = play_episodes(runner, agent.act, options, max_steps=settings.max_steps, batch=settings.batch, in_order=True)
    return list(found)


def agreement(runners: dict[str, EpisodeRunner], agent: PolicyAgent, settings: Settings) -> dict[str, float]:
    """Compare an agent's distributions under both presets on the same actions."""
    first = Recorder(agent, agent)
    played = play(runners["off"], first, settings)
    second = Recorder(Replay(played), agent)
    play(runners["all"], second, settings)
    shared = sorted(first.seen.keys() & second.seen.keys())
    off, both = (np.stack([each.seen[key] for key in shared]) for each in (first, second))
    return {
        "states": len(shared),
        "same_choice": float((off.argmax(1) == both.argmax(1)).mean()),
        "total_variation": float(np.abs(off - both).sum(1).mean() / 2),
    }


def returns(episodes: Sequence[FinishedEpisode]) -> list[float]:
    """Return the sums of rewards."""
    return [float(episode.rewards.sum()) for episode in episodes]


def compare(
    runners: dict[str, EpisodeRunner], policies: dict[str, Agent], settings: Settings
) -> tuple[list[dict[str, Any]], dict[str, dict[str, float]]]:
    """Play every policy inside and outside; return a row per policy and preset, and the correlations by preset."""
    rows, correlations = [], {}
    outside = {name: returns(play(runners["game"], agent, settings)) for name, agent in policies.items()}
    for preset in PRESETS:
        inside, replayed = {}, {}
        for name, agent in policies.items():
            played = play(runners[preset], agent, settings)
            inside[name], replayed[name] = returns(played), returns(play(runners["game"], Replay(played), settings))
            means = [float(np.mean(each[name])) for each in (inside, replayed, outside)]
            rows.append(
                {"policy": name, "preset": preset, "inside": means[0], "same_actions": means[1], "game": means[2]}
            )
        mine = [row for row in rows if row["preset"] == preset]
        columns = {key: np.array([row[key] for row in mine]) for key in ("inside", "same_actions", "game")}
        correlations[preset] = {
            "over_policies_same_actions": rank_correlation(columns["inside"], columns["same_actions"]),
            "over_policies": rank_correlation(columns["inside"], columns["game"]),
            "over_episodes_same_actions": rank_correlation(
                np.concatenate(list(inside.values())), np.concatenate(list(replayed.values()))
            ),
        }
    return rows, correlations


def trained(folder: Path, runner: EpisodeRunner, device: str) -> dict[str, PolicyAgent]:
    """Load an agent and its snapshots, by name."""
    macro_actions = MacroActions(runner.actions.space, runner.task.can_stop)
    weights = [f"snapshots/{path.name}" for path in sorted((folder / "snapshots").glob("*.safetensors"))]
    return {
        f"{folder.name}:{Path(name).stem}": PolicyAgent.load(
            folder, runner.observation_space, macro_actions, 0, device, name
        )
        for name in weights
    }


def main(words: Sequence[str] | None = None) -> None:
    """Play, compare, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=Path, nargs="+", required=True, help="folders of PPO agents")
    parser.add_argument("--dataset", type=Path, required=True, help="navigation episodes that name their maps")
    parser.add_argument("--task", default="pointgoal", choices=["pointgoal", "imagegoal"])
    parser.add_argument("--scans", type=Path, help="folder of scans of those maps, in which inside takes place then")
    parser.add_argument("--episodes", type=int, default=64)
    parser.add_argument("--max-steps", type=int, default=32)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--game-workers", type=int, default=4)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/ppo_trust.json"))
    arguments = parser.parse_args(words)
    facts, device = provenance(), resolve_device(arguments.device)
    game = load_world("freedoom_game", workers=arguments.game_workers)
    learned = load_world("freedoom", device=device)
    places = {"game": (game, "off"), **{preset: (learned, preset) for preset in PRESETS}}
    shared = {"task": arguments.task, "dataset": arguments.dataset}
    runners = {
        name: open_episodes(
            world, preset, ACTION_SPACE, "frame", scans=arguments.scans if world is learned else None, **shared
        )
        for name, (world, preset) in places.items()
    }
    count = min(arguments.episodes, len(runners["game"].task.dataset.episodes))  # type: ignore[attr-defined]
    settings = Settings(count, arguments.max_steps, arguments.batch)
    found = {folder: trained(folder, runners["game"], device) for folder in arguments.agents}
    scripted = [name for name in SCRIPTED if arguments.task == "pointgoal" or name != "seeker"]
    policies: dict[str, Agent] = {name: make_agent(name, runners["game"]) for name in scripted}
    for each in found.values():
        policies |= each
    rows, correlations = compare(runners, policies, settings)
    agreements = {folder.name: agreement(runners, list(each.values())[-1], settings) for folder, each in found.items()}
    game.close()  # type: ignore[attr-defined]
    write_json(
        arguments.out,
        {"provenance": facts, "episodes": count, "in_scans": arguments.scans is not None, "rows": rows,
         "correlations": {key: {name: None if np.isnan(value) else value for name, value in each.items()}
                          for key, each in correlations.items()},
         "agreement": agreements},
    )  # fmt: skip
    for row in rows:
        numbers = "  ".join(f"{name} {row[name]:6.2f}" for name in ("inside", "same_actions", "game"))
        print(f"{row['policy']:<40}{row['preset']:<5}{numbers}")
    for preset, each in correlations.items():
        print(preset, "  ".join(f"{name} {value:.3f}" for name, value in each.items()))
    for name, each in agreements.items():
        print(name, "  ".join(f"{key} {value:.3f}" for key, value in each.items()))


if __name__ == "__main__":
    main()
