"""The table of recorded files: what made them, when, from which commit."""

from __future__ import annotations

from typing import Any

from figure_tools import FigureError, Recorded, figure, table

LANDED = "landed.json"
"""Commits that files landed with, which need not be the code that ran: files from before provenance was recorded, and
files whose commit was ``rebased`` afterwards."""


def origins(recorded: Recorded, file: str) -> list[tuple[str, dict[str, Any] | None]]:
    """Return (parts, provenance) of a file; None stands for parts that were recorded without it."""
    found = {} if file.endswith(".jsonl") else recorded.get(file)
    if "identity" in found:
        return evaluations(found, recorded.get(LANDED).get(file, {}))
    facts = found.get("provenance") or {}
    if not facts:
        return [("", None)]
    if "command" in facts:
        return [("", facts)]
    together: dict[str, list[str]] = {}
    for part, own in facts.items():
        together.setdefault(str(own), []).append(part)
    rows: list[tuple[str, dict[str, Any] | None]] = [
        (", ".join(f"`{part}`" for part in parts), facts[parts[0]]) for parts in together.values()
    ]
    others = [key for key, value in found.items() if isinstance(value, dict | list) and key not in facts]
    return rows + ([("other parts", None)] if set(others) - {"provenance", "ceilings_tflops", "versions"} else [])


def evaluations(report: dict[str, Any], landed: dict[str, Any]) -> list[tuple[str, dict[str, Any] | None]]:
    """Return (parts, provenance) of a report of `li-env evaluate world`, one per process that was joined into it."""
    rows: list[tuple[str, dict[str, Any] | None]] = []
    for run in report.get("runs", [report]):
        parts = ", ".join(f"`{part}`" for part in run["parts"]) if "runs" in report else ""
        commit = run["commit"]
        facts = {
            "command": run["command"],
            "commit": commit,
            "clean": commit is None or not commit.endswith("-dirty"),
            "date": run.get("date") or landed["date"],
            "gpus": [run["device"]],
        }
        rows.append((parts, facts))
    return rows


def machine(recorded: Recorded, file: str, facts: dict[str, Any] | None, landed: dict[str, Any]) -> str:
    """Return the GPUs, or the processor."""
    if facts is None and "machine" in landed:
        return str(landed["machine"])
    if facts is not None:
        return ", ".join(dict.fromkeys(facts["gpus"])) or f"{facts['cpu']}, {facts['cpus']} CPUs"
    found = {} if file.endswith(".jsonl") else recorded.get(file)
    worlds = found.get("worlds")
    name = worlds[0]["device"] if worlds else found.get("device") or found.get("machine")
    return str(name or "NVIDIA H200")


@figure("files")
def files(recorded: Recorded) -> str:
    """All recorded files of the folder."""
    landed, notes, rows = recorded.get(LANDED), [], []
    names = {path.relative_to(recorded.folder).as_posix() for path in recorded.folder.rglob("*.json*")}
    agents = {name for name in names if name.startswith(("mapper/", "agents/"))}
    for file in sorted(names - {LANDED, "published.json"} - agents):
        for parts, facts in origins(recorded, file):
            if facts is None and file not in landed:
                raise FigureError(f"benchmarks/{file}: no provenance in it, and {LANDED} does not know it")
            old = landed.get(file, {})
            words = f"`{file}`" + (f": {parts}" if parts else "")
            if facts is None and "note" in old:
                notes.append(f"[{len(notes) + 1}] `{file}` {old['note']}.")
                words += f" [{len(notes)}]"
            command, date = (old["command"], old["date"]) if facts is None else (facts["command"], facts["date"][:10])
            shown = f"`{command}`" if command.split()[0] in ("python", "li-env") else command
            rows.append((words, shown, code(facts, old), machine(recorded, file, facts, old), date))
    text = table(("file", "command (without `--out`)", "code", "machine", "date"), rows)
    return "\n".join([text, *(f"\n{note}" for note in notes)])


def code(facts: dict[str, Any] | None, landed: dict[str, Any]) -> str:
    """Name the commit that ran; where it is unknown, or was rebased later, the one that the file landed with."""
    if facts is None:
        return f"landed with {landed['commit']}"
    if facts["commit"] is None:
        return "not recorded"
    if "rebased" in landed and facts["commit"].startswith(landed["rebased"]):
        return f"before a rebase; landed with {landed['commit']}"
    return facts["commit"][:7] + ("" if facts["clean"] else ", changed")
