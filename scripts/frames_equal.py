"""Compare what two commits do: ``make frames-equal BASE=<commit>``.

Both commits are checked out into a temporary folder. The `frame_hashes` of the newer one runs on both, on this machine
and with the same weights of the tiny models and the mapper. A difference fails unless `ANNOUNCED` names it; so does a
case that raises. A part that only the newer commit has, such as a new key of ``info``, is printed and does not fail.
Checkpoints and the results of the older commit are kept in ``outputs/frames_equal`` of the main checkout, for all its
worktrees.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, NamedTuple

SCRIPT = "scripts/frame_hashes.py"
SOURCES = ("scripts/frame_*.py", "benchmarks/mapper/*")


class Announced(NamedTuple):
    """A difference that is intended: patterns of case and part, and the reason in one line."""

    case: str
    part: str
    reason: str


_RELEASE = "preset paper holds the release's decisions for Matrix-Game-3.0 too"
_SINK = "all and context keep a sink in freedoom, and all runs another schedule in revisits there"

ANNOUNCED: tuple[Announced, ...] = (
    Announced("freedoom/explore/all", "*", _SINK),
    Announced("freedoom/explore/context", "*", _SINK),
    Announced("freedoom/[!e]*", "*", _SINK),
    Announced("matrix_game_3/explore/paper", "*", _RELEASE),
    Announced("matrix_game_3/start/options", "*", _RELEASE),
    Announced("matrix_game_3/vector/*Step", "*", _RELEASE),
)
"""One line and one reason each."""


class Difference(NamedTuple):
    """One part of one case; ``reason`` of the announcement that covers it, None if none does."""

    case: str
    part: str
    what: str
    reason: str | None


Results = dict[str, dict[str, Any]]


def compare(base: Results, head: Results, announced: Sequence[Announced] = ANNOUNCED) -> list[Difference]:
    """List the differences, cases and parts in the order of ``base``.

    Args:
        base: values by part by case, of the older commit.
        head: the same of the newer one.
        announced: intended differences. An error cannot be announced.
    """
    found = []
    for case in dict.fromkeys((*base, *head)):
        if case not in base or case not in head:
            found.append((case, "*", f"only in {'base' if case in base else 'head'}"))
            continue
        errors = [
            (case, "error", f"{name}: {record[case]['error'][0]}")
            for name, record in (("base", base), ("head", head))
            if "error" in record[case]
        ]
        found += errors
        for part, before in base[case].items() if not errors else ():
            after = head[case].get(part)
            if after is None:
                found.append((case, part, "missing in head"))
            elif repr(before) != repr(after):  # NaN equals NaN, 1 is not 1.0
                found.append((case, part, describe(before, after)))
    return [Difference(case, part, what, _reason(case, part, announced)) for case, part, what in found]


def describe(before: list[Any], after: list[Any]) -> str:
    """Say where two lists of values begin to differ, and how."""
    if len(before) != len(after):
        return f"{len(before)} values, now {len(after)}"
    unequal = [index for index, pair in enumerate(zip(before, after, strict=True)) if repr(pair[0]) != repr(pair[1])]
    first = unequal[0]
    return (
        f"{len(unequal)} of {len(before)} values differ, first number {first}: "
        f"{str(before[first])[:80]}, now {str(after[first])[:80]}"
    )


def new_parts(base: Results, head: Results) -> list[str]:
    """Name the parts that only ``head`` has, each once."""
    parts = {part for case in base if case in head for part in head[case] if part not in base[case]}
    return sorted(parts - {"error"})


def _reason(case: str, part: str, announced: Sequence[Announced]) -> str | None:
    for each in announced:
        if part != "error" and fnmatchcase(case, each.case) and fnmatchcase(part, each.part):
            return each.reason
    return None


def _git(*words: str | Path) -> str:
    return subprocess.run(["git", *map(str, words)], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


@contextmanager
def checked_out(*commits: str) -> Iterator[list[Path]]:
    """Check commits out side by side in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="frames-equal-") as folder:
        trees = [Path(folder) / str(index) for index in range(len(commits))]
        try:
            for commit, tree in zip(commits, trees, strict=True):
                _git("worktree", "add", "--quiet", "--detach", tree, commit)
            yield trees
        finally:
            for tree in trees:
                if tree.exists():
                    _git("worktree", "remove", "--force", tree)


def run(script: Path, tree: Path, *words: str | Path) -> int:
    """Run a script on the package of a tree; return its exit code."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("LI_ENV_", "PYTHON"))}
    environment = inherited | {"PYTHONPATH": str(tree), "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(script), *map(str, words)]
    return subprocess.run(command, cwd=tree, env=environment, check=False).returncode


def results(script: Path, tree: Path, checkpoints: Path, only: str, file: Path) -> Results:
    """Return the results for a tree, from ``file`` if it is there; errors are not kept.

    Raises:
        SystemExit: the script could not write results.
    """
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent) as folder:
            made = Path(folder) / file.name
            code = run(script, tree, "--checkpoints", checkpoints, "--only", only, "--out", made)
            if not made.exists():
                sys.exit(f"{script.name} ended with {code} in {tree}")
            if code:
                return json.loads(made.read_text())
            made.replace(file)
    return json.loads(file.read_text())


def key_of(commit: str, tree: Path, checkpoints: Path) -> str:
    """Digest all that decides results: commit, scripts, weights, installed packages, processor."""
    digest = hashlib.sha256(commit.encode())
    files = [*(file for pattern in SOURCES for file in tree.glob(pattern)), *checkpoints.rglob("*")]
    for file in sorted(each for each in files if each.is_file()):
        digest.update(file.name.encode() + file.read_bytes())
    packages = sorted(f"{each.name} {each.version}" for each in distributions())
    processor = Path("/proc/cpuinfo")
    lines = processor.read_text().splitlines() if processor.exists() else []
    known = sorted({line for line in lines if line.startswith(("model name", "flags"))})
    digest.update(repr([sys.version, packages, known]).encode())
    return digest.hexdigest()[:12]


def main() -> int:
    """Run both, print the differences; the exit code is 1 if one is not announced."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", required=True, help="the older commit")
    parser.add_argument("--head", default="HEAD", help="the newer commit, whose script and announcements count")
    parser.add_argument("--only", default="*", help="pattern of case names, such as 'freedoom_game/*'")
    arguments = parser.parse_args()
    os.chdir(Path(__file__).parents[1])
    base, head = (_git("rev-parse", "--verify", f"{each}^{{commit}}") for each in (arguments.base, arguments.head))
    if arguments.head == "HEAD" and _git("status", "--porcelain"):
        print("note: changes that are not committed are not looked at", file=sys.stderr)
    kept = Path(_git("rev-parse", "--path-format=absolute", "--git-common-dir")).parent / "outputs" / "frames_equal"
    checkpoints = kept / "checkpoints"
    with checked_out(base, head) as (base_tree, head_tree):
        script = head_tree / SCRIPT
        if run(script, base_tree, "--checkpoints", checkpoints):
            return 1
        key = key_of(base, head_tree, checkpoints)
        full = kept / f"{base[:12]}-{key}.json"
        part = kept / f"{base[:12]}-{key}-{hashlib.sha256(arguments.only.encode()).hexdigest()[:8]}.json"
        file = full if full.exists() or arguments.only == "*" else part
        before = results(script, base_tree, checkpoints, arguments.only, file)
        before = {case: parts for case, parts in before.items() if fnmatchcase(case, arguments.only)}
        with tempfile.TemporaryDirectory() as folder:
            after = results(script, head_tree, checkpoints, arguments.only, Path(folder) / "head.json")
    differences = compare(before, after)
    for each in differences:
        print(f"{each.case}  {each.part}: {each.what}" + (f"  [{each.reason}]" if each.reason else ""))
    if parts := new_parts(before, after):
        print(f"new parts, not compared: {', '.join(parts)}")
    failed = sum(each.reason is None for each in differences)
    print(f"{len(after)} cases, {len(differences)} differences, {failed} of them not announced")
    return int(failed > 0 or not after)


if __name__ == "__main__":
    sys.exit(main())
