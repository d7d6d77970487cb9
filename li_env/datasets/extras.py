"""Optional libraries of recorded datasets."""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from li_env.errors import MissingExtraError


def installed(package: str) -> str:
    """Return the version of a package; empty without it."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def ray() -> Any:
    """Import Ray.

    Raises:
        MissingExtraError: the extra ``cluster`` is not installed.
    """
    try:
        return importlib.import_module("ray")
    except ImportError:
        raise MissingExtraError("ray", "cluster", "collecting on a cluster") from None
