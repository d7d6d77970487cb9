"""Where recorded numbers come from: command, commit, machine and versions, kept beside them in every JSON file.

    python benchmarks/provenance.py FILE -- COMMAND ...

runs a command that writes FILE and adds its provenance, for commands of the package itself, which knows no repository.
For a copy of the tree on another machine the environment variable LI_ENV_COMMIT names the commit:
`LI_ENV_COMMIT=$(git describe --always --abbrev=40 --dirty)`. Without it commit and clean are null, never a guess.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from li_env.accel.runtime.machine import versions
from li_env.files import write_json

ROOT = Path(__file__).resolve().parents[1]

RESULTS = re.compile(r"benchmarks/.*\.(json|jsonl|png|safetensors)|(docs/|benchmarks/)?[^/]*\.md")
"""Recorded results, and the texts that quote them: rewriting these leaves a tree clean."""

COMMIT = re.compile(r"([0-9a-f]{7,40})(-dirty)?")


def provenance(command: list[str] | None = None) -> dict[str, Any]:
    """Tell where numbers measured now come from, JSON-ready. Call it before measuring, so that the tree is what ran.

    Args:
        command: words of the command line; this process's by default.

    Returns:
        ``command``; ``commit`` (what LI_ENV_COMMIT says, else 40 digits or None); ``clean``: whether all but recorded
        results was committed (None without a commit); ``date`` (UTC); ``gpus``: names; ``cpu`` and ``cpus``: model and
        how many this process may use; ``versions`` of python, torch, triton, numpy and li_env.

    Raises:
        ValueError: LI_ENV_COMMIT is no commit.
    """
    commit, clean = committed()
    return {
        "command": shlex.join(own_command() if command is None else command),
        "commit": commit,
        "clean": clean,
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
        "gpus": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
        "cpu": processor(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "versions": {**versions(), "triton": installed("triton")},
    }


def own_command() -> list[str]:
    """Return the command of this process, the script named from the repository's root."""
    script = Path(sys.argv[0]).resolve()
    name = script.relative_to(ROOT).as_posix() if script.is_relative_to(ROOT) else script.name
    return ["python", name, *sys.argv[1:]]


def committed() -> tuple[str | None, bool | None]:
    """(commit, clean) of LI_ENV_COMMIT, else of the repository around this file, else (None, None).

    The variable goes first: a copy of the tree on another machine may bring a repository that is older than its files.
    """
    given = os.environ.get("LI_ENV_COMMIT")
    if given:
        match = COMMIT.fullmatch(given)
        if match is None:
            raise ValueError(f"LI_ENV_COMMIT={given[:80]!r} is not allowed; use 7 to 40 hex digits, or SHA-dirty")
        return match[1], match[2] is None
    top = git("rev-parse", "--show-toplevel")
    if top is not None and Path(top.strip()).resolve() == ROOT:
        commit, status = git("rev-parse", "HEAD"), git("status", "--porcelain", "--no-renames", "--untracked-files=all")
        if commit is not None and status is not None:
            return commit.strip(), all(RESULTS.fullmatch(line[3:].strip('"')) for line in status.splitlines())
    return None, None


def git(*words: str) -> str | None:
    """Return what git prints here; None without git or outside a repository."""
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def processor() -> str:
    """Return the processor's model as the system names it."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    match = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return match[1].strip() if match else platform.processor() or platform.machine()


def installed(package: str) -> str | None:
    """Version of a package; None if it is not there."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def main(argv: list[str] | None = None) -> int:
    """Run a command and add its provenance to the file that it writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="JSON that the command writes")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="after --")
    arguments = parser.parse_args(argv)
    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    if not command:
        parser.error("a command is missing; write it after --")
    facts = provenance(command)
    before = arguments.file.stat().st_mtime_ns if arguments.file.exists() else None
    # The command line of this package also works where the package is only a folder.
    ours = (
        [sys.executable, "-c", "import sys; from li_env.cli import main; sys.exit(main())"]
        if command[0] == "li-env"
        else command[:1]
    )
    code = subprocess.run([*ours, *command[1:]], check=False).returncode
    if code:
        return code
    if not arguments.file.exists() or arguments.file.stat().st_mtime_ns == before:
        parser.error(f"{arguments.file}: the command did not write it")
    report = json.loads(arguments.file.read_text(encoding="utf-8"))
    write_json(arguments.file, {"provenance": facts, **{key: report[key] for key in report if key != "provenance"}})
    return 0


if __name__ == "__main__":
    sys.exit(main())
