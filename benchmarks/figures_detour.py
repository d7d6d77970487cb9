"""Figures about agents that learned goals behind walls from reward alone, in scans."""

from __future__ import annotations

from typing import Any

import numpy as np
from figure_tools import FigureError, Recorded, figure, paragraph, span, table, verdict, whole
from figures_agents import spl as of_mapper_or_script
from score_statistics import rank_correlation

FILE, FEWER = "ppo_detour_h200.json", "ppo_detour_96_maps_h200.json"
SHIPPED, TRUST, OPEN = "ppo_detour_agent.json", "ppo_trust_h200.json", "ppo_open_h200.json"
OWN, GAME = "all_grounded", "game"
SETS = {"detour": "goals behind walls", "open": "open goals"}
PLACES = {"game": "in the game", "in scans": "inside, in scans of those maps", "inside": "inside, without a scan"}
SETTLED = 150_000
"""Steps after which policies of one training differ little."""


def behind_walls(recorded: Recorded, held_out: str, place: str) -> dict[str, Any]:
    """Return the summaries of the agents that were trained in scans, by measure."""
    found: dict[str, Any] = recorded.pick(FILE, "table", arm=OWN, set=held_out, place=place)["measures"]
    return found


def with_interval(value: dict[str, Any]) -> str:
    """Write interquartile mean and interval."""
    return ranged(value["iqm"], *value["interval"])


def ranged(middle: float, low: float, high: float) -> str:
    """Write a value and its interval."""
    return f"{middle:.3f} ({low:.3f} to {high:.3f})"


def curves(recorded: Recorded, arm: str) -> dict[str, Any]:
    """Return the learning curves of an arm, by measure."""
    found: dict[str, Any] = recorded.pick(FILE, "curves", task="detour", arm=arm, variant="full")["measures"]
    return found


def at(curve: dict[str, Any], number: int) -> str:
    """Write a point of a curve with its interval."""
    return ranged(curve["iqm"][number], curve["low"][number], curve["high"][number])


@figure("ppo.detour_final")
def ppo_detour_final(recorded: Recorded) -> str:
    """Tabulate what the agents reach at the end, by set and place."""
    rows = []
    for held_out, goals in SETS.items():
        for place, words in PLACES.items():
            found = behind_walls(recorded, held_out, place)
            rows.append((f"{goals}, {words}", with_interval(found["success"]), with_interval(found["spl"])))
    return table(("set", "success", "SPL"), rows)


@figure("ppo.detour_curves")
def ppo_detour_curves(recorded: Recorded) -> str:
    """Tabulate SPL in the game along the trainings in scans and in the game."""
    own, game = curves(recorded, OWN)["spl"], curves(recorded, GAME)["spl"]
    rows = []
    for number, steps in enumerate(own["steps"]):
        there = game["steps"].index(steps) if steps in game["steps"] else None
        rows.append((whole(steps), at(own, number), "" if there is None else at(game, there)))
    return table(("environment steps", "trained inside, in scans", "trained in the game"), rows)


@figure("ppo.detour")
def ppo_detour(recorded: Recorded) -> str:
    """Hold what was reached behind walls against what was asked for."""
    runs = recorded.get(FILE, f"detour {OWN} full")
    asked, last = runs[0]["asked"], [run["log"][-1] for run in runs]
    game, scans = (behind_walls(recorded, "detour", place)["spl"] for place in ("game", "in scans"))
    before = recorded.pick(OPEN, "table", task="open", arm="all", variant="full", set="detour", place="game")
    script = of_mapper_or_script(recorded, "detour", "seeker")
    inside = span([line["spl"] for line in last], "{:.2f}".format)
    config, fewer = asked["config"], recorded.pick(FEWER, "curves", task="detour", arm=OWN)["measures"]["spl"]
    own, minutes = curves(recorded, OWN)["spl"], np.mean([line["seconds"] for line in last]) / 60
    return paragraph(
        f"""{len(runs)} seeds, {last[0]["steps"]:,} steps in {minutes:.0f} minutes, {config["worlds"]} envs, episodes of
        up to {config["max_episode_steps"]} steps; interquartile means over seeds, 95 % bootstrap intervals. SPL in the
        game is {game["iqm"]:.3f} where 0.50 was asked for ({verdict(game["iqm"], 0.5)}); 0.70 was the aim. Agents that
        were trained for open goals have {before["measures"]["spl"]["iqm"]:.3f} on these goals, a script that turns to
        the goal and walks {script:.2f}. In scans of the same maps it is {scans["iqm"]:.3f}:
        {100 * game["iqm"] / scans["iqm"]:.0f} % of that remain outside. At the end of the training, where some goals
        are near, an agent has {inside}. With scans of 96 maps instead of 256 five agents came to
        {fewer["iqm"][-1]:.3f} on the first 64 of the episodes (`{FEWER}`), these to {own["iqm"][-1]:.3f}."""
    )


@figure("ppo.detour_game")
def ppo_detour_game(recorded: Recorded) -> str:
    """Compare the trainings inside and in the game at the steps that both have."""
    own, game = curves(recorded, OWN)["spl"], curves(recorded, GAME)["spl"]
    reached = [run["log"][-1]["steps"] for run in recorded.get(FILE, f"detour {GAME} full")]
    last = game["steps"][-1]
    mine = own["iqm"][own["steps"].index(last)]
    return paragraph(
        f"""The training in the game was cut off after {span(reached)} steps of {whole(own["steps"][-1])}. At
        {whole(last)} steps, the last point that all its seeds have, agents that learned inside have
        {100 * mine / game["iqm"][-1]:.0f} % of its SPL, asked for were 95 %."""
    )


@figure("ppo.detour_agent")
def ppo_detour_agent(recorded: Recorded) -> str:
    """Say what the shipped agent reaches."""
    return reached(recorded, SHIPPED)


def reached(recorded: Recorded, file: str) -> str:
    """Say what a shipped agent reaches, by the file of its evaluation."""
    found = recorded.get(file, "summary")
    words = [
        f"{label} {ranged(found[name]['mean'], *found[name]['interval'])}"
        for name, label in (("success", "success"), ("spl", "SPL"))
    ]
    return paragraph(
        f"""In the game on the {found["episodes"]} held-out episodes (`{file}`): {", ".join(words)}, intervals over
        episodes."""
    )


@figure("ppo.trust")
def ppo_trust(recorded: Recorded) -> str:
    """Say whether an evaluation inside, in scans, tells what the game will say."""
    rows, found = recorded.get(TRUST, "rows"), recorded.get(TRUST, "correlations")
    off, accelerated, agents = found["off"], found["all"], recorded.get(TRUST, "agreement").values()
    count = len({row["policy"] for row in rows})
    return paragraph(
        f"""{count} policies of very different strength (three scripts, and snapshots of {len(agents)} trainings in
        scans) on the same {recorded.get(TRUST, "episodes")} episodes behind walls: Spearman's rank correlation of the
        mean return inside and in the game is {off["over_policies"]:.2f} under `off` and
        {accelerated["over_policies"]:.2f} under `all`. Beginners make the most of that: among the
        {len(settled(rows, "off")[0])} snapshots after {whole(SETTLED)} steps it is {late(rows, "off"):.2f} and
        {late(rows, "all"):.2f}. Where the actions of an episode inside are repeated in the game, which parts the
        paths, it is {off["over_policies_same_actions"]:.2f} and {accelerated["over_policies_same_actions"]:.2f} over
        policies, {off["over_episodes_same_actions"]:.2f} and {accelerated["over_episodes_same_actions"]:.2f} over
        episodes. Under `off` and `all` a policy prefers the same macro action in
        {span([100 * each["same_choice"] for each in agents])} % of the same states."""
    )


def settled(rows: list[dict[str, Any]], preset: str) -> tuple[np.ndarray, np.ndarray]:
    """Return returns inside and in the game of the snapshots late in their trainings.

    Raises:
        FigureError: there are none.
    """
    late_rows = [
        row
        for row in rows
        if row["preset"] == preset and ":" in row["policy"] and int(row["policy"].split(":")[1]) > SETTLED
    ]
    if not late_rows:
        raise FigureError(f"benchmarks/{TRUST}: no snapshot after {SETTLED:,} steps under {preset!r}")
    inside, game = (np.array([row[key] for row in late_rows]) for key in ("inside", "game"))
    return inside, game


def late(rows: list[dict[str, Any]], preset: str) -> float:
    """Return the rank correlation of returns inside and in the game over those snapshots."""
    return float(rank_correlation(*settled(rows, preset)))
