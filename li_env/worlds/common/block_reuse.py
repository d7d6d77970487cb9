"""Results of transformer blocks reused from the chunk before, at the same denoising step."""

from __future__ import annotations

from collections.abc import Callable

import torch

from li_env.accel.kept_work import Sharing, StepBlock


class BlockReuse:
    """Choice between computing a block and adding what it added in the chunk before.

    A block is reused if its input differs from the input that the kept result was computed for by less than ``gate``:
    the mean absolute difference over the mean absolute value. A reused result stays beside its own input, so changes
    add up from chunk to chunk until the block is computed again.

    Args:
        sharing: work of the chunk before, and where this chunk's work goes.
        gate: change of the input below which a block is reused; 0 reuses none.
        decided: the steps and blocks to reuse in any case, and no other; None leaves the choice to ``gate``.
    """

    def __init__(self, sharing: Sharing, gate: float, decided: tuple[StepBlock, ...] | None = None) -> None:
        self._sharing, self._gate, self._decided = sharing, gate, decided
        self._before = {} if sharing.before is None else sharing.before.blocks
        self._step = -1

    def begin_step(self) -> None:
        """Begin the next denoising step."""
        self._step += 1

    def run(self, block: int, z: torch.Tensor, compute: Callable[[], torch.Tensor]) -> torch.Tensor:
        """Return the output of a block for tokens ``z``, of any shape: computed, or ``z`` plus the kept result."""
        key = self._step, block
        kept = self._before.get(key)
        if kept is not None and self._reuses(key, z, kept[0]):
            self._sharing.reused.append(key)
            self._sharing.blocks[key] = kept
            return z + kept[1]
        out = compute()
        self._sharing.blocks[key] = z, out - z
        return out

    def _reuses(self, key: StepBlock, z: torch.Tensor, before: torch.Tensor) -> bool:
        if self._decided is not None:
            return key in self._decided
        if not self._gate or z.shape != before.shape:
            return False
        change = (z - before).abs().mean() / before.abs().mean()
        return float(change) < self._gate
