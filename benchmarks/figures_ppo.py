"""Figures about agents that learned from reward alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from figure_tools import Recorded, figure, paragraph, span, table, verdict, whole
from figures_agents import spl as of_mapper_or_script
from figures_detour import behind_walls, reached, with_interval
from score_statistics import rank_correlation

FILE, SHIPPED, HALVES = "ppo_open_h200.json", "ppo_open_agent.json", "freedoom_halves_h200.json"
ARMS = {"all": "trained in `freedoom`, `all`", "off": "trained in `freedoom`, `off`", "game": "trained in the game"}
PLACES = {
    ("open", "game"): "open goals, in the game",
    ("open", "inside"): "open goals, inside",
    ("detour", "game"): "goals behind walls, in the game",
    ("detour", "inside"): "goals behind walls, inside",
}


def measures(recorded: Recorded, arm: str, held_out: str = "open", place: str = "game") -> dict[str, Any]:
    """Return the summaries of one arm on one set."""
    row = recorded.pick(FILE, "table", task="open", arm=arm, variant="full", set=held_out, place=place)
    found: dict[str, Any] = row["measures"]
    return found


def trained_arms(recorded: Recorded) -> list[str]:
    """Return the arms that were trained to the end."""
    there = {row["arm"] for row in recorded.get(FILE, "table")}
    return [arm for arm in ARMS if arm in there]


@figure("ppo.table")
def ppo_table(recorded: Recorded) -> str:
    """Success and SPL of every arm by set and place."""
    rows = []
    for (held_out, place), words in PLACES.items():
        for arm in trained_arms(recorded):
            found = measures(recorded, arm, held_out, place)
            rows.append((words, ARMS[arm], with_interval(found["success"]), with_interval(found["spl"])))
    return table(("set", "agent", "success", "SPL"), rows)


@figure("ppo.training")
def ppo_training(recorded: Recorded) -> str:
    """Say how the agents were trained, how long, and how well a script does."""
    runs = {arm: recorded.get(FILE, f"open {arm} full") for arm in trained_arms(recorded)}
    last = {arm: [run["log"][-1] for run in found] for arm, found in runs.items()}
    asked = runs["all"][0]["asked"]
    steps, minutes = last["all"][0]["steps"], {arm: mean(each, "seconds") / 60 for arm, each in last.items()}
    scripted, mapper = (of_mapper_or_script(recorded, "open", name) for name in ("seeker", "freedoom all"))
    return paragraph(
        f"""{len(runs["all"])} seeds, {steps:,} steps of four frames, {asked["config"]["worlds"]} envs,
        {asked["episodes"][0]} held-out episodes; interquartile means over seeds, 95 % bootstrap intervals. A
        training inside takes {minutes["all"]:.1f} minutes, one in the game {minutes["game"]:.1f}, five at a time on
        one H200, while other trainings used the host's cores. On open goals a script that turns to the goal and
        walks has SPL {scripted:.2f}, the supervised mapper {mapper:.2f}: a reward teaches here what is easily
        written down."""
    )


def mean(lines: list[dict[str, float]], key: str) -> float:
    """Average a key over lines."""
    return sum(line[key] for line in lines) / len(lines)


@figure("ppo.targets")
def ppo_targets(recorded: Recorded) -> str:
    """Hold what was reached against what was asked for."""
    inside, game = measures(recorded, "all"), measures(recorded, "game")

    def against(name: str, bar: float) -> str:
        value = inside[name]["iqm"]
        word, share = verdict(value, bar), value / game[name]["iqm"]
        return f"{value:.3f} where {bar:.2f} was asked for ({word}), {100 * share:.0f} % of the agents from the game"

    means = [sum(found["spl"]["seeds"]) / len(found["spl"]["seeds"]) for found in (inside, game)]
    above = sum(value >= 0.8 for value in inside["spl"]["seeds"])
    return paragraph(
        f"""Agents trained inside under `all`, in the game, on open goals of held-out maps: success
        {against("success", 0.9)}; SPL {against("spl", 0.8)}. {above} of {len(inside["spl"]["seeds"])} seeds have
        SPL 0.80 or more; plain means of SPL are {means[0]:.3f} and {means[1]:.3f}. Asked for were 95 % of the
        agents from the game."""
    )


@figure("ppo.readme")
def ppo_readme(recorded: Recorded) -> str:
    """Say in one paragraph what learned from reward."""
    inside, game = measures(recorded, "all"), measures(recorded, "game")
    found, walls = recorded.get(SHIPPED, "summary"), behind_walls(recorded, "detour", "game")
    return paragraph(
        f"""PPO that learned from reward alone inside `freedoom` under `all` finds open goals in the real game on
        held-out maps: success {inside["success"]["iqm"]:.2f}, SPL {inside["spl"]["iqm"]:.2f}; trained in the game
        {game["success"]["iqm"]:.2f} and {game["spl"]["iqm"]:.2f}. One of these agents is
        `benchmarks/agents/ppo_open` ({found["success"]["mean"]:.2f}, {found["spl"]["mean"]:.2f}). A script that
        walks straight has SPL {of_mapper_or_script(recorded, "open", "seeker"):.2f} there. Goals behind walls PPO
        learned inside scans of training maps: success {walls["success"]["iqm"]:.2f}, SPL
        {walls["spl"]["iqm"]:.2f} in the game ([docs/learning.md](docs/learning.md)); one of those is
        `benchmarks/agents/ppo_detour`."""
    )


@figure("ppo.agent")
def ppo_agent(recorded: Recorded) -> str:
    """Say what the shipped agent reaches."""
    return reached(recorded, SHIPPED)


@figure("ppo.agreement")
def ppo_agreement(recorded: Recorded) -> str:
    """Say whether an evaluation inside ranks agents as the game does."""
    rows = {(row["set"], row["measure"]): row for row in recorded.get(FILE, "agreement")}
    count, keys = rows["open", "spl"]["agents"], {"return": "return", "spl": "SPL"}
    words = [
        " and ".join(f"{rows[name, key]['rank_correlation']:.2f} for {label}" for key, label in keys.items())
        for name in ("open", "detour")
    ]
    within = [
        rank_correlation(
            *(np.array(measures(recorded, arm, place=place)[key]["seeds"]) for place in ("inside", "game"))
        )
        for arm in trained_arms(recorded)
        for key in keys
    ]
    return paragraph(
        f"""Spearman's rank correlation of what is reached inside and in the game, over the {count} agents at the
        end of their trainings: {words[0]} on open goals, {words[1]} on goals behind walls. It says that agents from
        the game are better in both places. Among the agents of one arm, which lie close together, it is
        {span(within, lambda one: f"{one:.2f}")} on open goals: an evaluation inside does not rank them."""
    )


@figure("ppo.in_flight")
def ppo_in_flight(recorded: Recorded) -> str:
    """Tabulate one group of environments against two in a training."""
    rows = []
    for one in [each for each in recorded.get(HALVES, "ppo") if not each["halves"]]:
        two = recorded.pick(HALVES, "ppo", worlds=one["worlds"], preset=one["preset"], halves=True)
        values = (whole(each["frames_per_second"]) for each in (one, two))
        rows.append((f"{one['worlds']}, `{one['preset']}`", *values))
    return table(("envs, one H200", "frames/s in the whole loop, `in_flight: 1`", "`in_flight: 2`"), rows)
