"""The HY-WorldPlay world: the published 8B action model, run as the planner decides."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from li_env.worlds.hy_worldplay.world import HYWorldPlayWorld


def load(device: str = "cpu", weights: str | Path | None = None, **kwargs: Any) -> HYWorldPlayWorld:
    """See `li_env.worlds.hy_worldplay.build.load`; imported late, so that listing worlds stays light."""
    from li_env.worlds.hy_worldplay.build import load as load_world

    return load_world(device, weights, **kwargs)
