"""Folder of a trained agent: what every training keeps there, and how it goes on from it."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from li_env.files import (
    append_json,
    atomic_folder,
    atomic_write,
    check_folder,
    parse_json,
    read_json,
    read_text,
    write_json,
)
from li_env.validation import check_keys, check_mapping, check_text, check_whole, shortened, shown, shown_path

STATE = "agent.json"
"""File that says how an agent was trained and how far: ``agent`` (its kind), ``steps`` and ``config``."""

LOG = "log.jsonl"
"""File with one line per update."""

SNAPSHOTS = "snapshots"
"""Folder with the weights during the training."""

_MOST_LOG = 2**28  # bytes of a log that is read


class RunFolder:
    """Folder that a training writes to: weights and `STATE` together, a log, snapshots.

    Args:
        out: the folder, made when the training begins.
        agent: kind of the agent.
        config: configuration of the training, a dataclass.
        weights: names of the files of weights.

    Attributes:
        path: of the folder.

    Raises:
        ValueError: the folder cannot be written to.
    """

    def __init__(self, out: str | Path, agent: str, config: Any, weights: Sequence[str]) -> None:
        self.path = check_folder("out", out, (*weights, STATE, LOG))
        self._agent, self._config = agent, config
        self._began, self._frames_per_step = time.perf_counter(), 1

    def steps_done(self, may_change: Collection[str] = ()) -> int:
        """Return the environment steps of the agent in the folder; 0 without one.

        Args:
            may_change: keys in which the stored configuration may differ from this one.

        Raises:
            ValueError: a damaged `STATE`, another kind of agent, or another configuration.
        """
        path = self.path / STATE
        if not path.is_file():
            return 0
        state, where = read_state(path), f"out={shown(str(self.path))}"
        if state["agent"] != self._agent:
            raise ValueError(f"{where} holds another kind of agent, {shortened(state['agent'])}; use another folder")
        names = [field.name for field in fields(self._config)]
        check_keys(f"{shown_path(path)}: config", state["config"], names)
        before, now = asdict(type(self._config)(**state["config"])), asdict(self._config)
        different = [name for name in names if name not in may_change and before[name] != now[name]]
        if different:
            raise ValueError(f"{where} holds an agent with another {', '.join(different)}; use another folder")
        return int(state["steps"])

    def begin(self, steps: int, frames_per_step: int) -> None:
        """Make the folder, cut the log after ``steps`` and start the clock.

        What an interrupted training noted after its last save comes again. The clock goes on from the last line.
        """
        (self.path / SNAPSHOTS).mkdir(parents=True, exist_ok=True)
        spent = _cut_log(self.path / LOG, steps)
        self._began, self._frames_per_step = time.perf_counter() - spent, frames_per_step

    def note(self, steps: int, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Add a line to the log and return it: ``steps``, ``frames``, ``seconds`` and ``entry``."""
        seconds = time.perf_counter() - self._began
        line = {"steps": steps, "frames": steps * self._frames_per_step, "seconds": seconds, **entry}
        append_json(self.path / LOG, line)
        return line

    def snapshot(self, steps: int) -> Path:
        """Return the path of the snapshot after ``steps`` steps."""
        return self.path / SNAPSHOTS / f"{steps:09d}.safetensors"

    @contextmanager
    def save(self, steps: int) -> Iterator[Path]:
        """Yield a temporary folder for the weights; they take the place of older ones together with `STATE`."""
        # STATE last: a training is resumable once this file is there.
        with atomic_folder(self.path, last=STATE) as folder:
            yield folder
            write_json(folder / STATE, {"agent": self._agent, "steps": steps, "config": asdict(self._config)})


def read_state(path: Path) -> dict[str, Any]:
    """Read a `STATE` file: ``agent``, ``steps`` and ``config``.

    Raises:
        ValueError: damaged, or not the file of an agent.
    """
    state = check_mapping(f"{shown_path(path)}: agent", read_json(path, "agent"))
    check_text(f"{shown_path(path)}: agent", state.get("agent", "ppo"))
    check_mapping(f"{shown_path(path)}: config", state.get("config"))
    check_whole(f"{shown_path(path)}: steps", state.get("steps"))
    return {"agent": "ppo", **state}


def _cut_log(path: Path, steps: int) -> float:
    """Keep the lines of a log up to ``steps`` steps; return the seconds of the last one, 0 without any."""
    kept, seconds = [], 0.0
    if path.is_file():
        for line in read_text(path, "log", _MOST_LOG, "the log of a training").splitlines():
            with suppress(ValueError):  # half a line, which a killed process left
                entry = parse_json(line, "log")
                if isinstance(entry, dict) and isinstance(entry.get("steps"), int) and entry["steps"] <= steps:
                    kept.append(line + "\n")
                    spent = entry.get("seconds")
                    seconds = float(spent) if isinstance(spent, int | float) else seconds
    with atomic_write(path) as temporary:
        temporary.write_text("".join(kept), encoding="utf-8")
    return seconds
