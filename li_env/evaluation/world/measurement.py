"""Measurement: the world, the game beside it, and the views of its scans as latents; what every part works with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch

from li_env.accel.view_bank import ViewBank
from li_env.accel.world import BaseWorld
from li_env.evaluation.fidelity.real_past import episode_seed
from li_env.evaluation.fidelity.walks import world_matrices
from li_env.evaluation.world.game import Game
from li_env.evaluation.world.settings import WorldSettings
from li_env.scans.encoded import encode_in_parts
from li_env.worlds.freedoom.efficientnet import FeatureNet
from li_env.worlds.freedoom.sizes import SMALL

_MAPS_TOGETHER = 16
"""Maps of the small size whose scans are rendered and encoded at once: their pictures fill a few GB."""

_ENCODED_TOGETHER = 512


@dataclass(frozen=True)
class Unit:
    """Smallest piece of a measurement that is kept when the rest is not reached.

    Attributes:
        labels: JSON-ready values that name the unit within its part.
        run: measures and returns JSON-ready values.
    """

    labels: Mapping[str, Any]
    run: Callable[[], dict[str, Any]]


@dataclass(eq=False)
class Measurement:
    """World, game and scans, shared by the parts.

    Attributes:
        world: the world.
        settings: what to measure.
        game: reference videos.
        net: network of the feature distance; None leaves that measure out.
        pictures: frames uint8 [n, L, H, W, 3] for the side-by-side picture, by name; parts add theirs.
    """

    world: BaseWorld
    settings: WorldSettings
    game: Game
    net: FeatureNet | None = None
    pictures: dict[str, np.ndarray] = field(default_factory=dict)
    _banks: dict[float, list[ViewBank]] = field(default_factory=dict)

    @cached_property
    def seeds(self) -> list[int]:
        """Seeds of the noise, one per trajectory, the same for every variant."""
        return [episode_seed(self.settings.seed, row) for row in range(self.settings.trajectories)]

    def banks(self, scan: float | None) -> list[ViewBank] | None:
        """Return the views of the scan of every map, ``scan`` being the metres between spots; None without a scan."""
        if scan is None:
            return None
        if scan not in self._banks:
            banks = []
            count = self.settings.trajectories
            together = _MAPS_TOGETHER * SMALL.tokens // self.settings.size.tokens
            for begin in range(0, count, together):
                rows = [*range(begin, min(count, begin + together))]
                banks += [self.bank(*views) for views in self.game.views(scan, rows)]
            self._banks[scan] = banks
        return self._banks[scan]

    def bank(self, images: np.ndarray, doom_poses: np.ndarray) -> ViewBank:
        """Encode views uint8 [v, H, W, 3] from Doom poses [v, 3]."""
        with torch.inference_mode():
            latents = encode_in_parts(self.world, images, _ENCODED_TOGETHER)
        return ViewBank(latents, world_matrices(doom_poses), self.world.spec.view_distance)


Part = Callable[[Measurement], list[Unit]]
"""Part of the measurement: lists its units, which measure nothing before they are run."""
