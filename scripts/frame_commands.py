"""Cases of `frame_hashes` on the command line: what ``li-env`` writes, without times, texts and paths."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from frame_hashes import Record
from PIL import Image

MAPPER = str(Path(__file__).resolve().parents[1] / "benchmarks" / "mapper")
"""The shipped mapper beside this script: both commits play with the same weights."""

AGENTS = (
    ("random", "freedoom_game", "explore", 8, 6, "off"),
    ("wanderer", "freedoom_game", "explore", 8, 12, "off"),
    ("seeker", "freedoom_game", "pointgoal", 24, 24, "off"),
    ("expert", "freedoom_game", "imagegoal", 24, 24, "off"),
    ("planner", "freedoom_game", "pointgoal", 2, 4, "off"),
    (MAPPER, "freedoom_game", "pointgoal", 8, 16, "off"),
    ("expert", "freedoom", "pointgoal", 2, 4, "all"),
)
"""Agent, world, task, number of episodes, most steps, preset."""

DIFFERENT_EVERY_TIME = ("milliseconds", "per_second", "speed_up", "memory", "versions", "device", "command")
"""Keys of a report that contain one of these hold no result."""


def command_cases() -> dict[str, Callable[[Record], None]]:
    """Return the cases by name."""
    found: dict[str, Callable[[Record], None]] = {}
    for agent, world, *rest in AGENTS:
        found[f"command/evaluate-agent/{world}-{Path(agent).name}"] = partial(evaluate_agent, agent, world, *rest)
    return found | {
        "command/rollout": rollout,
        "command/bench/freedoom": partial(bench, "freedoom", "left-right"),
        "command/bench/freedoom_game": partial(bench, "freedoom_game", "square", "random"),
        "command/build-episodes": build_episodes,
    }


def _run(*words: str | Path | int) -> None:
    from li_env.cli import main

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        code = main([str(word) for word in words])
    if code:
        raise RuntimeError(f"li-env {words[0]} ended with {code}: {printed.getvalue()[-500:]}")


def _results(report: Any) -> Any:
    """Return a report without what differs from run to run."""
    if isinstance(report, list):
        return [_results(each) for each in report]
    if not isinstance(report, dict):
        return report
    kept = {key: value for key, value in report.items() if not any(part in key for part in DIFFERENT_EVERY_TIME)}
    return {key: _results(value) for key, value in kept.items()}


def evaluate_agent(agent: str, world: str, task: str, episodes: int, steps: int, preset: str, record: Record) -> None:
    """Record the measures of every episode that an agent plays."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "rows.json"
        _run("evaluate", "agent", "--agent", agent, "--world", world, "--task", task, "--episodes", episodes,
             "--max-steps", steps, "--preset", preset, "--device", "cpu", "--out", out)  # fmt: skip
        report = json.loads(out.read_text())
    for row in report["episodes"]:
        record.add("episode", row)
    record.add("summary", report["summary"])


def rollout(record: Record) -> None:
    """Record the report and the contact sheet of a rollout beside a second preset."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        _run("rollout", "--world", "freedoom", "--trajectory", "w-4, left-4, right-4, s-3", "--seed", 1,
             "--compare", "off", "--device", "cpu", "--out", out)  # fmt: skip
        record.add("contact_sheet", np.asarray(Image.open(out / "contact_sheet.png")))
        record.add("files", sorted(file.name for file in out.iterdir()))
        report = json.loads((out / "report.json").read_text())
    for made in (report, report["compare"].pop("report")):
        for chunk in made.pop("chunks"):
            record.add("chunk", _results(chunk))
    record.add("report", _results(report))


def bench(world: str, *trajectories_and_record: Any) -> None:
    """Record the quality and the plans that the benchmark reports."""
    *trajectories, record = trajectories_and_record
    with tempfile.TemporaryDirectory() as folder:
        _run("bench", "--world", world, "--presets", "all", "--trajectories", *trajectories, "--seeds", 0,
             "--repeats", 1, "--chunks", 5, "--batch", 1, "--device", "cpu", "--out", folder)  # fmt: skip
        report = json.loads((Path(folder) / "bench.json").read_text())
    for row in report["worlds"][0]["rows"]:
        record.add("row", _results(row))


def build_episodes(record: Record) -> None:
    """Record the episodes drawn in a few held-out maps, and their frames."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "episodes.json"
        _run("build", "episodes", "--split", "test", "--maps", 2, "--detour", 1.2, "--seed", 4, "--out", out)
        record.add("episodes", json.loads(out.read_text()))
        record.add("frames", np.frombuffer(out.with_suffix(".safetensors").read_bytes(), np.uint8))
