"""Commit of the code that measures, for the record."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

VARIABLE = "LI_ENV_COMMIT"
"""Environment variable that names the commit where no repository is around the package."""


def commit() -> str | None:
    """Return the commit, with ``-dirty`` where files differ from it; None where nobody knows.

    The variable goes first: a copy of the tree on another machine may bring a repository that is older than its files.
    """
    if given := os.environ.get(VARIABLE):
        return given[:80]
    root = Path(__file__).resolve().parents[3]
    if not (root / ".git").exists():  # an installed package inside somebody else's repository
        return None
    words = ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--dirty", "--match="]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
