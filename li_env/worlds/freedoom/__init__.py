"""The freedoom world: a small chunked autoregressive video model trained on posed frames of random Doom maps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from li_env.worlds.freedoom.world import FreedoomWorld


def load(
    device: str = "cpu", weights: str | Path | None = None, dtype: str = "auto", execution: str = "auto"
) -> FreedoomWorld:
    """Load the world (see `li_env.worlds.freedoom.world.load`); imported late, so that the data tools stay light."""
    from li_env.worlds.freedoom.world import load as load_world

    return load_world(device, weights, dtype, execution)
