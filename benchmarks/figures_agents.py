"""Figures about agents."""

from __future__ import annotations

from typing import Any

from figure_tools import FigureError, Recorded, figure, paragraph, span, table

FILE = "agents_pointgoal.json"
SETS = {
    "detour": "`detour`: held-out maps, goal behind walls",
    "open": "`open`: held-out maps",
    "trained maps": "`trained maps`, goal behind walls",
}
BASELINES = {"random": "random", "seeker": "seeker, scripted", "expert": "expert, knows the map"}
ARMS = {
    "freedoom off": "trained in `freedoom`, `off`",
    "freedoom all": "trained in `freedoom`, `all`",
    "game": "trained in the game",
}


def learned(recorded: Recorded, held_out: str, arm: str, agent: str = "mapper") -> dict[str, Any]:
    """Measures over seeds of one arm."""
    found: dict[str, Any] = recorded.get(FILE, "table", held_out, f"{agent} in {arm}")
    return found


def spl(recorded: Recorded, held_out: str, arm: str) -> float:
    """Mean SPL of the mapper, or of an agent that learned nothing."""
    if arm in BASELINES:
        return float(recorded.get(FILE, "baselines", held_out, arm, "spl", "mean"))
    return float(learned(recorded, held_out, arm)["spl"]["mean"])


def runs(recorded: Recorded) -> list[dict[str, Any]]:
    """Return the mapper's training runs."""
    found = [run for run in recorded.get(FILE, "runs") if run["agent"] == "mapper"]
    if not found:
        raise FigureError(f"benchmarks/{FILE}: runs has none of the mapper")
    return found


def with_spread(value: dict[str, float], digits: int) -> str:
    """Mean and standard deviation over seeds."""
    return f"{value['mean']:.{digits}f} +- {value['std']:.{digits}f}"


@figure("agents.table")
def agents_table(recorded: Recorded) -> str:
    """All sets."""
    rows = []
    for name, label in {"random": BASELINES["random"], "seeker": BASELINES["seeker"]}.items():
        rows.append((label, *(scripted(recorded, held_out, name) for held_out in SETS)))
    for arm in ARMS:
        cells = []
        for held_out in SETS:
            found = learned(recorded, held_out, arm)
            cells.append(f"{with_spread(found['spl'], 3)} ({found['success']['mean']:.2f})")
        rows.append((f"mapper, {ARMS[arm]}", *cells))
    rows.append((BASELINES["expert"], *(scripted(recorded, held_out, "expert") for held_out in SETS)))
    return table(("SPL (success)", *SETS.values()), rows)


def scripted(recorded: Recorded, held_out: str, name: str) -> str:
    """SPL and success of an agent that learned nothing."""
    found = recorded.get(FILE, "baselines", held_out, name)
    return f"{found['spl']['mean']:.3f} ({found['success']['mean']:.2f})"


@figure("agents.short")
def agents_short(recorded: Recorded) -> str:
    """Set ``detour`` alone."""

    def fixed_row(label: str, name: str) -> tuple[str, str, str]:
        found = recorded.get(FILE, "baselines", "detour", name)
        return label, f"{found['success']['mean']:.2f}", f"{found['spl']['mean']:.3f}"

    rows = [fixed_row("random", "random"), fixed_row("seeker (scripted)", "seeker")]
    for arm in ARMS:
        found = learned(recorded, "detour", arm)
        values = (with_spread(found[name], digits) for name, digits in (("success", 2), ("spl", 3)))
        rows.append((f"mapper, {ARMS[arm]}", *values))
    return table(("", "success", "SPL"), [*rows, fixed_row("expert (knows the map)", "expert")])


@figure("agents.training")
def agents_training(recorded: Recorded) -> str:
    """Say how long and on what the mappers trained, and how many episodes they played."""
    found = runs(recorded)
    config, seeds = found[0]["config"], len({run["config"]["seed"] for run in found})
    maps = recorded.get(FILE, "settings", "maps")
    counts = [recorded.get(FILE, "baselines", held_out, "seeker", "episodes") for held_out in SETS]
    inside, game = (
        span((run["log"][-1]["seconds"] / 60 for run in found if (run["arm"] == "game") == there), "{:.1f}".format)
        for there in (False, True)
    )
    return paragraph(
        f"""Every training: {config["steps"]:,} steps of four frames, {maps} maps of the training split,
        {config["worlds"]} worlds at once; {inside} minutes in the learned world, {game} in the game, all
        {len(found)} trainings at the same time on one machine. {span(counts, str)} episodes per set in the real game;
        mean over {seeds} seeds +- standard deviation over seeds; scripted agents once."""
    )


@figure("agents.ratios")
def agents_ratios(recorded: Recorded) -> str:
    """Compare the SPL of agents from the learned world with that of agents from the game."""

    def ratio(held_out: str, arm: str) -> float:
        return spl(recorded, held_out, arm) / spl(recorded, held_out, "game")

    off, full = (ratio("detour", arm) for arm in ("freedoom off", "freedoom all"))
    trained = span((ratio("trained maps", arm) for arm in ("freedoom off", "freedoom all")), lambda one: f"{one:.2f}")
    return paragraph(
        f"""Trained in the learned world the mapper has {off:.2f} (`off`) and {full:.2f} (`all`) of the SPL of the same
        agent trained in the game on `detour`, {trained} on the maps of the training. Where the goal is visible from
        the start, walking straight at it is best and nothing needs to be learned."""
    )


@figure("agents.readme")
def agents_readme(recorded: Recorded) -> str:
    """SPL of the README."""
    inside, outside, scripted_one = (spl(recorded, "detour", arm) for arm in ("freedoom all", "game", "seeker"))
    return paragraph(
        f"""Agents that learned to see (supervised, the mapper) inside `freedoom` alone find goals behind walls in the
        real game, on maps that neither they nor the world have seen: SPL {inside:.2f}. The same agents trained in the
        game: {outside:.2f}; a scripted agent: {scripted_one:.2f} ([docs/tasks.md](docs/tasks.md))."""
    )
