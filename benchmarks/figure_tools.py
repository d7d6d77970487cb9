"""Reading recorded files and writing their numbers as Markdown, for `figures.py`."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

WIDTH = 120


class FigureError(ValueError):
    """A figure that cannot be made; one line."""


class Recorded:
    """The JSON files of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._load = cache(self._read)

    def get(self, file: str, *keys: str | int) -> Any:
        """Return a value inside a file.

        Raises:
            FigureError: no such file, not JSON, or no such key (the message says which).
        """
        value = self._load(file)
        for number, key in enumerate(keys):
            try:
                value = value[key]
            except (KeyError, IndexError, TypeError):
                path = ".".join(str(part) for part in keys[: number + 1])
                raise FigureError(f"benchmarks/{file}: {path} is missing") from None
        return value

    def pick(self, file: str, *keys: str | int, **wanted: Any) -> dict[str, Any]:
        """Return the only row of a list whose entries have these values.

        Raises:
            FigureError: none, or more than one.
        """
        rows = [row for row in self.get(file, *keys) if all(row.get(key) == value for key, value in wanted.items())]
        if len(rows) != 1:
            path, words = ".".join(map(str, keys)), ", ".join(f"{key}={value!r}" for key, value in wanted.items())
            raise FigureError(f"benchmarks/{file}: {path} has {len(rows)} rows with {words}; 1 is needed")
        found: dict[str, Any] = rows[0]
        return found

    def _read(self, file: str) -> Any:
        try:
            text = (self.folder / file).read_text(encoding="utf-8")
        except OSError as error:
            raise FigureError(f"benchmarks/{file}: {error.strerror}") from None
        try:
            return json.loads(text)
        except ValueError as error:
            raise FigureError(f"benchmarks/{file}: not JSON ({error})") from None


Make = Callable[[Recorded], str]

FIGURES: dict[str, Make] = {}
"""What makes the text of every figure."""


def figure(name: str) -> Callable[[Make], Make]:
    """Register a function as the figure ``name``; a key that a row lacks becomes a `FigureError`."""

    def register(make: Make) -> Make:
        def made(recorded: Recorded) -> str:
            try:
                return make(recorded)
            except KeyError as error:
                raise FigureError(f"the key {error} is missing in a recorded file") from None

        FIGURES[name] = made
        return make

    return register


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Format a Markdown table."""
    lines = [list(header), ["---"] * len(header), *map(list, rows)]
    return "\n".join("|" + "|".join(f" {cell} " if cell != "---" else cell for cell in line) + "|" for line in lines)


def paragraph(text: str) -> str:
    """Text in lines of at most `WIDTH` characters; white space in ``text`` does not matter."""
    return textwrap.fill(" ".join(text.split()), WIDTH, break_long_words=False, break_on_hyphens=False)


def whole(value: float) -> str:
    """Write 3588.4 as 3,588."""
    return f"{value:,.0f}"


def fixed(value: float | None, digits: int = 1) -> str:
    """Format a number with ``digits`` digits after the point; empty for None."""
    return "" if value is None else f"{value:.{digits}f}"


def signed(value: float | None, digits: int = 2) -> str:
    """Format a number with its sign, zero without; ``-`` for None."""
    if value is None:
        return "-"
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text


def verdict(value: float, bar: float) -> str:
    """Return whether a bar was reached, in a word."""
    return "met" if value >= bar else "missed"


def span(values: Iterable[float], write: Callable[[float], str] = whole) -> str:
    """``least to most``, or the one value."""
    least, most = write(min(found := list(values))), write(max(found))
    return least if least == most else f"{least} to {most}"


def median(row: Mapping[str, Any], key: str) -> float:
    """Return the median of a measure that holds median, low and high."""
    value: float = row[key]["median"]
    return value
