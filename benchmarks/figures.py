"""Put the numbers of the recorded files into README.md, docs/ and benchmarks/README.md.

    python benchmarks/figures.py            # rewrite what differs
    python benchmarks/figures.py --check    # say what differs, change nothing; exit status 1 if anything does

A figure stands between two comments, which no reader of the page sees: `<!-- figure NAME -->text<!-- /figure -->`,
within a line, or as a block with each comment on a line of its own (tables, whole paragraphs: then their words stand
here too, in the module that makes them). What a NAME is made of: `figures_*.py` beside this file.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from figure_tools import FIGURES, FigureError, Recorded

ROOT = Path(__file__).resolve().parents[1]

MODULES = (
    "figures_agents",
    "figures_datasets",
    "figures_detour",
    "figures_files",
    "figures_freedoom",
    "figures_kernels",
    "figures_large_size",
    "figures_large_worlds",
    "figures_ppo",
    "figures_presets",
    "figures_world",
)

PAGES = ("docs", "docs/worlds")
"""Folders of pages that may hold figures. Pages of docs/spec hold published constants and no measurements."""

MARKER = re.compile(r"<!-- figure (?P<name>[^\s>]+) -->(?P<text>.*?)<!-- /figure -->", re.DOTALL)

ANY_MARKER = re.compile(r"<!--\s*/?figure\b[^>]*-->")


def texts(root: Path) -> list[Path]:
    """List the files that hold figures."""
    pages = (page for folder in PAGES for page in sorted((root / folder).glob("*.md")))
    own = (root / "benchmarks/README.md", *sorted((root / "benchmarks").glob("*/README.md")))
    return [path for path in (root / "README.md", *pages, *own) if path.exists()]


def filled(text: str, recorded: Recorded, name: str) -> str:
    """``text`` with every figure as the files have it.

    Raises:
        FigureError: an unknown figure, a file or a key that is missing, markers that do not pair. One line, with
            ``name`` of the text in front.
    """
    pairs, markers = len(MARKER.findall(text)), len(ANY_MARKER.findall(text))
    if markers != 2 * pairs or any(ANY_MARKER.search(match["text"]) for match in MARKER.finditer(text)):
        raise FigureError(f"{name}: figures begin and end in turn: <!-- figure NAME -->text<!-- /figure -->")

    def value(match: re.Match[str]) -> str:
        key = match["name"]
        if key not in FIGURES:
            raise FigureError(f"{name}: figure {key[:80]!r} is unknown; allowed: those that figures_*.py define")
        try:
            found = FIGURES[key](recorded)
        except FigureError as error:
            raise FigureError(f"{name}: figure {key!r}: {error}") from None
        block = match["text"].startswith("\n")
        inside = f"\n{found}\n" if block else found
        return f"<!-- figure {key} -->{inside}<!-- /figure -->"

    return MARKER.sub(value, text)


def differences(old: str, new: str) -> Iterator[str]:
    """Names of the figures that differ."""
    for before, after in zip(MARKER.finditer(old), MARKER.finditer(new), strict=True):
        if before["text"] != after["text"]:
            yield before["name"]


def load_figures() -> None:
    """Import the modules that define figures."""
    for name in MODULES:
        __import__(name)


def main(argv: list[str] | None = None) -> int:
    """Rewrite or check; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing, exit with 1 if a text differs")
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    load_figures()
    recorded, changed = Recorded(given.root / "benchmarks"), {}
    try:
        for path in texts(given.root):
            name, old = path.relative_to(given.root).as_posix(), path.read_text(encoding="utf-8")
            new = filled(old, recorded, name)
            if new != old:
                changed[path] = new
                print(f"{name}: {', '.join(differences(old, new))}")
    except FigureError as error:
        print(f"figures: {error}", file=sys.stderr)
        return 2
    if given.check:
        if changed:
            print("run `python benchmarks/figures.py`", file=sys.stderr)
        return int(bool(changed))
    for path, new in changed.items():
        path.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
