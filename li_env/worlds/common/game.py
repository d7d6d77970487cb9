"""Check that the game behind the worlds ``freedoom`` and ``freedoom_game`` is installed."""

from __future__ import annotations

from li_env.doom.renderer import require_vizdoom
from li_env.errors import MissingExtraError


def require_game(purpose: str) -> None:
    """Stop with the command that installs ViZDoom if it is absent.

    Raises:
        MissingExtraError: ViZDoom is not installed.
    """
    try:
        require_vizdoom()
    except ImportError as error:
        raise MissingExtraError("ViZDoom", "doom", purpose) from error
