"""Errors that tell the user what to do about them. Bad values raise plain ``ValueError``."""

from __future__ import annotations

from gymnasium.error import DependencyNotInstalled


class MissingExtraError(DependencyNotInstalled, ImportError):
    """An optional dependency is absent; the message names the extra that installs it.

    It is Gymnasium's error for the same situation and an ``ImportError``, so either can be caught.
    """

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {package}: pip install 'li-env[{extra}]'")
