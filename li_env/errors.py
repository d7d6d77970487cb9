"""Errors that tell the user what to do about them. Bad values raise plain ``ValueError``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from gymnasium.error import DependencyNotInstalled


class MissingExtraError(DependencyNotInstalled, ImportError):
    """An optional dependency is absent; the message names the extra that installs it.

    It is Gymnasium's error for the same situation and an ``ImportError``, so either can be caught.
    """

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {package}: pip install 'li-env[{extra}]'")


def check_choice(key: str, value: object, allowed: Iterable[str]) -> str:
    """Return ``value`` if it is one of ``allowed``, else raise a ``ValueError`` that lists them and the closest."""
    names = list(allowed)
    if isinstance(value, str) and value in names:
        return value
    close = get_close_matches(str(value), names, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    raise ValueError(f"{key}={value!r} is unknown{hint}; allowed: {', '.join(names)}")


def check_keys(what: str, mapping: Mapping[str, Any], allowed: Iterable[str]) -> None:
    """Raise a ``ValueError`` naming the first key of ``mapping`` that is not in ``allowed``."""
    names = list(allowed)
    for key in mapping:
        check_choice(f"{what} key", key, names)


def check_folder(key: str, folder: Path) -> None:
    """Raise a ``ValueError`` if ``folder`` cannot be made because it, or what it would lie in, is a file."""
    for path in (folder, *folder.parents):
        if path.exists():
            if not path.is_dir():
                raise ValueError(f"{key}={str(folder)!r}: {str(path)!r} is a file; allowed: a folder, new or existing")
            return
