"""Tables and learning curves of PPO agents, from the results that benchmarks/ppo_training.py left.

    python benchmarks/ppo_report.py --keep DIR --out benchmarks/ppo_agents

writes OUT.json and OUT.png and prints the tables: interquartile means over seeds with 95 % bootstrap intervals
(score_statistics.py). Curves show the measure in the game on held-out maps against environment steps, frames and
seconds of training. ``agreement`` is Spearman's rank correlation, over all agents of a task, of what they reach inside
and in the game. Each kind of cell has its own list, with the command of every seed and every fifth line of its log.
Cells without a result are left out; with ``--unfinished`` they have their curves, as far as they came.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ppo_travel import BEGUN, CURVE, RESULT, points_of
from provenance import provenance
from score_statistics import bootstrap_interval, interquartile_mean, rank_correlation, summary

from li_env.files import write_json

MEASURES = ("success", "spl", "soft_spl", "distance_to_goal", "seen_area", "return")
AXES = {"steps": "environment steps", "frames": "frames", "seconds": "seconds of training"}
LOGGED = (*AXES, "episodes", "return", "success", "spl", "entropy")
THINNED = 5  # one line of a log in so many is kept
NAMES = {
    "all": "trained in freedoom, all",
    "all_grounded": "trained in freedoom, in scans, all",
    "off": "trained in freedoom, off",
    "game": "trained in the game",
}

Kind = tuple[str, str, str]
"""(task, arm, variant)."""


def read_results(folder: Path, unfinished: bool = False) -> dict[Kind, list[dict[str, Any]]]:
    """Read the results of all cells, by kind, in the order of their seeds.

    Args:
        folder: of benchmarks/ppo_training.py.
        unfinished: take cells too that have points of their curve, and no result.

    Raises:
        ValueError: there are none.
    """
    kinds: dict[Kind, list[dict[str, Any]]] = defaultdict(list)
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob(f"*/{RESULT}"))]
    if unfinished:
        found += [
            begun(path.parent) for path in sorted(folder.glob(f"*/{CURVE}")) if not path.with_name(RESULT).is_file()
        ]
    for result in found:
        asked = result["asked"]
        kinds[(asked["task"], asked["arm"], asked["variant"])].append(result)
    if not kinds:
        raise ValueError(f"keep={str(folder)!r} holds no results; run benchmarks/ppo_training.py first")
    for results in kinds.values():
        results.sort(key=lambda result: result["asked"]["config"]["seed"])
    return dict(kinds)


def begun(folder: Path) -> dict[str, Any]:
    """Describe a cell that was not evaluated at its end as one that was, without its last evaluation."""
    task, arm, variant, _ = folder.name.split("-")
    config = json.loads((folder / "agent.json").read_text(encoding="utf-8"))["config"]
    return {
        "asked": {"task": task, "arm": arm, "variant": variant.replace("_", " "), "config": config},
        "provenance": json.loads((folder / BEGUN).read_text(encoding="utf-8")),
        "final": {},
        "curve": {"points": points_of(folder)},
        "log": [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()],
    }


def table(kinds: dict[Kind, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Summarise the last evaluation: a row per kind, set and place, with a summary per measure."""
    rows = []
    for (task, arm, variant), results in kinds.items():
        for name, places in results[0]["final"].items():
            for place, found in places.items():
                measures = {
                    measure: summary([result["final"][name][place][measure] for result in results])
                    for measure in MEASURES
                    if measure in found
                }
                log = [result["log"][-1] for result in results]
                row = {"task": task, "arm": arm, "variant": variant, "set": name, "place": place}
                spent = {key: float(np.mean([line[key] for line in log])) for key in ("steps", "frames", "seconds")}
                rows.append({**row, **spent, "measures": measures})
    return rows


def curve(results: Sequence[dict[str, Any]], measure: str) -> dict[str, list[float]]:
    """Return interquartile mean and interval of a measure at every snapshot that all seeds have, and the three axes."""
    shared = set.intersection(*({point["steps"] for point in result["curve"]["points"]} for result in results))
    found: dict[str, list[float]] = {key: [] for key in (*AXES, "iqm", "low", "high")}
    for steps in sorted(shared):
        scores, lines = [], []
        for result in results:
            (point,) = (point for point in result["curve"]["points"] if point["steps"] == steps)
            scores.append(point[measure])
            lines.append(next(line for line in result["log"] if line["steps"] >= steps))
        for axis in AXES:
            found[axis].append(float(np.mean([line[axis] for line in lines])))
        low, high = bootstrap_interval(np.array(scores))
        for key, value in (("iqm", interquartile_mean(np.array(scores))), ("low", low), ("high", high)):
            found[key].append(value)
    return found


def agreement(kinds: dict[Kind, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Correlate means inside and in the game over the agents of a task, whatever they were trained in."""
    rows = []
    for task in dict.fromkeys(kind[0] for kind in kinds):
        results = [result for kind, each in kinds.items() if kind[0] == task for result in each]
        finals = [result["final"] for result in results if result["final"]]
        for name in sorted(set.intersection(*map(set, finals)) if finals else ()):
            for place in sorted(set.intersection(*(set(each[name]) for each in finals)) - {"game"}):
                for measure in ("return", "success", "spl"):
                    if measure in finals[0][name]["game"]:
                        sides = [np.array([each[name][side][measure] for each in finals]) for side in (place, "game")]
                        found = rank_correlation(*sides)
                        row = {"task": task, "set": name, "place": place, "measure": measure, "agents": len(finals)}
                        rows.append({**row, "rank_correlation": None if np.isnan(found) else found})
    return rows


def trainings(results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what was asked, where it ran, and the thinned log, by seed; the last line of a log is kept."""
    return [
        {
            "asked": result["asked"],
            "provenance": result["provenance"],
            "log": [{key: line[key] for key in LOGGED if key in line} for line in result["log"][::-THINNED][::-1]],
        }
        for result in results
    ]


def draw(curves: dict[Kind, dict[str, dict[str, list[float]]]], path: Path) -> None:
    """Draw a row of panels per task and measure: the measure against each axis, a line per arm and variant."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    shown = [(task, name) for task in dict.fromkeys(kind[0] for kind in curves) for name in MEASURES[:2]]
    shown = [row for row in shown if any(kind[0] == row[0] and row[1] in curves[kind] for kind in curves)]
    shown += [(kind[0], "seen_area") for kind in curves if "seen_area" in curves[kind]][:1]
    figure, panels = plt.subplots(len(shown), len(AXES), figsize=(15, 3.6 * len(shown)), squeeze=False)
    for (task, measure), row in zip(shown, panels, strict=True):
        for axis, panel in zip(AXES, row, strict=True):
            for kind, measures in curves.items():
                if kind[0] == task and measure in measures:
                    values = measures[measure]
                    (line,) = panel.plot(values[axis], values["iqm"], marker="o", markersize=3, label=label(kind))
                    panel.fill_between(values[axis], values["low"], values["high"], alpha=0.2, color=line.get_color())
            panel.set(xlabel=AXES[axis], ylabel=f"{measure}, {task}, in the game")
            panel.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def label(kind: Kind) -> str:
    """Name a line of a panel."""
    _, arm, variant = kind
    return NAMES.get(arm, arm) + ("" if variant == "full" else f", {variant}")


def main(words: Sequence[str] | None = None) -> None:
    """Read, summarise, write, draw, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, required=True, help="folder of benchmarks/ppo_training.py")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/ppo_agents"), help="without suffix")
    parser.add_argument("--unfinished", action="store_true", help="show curves of cells that have no result yet")
    arguments = parser.parse_args(words)
    kinds = read_results(arguments.keep, arguments.unfinished)
    rows = table(kinds)
    curves = {
        kind: {
            measure: curve(results, measure)
            for measure in MEASURES
            if all(measure in point for result in results for point in result["curve"]["points"])
        }
        for kind, results in kinds.items()
    }
    facts, lists = provenance(), {" ".join(kind): trainings(results) for kind, results in kinds.items()}
    report = {
        "provenance": {
            **dict.fromkeys(("table", "curves", "agreement"), facts),
            **{name: found[0]["provenance"] for name, found in lists.items()},
        },
        "table": rows,
        "agreement": agreement(kinds),
        **lists,
        "curves": [{"task": task, "arm": arm, "variant": variant, "measures": curves[(task, arm, variant)]}
                   for task, arm, variant in kinds],
    }  # fmt: skip
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    write_json(arguments.out.with_suffix(".json"), report)
    draw(curves, arguments.out.with_suffix(".png"))
    for row in rows:
        words_ = " ".join(str(row[key]) for key in ("task", "arm", "variant", "set", "place"))
        found = [f"{name} {each['iqm']:.3f} [{each['interval'][0]:.3f}, {each['interval'][1]:.3f}]"
                 for name, each in row["measures"].items() if name != "return"]  # fmt: skip
        print(f"{words_}: {'  '.join(found)}")
    for row in report["agreement"]:
        print("inside and in the game:", "  ".join(f"{key} {value}" for key, value in row.items()))


if __name__ == "__main__":
    main()
