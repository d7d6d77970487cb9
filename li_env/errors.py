"""Errors that tell the user what to do about them. Bad values raise plain ``ValueError``."""

from __future__ import annotations

import numbers
import os
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from gymnasium.error import DependencyNotInstalled

from li_env.files import WRITING, scratch_folder
from li_env.validation import SHOWN, shown


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
    close = get_close_matches(value[:SHOWN], names, n=1) if isinstance(value, str) else []
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    raise ValueError(f"{key}={shown(value)} is unknown{hint}; allowed: {', '.join(names)}")


def check_whole(key: str, value: object, least: int = 0, most: int | None = None) -> int:
    """Return ``value`` if it is a whole number (of Python or NumPy) from ``least`` to ``most``.

    Raises:
        ValueError: anything else, also numbers that would have to be rounded, and truth values.
    """
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or int(value) < least or (most is not None and int(value) > most):  # type: ignore[call-overload]
        allowed = f"a whole number from {least} up" if most is None else f"{least} to {most}"
        raise ValueError(f"{key}={shown(value)} is not allowed; allowed: {allowed}")
    return int(value)  # type: ignore[call-overload]


def check_keys(what: str, mapping: Mapping[str, Any], allowed: Iterable[str]) -> None:
    """Raise a ``ValueError`` naming the first key of ``mapping`` that is not in ``allowed``."""
    names = list(allowed)
    for key in mapping:
        check_choice(f"{what} key", key, names)


def check_folder(key: str, folder: str | Path, names: Iterable[str] = ()) -> Path:
    """Return a folder that files can be written to, existing or to be made.

    Args:
        key: name in the message.
        folder: to write to.
        names: of the files to be written there.

    Raises:
        ValueError: an empty name, a file where a folder has to be, a folder where a file has to be, or a place that
            cannot be written to; nothing is made.
    """
    path = _present(key, folder)
    shown_folder = f"{key}={shown(str(folder))}"
    try:
        there = next(each for each in (path, *path.parents) if os.path.lexists(each))
        if not there.is_dir():
            raise ValueError(f"{shown_folder}: {shown(str(there))} is a file; allowed: a folder, new or existing")
        for name in names:
            if (path / name).is_dir():
                raise ValueError(f"{shown_folder}: {name!r} in it is a folder; allowed: a folder without one")
        try:
            with scratch_folder(WRITING, there):  # what may be written only shows when it is tried
                pass
        except OSError as error:
            raise ValueError(
                f"{shown_folder}: {shown(str(there))} cannot be written to ({error.strerror}); allowed: another folder"
            ) from None
    except OSError as error:
        raise ValueError(f"{shown_folder} cannot be used ({error.strerror}); allowed: a folder") from None
    return path


def check_file(key: str, file: str | Path) -> Path:
    """Return the path of a file that can be written, existing or to be made.

    Raises:
        ValueError: an empty name, a folder of that name, or as `check_folder` about where it lies; nothing is made.
    """
    path = _present(key, file)
    try:
        if path.is_dir():
            raise ValueError(f"{key}={shown(str(file))} is a folder; allowed: the name of a file")
        check_folder(key, path.parent)
    except OSError as error:
        raise ValueError(f"{key}={shown(str(file))} cannot be used ({error.strerror}); allowed: a file") from None
    return path


def _present(key: str, path: str | Path) -> Path:
    if not isinstance(path, str | Path) or not str(path) or "\0" in str(path):
        raise ValueError(f"{key}={shown(path)} is not allowed; use the name of a folder or file")
    return Path(path)
