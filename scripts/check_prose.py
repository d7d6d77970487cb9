"""Find openings and words that the house style refuses, in docstrings, comments and pages.

    python scripts/check_prose.py               # every tracked Python file and page; exit status 1 with findings
    python scripts/check_prose.py accel docs    # only these files and folders

The list stands at the end of CONTRIBUTING.md; docs/concepts.md has the words to use instead. Code is left alone: names
in backticks, fenced blocks, and strings that are no docstrings.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import subprocess
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
PAGE = "CONTRIBUTING.md"
FENCE = re.compile(r"^(```|~~~).*?^\1", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"``.+?``|`[^`]+`", re.DOTALL)
DIRECTIVE = re.compile(r"#\s*(?:noqa|type:|fmt:|ruff:|mypy:|!)")
PROPERTIES = {"property", "cached_property"}


@dataclass(frozen=True)
class Finding:
    """A refused opening or word at a line of a file."""

    name: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.name}:{self.line}: {self.what}"


@dataclass(frozen=True)
class Rules:
    """What is refused.

    Attributes:
        openings: first words of any docstring.
        function_openings: first words of a function's docstring, besides those.
        words: words and phrases anywhere, with the phrases in which they are allowed.
    """

    openings: frozenset[str]
    function_openings: frozenset[str]
    words: dict[str, tuple[str, ...]]

    @classmethod
    def read(cls, page: Path) -> Rules:
        """Read the last fenced YAML block of a page.

        Raises:
            ValueError: the page has none, or a key is missing.
        """
        blocks = re.findall(r"^```yaml\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
        if not blocks:
            raise ValueError(f"{page}: no block of YAML")
        data: dict[str, Any] = yaml.safe_load(blocks[-1])
        try:
            openings, functions, words = (data[key] for key in ("openings", "function_openings", "words"))
        except KeyError as error:
            raise ValueError(f"{page}: the key {error} is missing in the last block of YAML") from None
        allowed = {word: tuple(data.get("allowed", {}).get(word, ())) for word in words}
        return cls(frozenset(openings), frozenset(functions), allowed)

    def opening(self, text: str, function: bool) -> str | None:
        """Return the refused first word of a docstring, if it has one."""
        match = re.match(r"\s*([A-Za-z]+)\b", text)
        refused = self.openings | self.function_openings if function else self.openings
        return match[1] if match and match[1] in refused else None

    def refused(self, text: str) -> Iterator[tuple[int, str]]:
        """Yield (offset, word) of every refused word in ``text``, code left out."""
        text = CODE.sub(lambda match: re.sub(r"\S", "`", match[0]), text)
        for word, allowed in self.words.items():
            keep = [span for phrase in allowed for span in _spans(phrase, text)]
            for start, end in _spans(word, text):
                if not any(first <= start and end <= last for first, last in keep):
                    yield start, word


def _spans(phrase: str, text: str) -> list[tuple[int, int]]:
    """Find a phrase whose words may stand on different lines."""
    pattern = r"\s+".join(map(re.escape, phrase.split()))
    return [match.span() for match in re.finditer(rf"(?<![\w-]){pattern}(?![\w-])", text, re.IGNORECASE)]


def findings(name: str, text: str, rules: Rules) -> list[Finding]:
    """Check one file, Python or Markdown by the end of its ``name``."""
    found = []
    for line, part, docstring, function in _python(text) if name.endswith(".py") else _page(text):
        if docstring and (word := rules.opening(part, function)):
            found.append(Finding(name, line, f"docstring opens with {word!r}"))
        for offset, word in rules.refused(part):
            found.append(Finding(name, line + part.count("\n", 0, offset), f"refused word {word!r}"))
    return sorted(found, key=lambda one: one.line)


def _page(text: str) -> Iterator[tuple[int, str, bool, bool]]:
    """Yield a page as one part, its fenced blocks blanked."""
    yield 1, FENCE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text), False, False


def _python(text: str) -> Iterator[tuple[int, str, bool, bool]]:
    """Yield (line, text, whether it is a docstring, whether it is a function's) of docstrings and comments."""
    for node in ast.walk(ast.parse(text)):
        function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not any(
            getattr(each, "id", getattr(each, "attr", "")) in PROPERTIES for each in node.decorator_list
        )
        body = getattr(node, "body", None)
        for index, statement in enumerate(body if isinstance(body, list) else []):
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                value = statement.value.value
                if isinstance(value, str):  # of the node itself, or of the attribute in front
                    yield statement.lineno, value, True, function and index == 0
    yield from ((line, part, False, False) for line, part in _comments(text))


def _comments(text: str) -> Iterator[tuple[int, str]]:
    """Yield (line, text) of comments; neighbouring lines that hold nothing else are one comment."""
    start, lines = 0, list[str]()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type != tokenize.COMMENT or DIRECTIVE.match(token.string):
            continue
        alone = not token.line[: token.start[1]].strip()
        if lines and not (alone and token.start[0] == start + len(lines)):
            yield start, "\n".join(lines)
            lines = []
        if not lines:
            start = token.start[0]
        lines.append(token.string.lstrip("# "))
    if lines:
        yield start, "\n".join(lines)


def tracked(root: Path, paths: Sequence[str]) -> list[str]:
    """List the Python files and pages below ``paths`` that git knows, links left out."""
    listed = subprocess.run(
        ["git", "-C", root, "ls-files", "-z", "--", *paths], capture_output=True, text=True, check=True
    ).stdout.split("\0")
    return [name for name in listed if name.endswith((".py", ".md")) and (root / name).is_file()]


def main(argv: Sequence[str] | None = None) -> int:
    """Print the findings of the given files and their number by top-level folder; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", help="files and folders; everything by default")
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    rules = Rules.read(given.root / PAGE)
    found = [
        one
        for name in tracked(given.root, given.paths)
        for one in findings(name, (given.root / name).read_text(encoding="utf-8"), rules)
    ]
    for one in found:
        print(one)
    folders = Counter(one.name.split("/")[0] for one in found)
    counts = (f"{folder} {count}" for folder, count in sorted(folders.items()))
    print(f"findings: {len(found)}", *counts, file=sys.stderr)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
