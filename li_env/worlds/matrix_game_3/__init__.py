"""Matrix-Game-3.0 (distilled): keyboard and mouse, memory of earlier views, 57 and then 40 frames per clip."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from li_env.worlds.matrix_game_3.world import MatrixGame3World


def load(device: str = "cpu", weights: str | Path | None = None, **kwargs: Any) -> MatrixGame3World:
    """Load the world, see `li_env.worlds.matrix_game_3.build.load`; imported late: listing worlds stays light."""
    from li_env.worlds.matrix_game_3.build import load as load_world

    return load_world(device, weights, **kwargs)
