"""Figures about agents."""

from __future__ import annotations

from typing import Any

from figure_tools import FigureError, Recorded, figure, paragraph, span, table

FILE = "agents_pointgoal.json"
INTERRUPTED = "agents_interrupted_h200.json"
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
    """The mapper's trainings."""
    found = [run for run in recorded.get(FILE, "runs") if run["agent"] == "mapper"]
    if not found:
        raise FigureError(f"benchmarks/{FILE}: runs has none of the mapper")
    return found


def arms(recorded: Recorded) -> list[str]:
    """The arms of the file in the order of `ARMS`."""
    trained = {run["arm"] for run in runs(recorded)}
    return [arm for arm in ARMS if arm in trained]


def with_spread(recorded: Recorded, arm: str, value: dict[str, float], digits: int) -> str:
    """Mean over seeds, with the standard deviation where there are several."""
    several = len([run for run in runs(recorded) if run["arm"] == arm]) > 1
    return f"{value['mean']:.{digits}f}" + (f" +- {value['std']:.{digits}f}" if several else "")


@figure("agents.table")
def agents_table(recorded: Recorded) -> str:
    """All sets."""
    rows = []
    for name, label in {"random": BASELINES["random"], "seeker": BASELINES["seeker"]}.items():
        rows.append((label, *(scripted(recorded, held_out, name) for held_out in SETS)))
    for arm in arms(recorded):
        cells = []
        for held_out in SETS:
            found = learned(recorded, held_out, arm)
            cells.append(f"{with_spread(recorded, arm, found['spl'], 3)} ({found['success']['mean']:.2f})")
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
    for arm in arms(recorded):
        found = learned(recorded, "detour", arm)
        values = (with_spread(recorded, arm, found[name], digits) for name, digits in (("success", 2), ("spl", 3)))
        rows.append((f"mapper, {ARMS[arm]}", *values))
    return table(("", "success", "SPL"), [*rows, fixed_row("expert (knows the map)", "expert")])


@figure("agents.training")
def agents_training(recorded: Recorded) -> str:
    """On what they trained, and how many episodes they played."""
    found = runs(recorded)
    config, seeds = found[0]["config"], len({run["config"]["seed"] for run in found})
    maps = recorded.get(FILE, "settings", "maps")
    counts = [recorded.get(FILE, "baselines", held_out, "seeker", "episodes") for held_out in SETS]
    episodes = span(counts, str)
    return paragraph(
        f"""Every training: {config["steps"]:,} steps of four frames, {maps} maps of the training split,
        {config["worlds"]} worlds at once; {seeds} {"seed" if seeds == 1 else "seeds"}. {episodes}
        episodes per set in the real game."""
    )


@figure("agents.interrupted")
def agents_interrupted(recorded: Recorded) -> str:
    """What an evaluation printed before it was cut off."""
    found: dict[str, list[float]] = recorded.get(INTERRUPTED, "spl_detour")
    named = [f"{', '.join(f'{value:.3f}' for value in found[arm])} ({label})" for arm, label in ARMS.items()]
    return paragraph(
        f"""The run that trained this mapper was cut off before it wrote its file, with five of nine agents evaluated.
        It printed, SPL on `detour`, one number per seed: {"; ".join(named)}."""
    )


@figure("agents.readme")
def agents_readme(recorded: Recorded) -> str:
    """SPL of the README."""
    inside, scripted_one = (spl(recorded, "detour", arm) for arm in ("freedoom all", "seeker"))
    return paragraph(
        f"""An agent that learned inside `freedoom` alone finds its way in the real game, on maps that neither it nor
        the world has seen, with goals behind walls: SPL {inside:.2f}; a scripted agent {scripted_one:.2f}
        ([docs/tasks.md](docs/tasks.md))."""
    )
