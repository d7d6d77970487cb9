"""Report file: grows by one unit at a time, and goes on where an earlier run of equal settings stopped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from li_env.files import read_json, write_json

LABELS = "labels"
"""Key of a row: what names the unit within its part."""


class Store:
    """Rows of all parts in one JSON file.

    Args:
        path: of the file.
        head: what stands in front: ``identity`` (what must be equal for rows to stand together), ``commit``,
            ``settings`` and other values.

    Attributes:
        anew: names of the settings in which an earlier file differs, whose rows are dropped; empty without one.
    """

    def __init__(self, path: Path, head: Mapping[str, Any]) -> None:
        self._path, self._head = path, dict(head)
        self._parts: dict[str, dict[str, Any]] = {}
        self.anew: list[str] = []
        if path.is_file():
            found = read_json(path, "report")
            earlier = found.get("identity") if isinstance(found, dict) else None
            if earlier == self._head["identity"]:
                self._parts = found["parts"]
                self._head["settings"] = joined_settings(found["settings"], self._head["settings"])
            else:
                names = self._head["identity"]
                self.anew = [name for name in names if not earlier or earlier.get(name) != names[name]]

    def has(self, part: str, labels: Mapping[str, Any]) -> bool:
        """Tell whether a unit was measured."""
        return any(row[LABELS] == dict(labels) for row in self.rows(part))

    def rows(self, part: str) -> list[dict[str, Any]]:
        """Return the rows of a part."""
        rows: list[dict[str, Any]] = self._parts[part]["rows"] if part in self._parts else []
        return rows

    def add(self, part: str, labels: Mapping[str, Any], row: Mapping[str, Any], seconds: float) -> None:
        """Keep the row of a unit, with its commit, and write the file."""
        entry = self._parts.setdefault(part, {"seconds": 0.0, "commits": [], "rows": []})
        entry["rows"].append({LABELS: dict(labels), **row})
        entry["seconds"] = round(entry["seconds"] + seconds, 1)
        if self._head["commit"] not in entry["commits"]:
            entry["commits"].append(self._head["commit"])
        self.write({})

    def write(self, tail: Mapping[str, Any]) -> dict[str, Any]:
        """Write the file whole and return its content."""
        report = {**self._head, **tail, "parts": self._parts}
        write_json(self._path, report)
        return report


def joined_settings(earlier: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with the presets and spacings of an earlier run beside their own."""
    presets = dict.fromkeys([*earlier["presets"], *settings["presets"]])
    spacings = sorted({*earlier["spacings"], *settings["spacings"]})
    return {**settings, "presets": [*presets], "spacings": spacings}


def unit_words(part: str, labels: Mapping[str, Any]) -> str:
    """Return a unit in words: its part and the values of its labels."""
    values = ("no scan" if key == "scan" and value is None else str(value) for key, value in labels.items())
    return " ".join([part, *(value for value in values if value != "None")])


def find_row(report: Mapping[str, Any], part: str, **labels: Any) -> dict[str, Any] | None:
    """Return the first row of a part with these labels; None if it was not measured."""
    rows = report["parts"].get(part, {"rows": []})["rows"]
    return next((row for row in rows if all(row[LABELS].get(key) == value for key, value in labels.items())), None)


def value_at(row: Mapping[str, Any] | None, *keys: Any) -> Any:
    """Return a value inside a row; None where the row or a key is missing."""
    found: Any = row
    for key in keys:
        if isinstance(found, Mapping):
            found = found.get(key)
        elif isinstance(found, list):
            found = found[key] if key < len(found) else None
        else:
            return None
    return found
