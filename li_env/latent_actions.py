"""One action per latent of a chunk, instead of one that is held for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from li_env.accel.geometry.camera import STILL
from li_env.actions import ActionMapper, Commands, from_tensor


class LatentActions:
    """Actions of shape [n, ...], one row for each of the n latents of a chunk (`WorldSpec.chunk_latents`).

    The last row leads to the last latent of the chunk, the row before it to the one before, as the rows of
    ``info["motion"]`` do. Chunk 0 may have fewer new latents than there are rows, because its first latent is the start
    frame: then the first rows are not used (row 0 in a world whose chunks are all of n latents). Where chunk 0 has more
    new latents than rows, row 0 is held for those in front.

    ``stop`` in row 0 ends the episode, also where row 0 is not used otherwise. In another row ``stop`` stands still,
    because a step makes a whole chunk or none.

    Args:
        rows: the action space of one row.
        latents: n.
    """

    def __init__(self, rows: ActionMapper, latents: int) -> None:
        self.rows, self.latents = rows, latents
        self.name, self.limits, self.can_stop = rows.name, rows.limits, rows.can_stop
        self.space: spaces.Space[Any]
        if isinstance(rows.space, spaces.Discrete):
            self.space = spaces.MultiDiscrete(np.full(latents, rows.space.n))
        else:
            assert isinstance(rows.space, spaces.Box)
            low, high = (np.tile(bound, (latents, 1)) for bound in (rows.space.low, rows.space.high))
            self.space = spaces.Box(low, high, dtype=np.float32)

    @property
    def stop_action(self) -> np.ndarray | None:
        """Action ``stop`` in every row; None where there is none."""
        stop = self.rows.stop_action
        if stop is None:
            return None
        return np.stack([np.asarray(stop)] * self.latents)

    def commands(self, action: Any, count: int) -> Commands | None:
        """Give the motions of the ``count`` new latents of a chunk and the rows they come from; ``None`` for ``stop``.

        Raises:
            ValueError: another number of rows, or a row outside its space.
        """
        rows = self._split(action)
        motions = [self.rows.to_motion(row) for row in rows]
        if motions[0] is None:
            return None
        used = [max(0, row) for row in range(self.latents - count, self.latents)]
        return tuple(motions[row] or STILL for row in used), tuple(self.rows.kept(rows[row]) for row in used)

    def _split(self, action: Any) -> Sequence[Any]:
        try:
            array = np.asarray(from_tensor(action))
        except (TypeError, ValueError):
            array = np.empty(0)
        if array.shape != self.space.shape:
            what = f"shape {list(array.shape)}" if array.dtype != object and array.size else repr(action)[:80]
            raise ValueError(
                f"action={what} does not fit; allowed: shape {list(self.space.shape or ())}, one row per latent"
            )
        return list(array)
