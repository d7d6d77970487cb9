"""TeaCache: a denoising step whose input hardly changed reuses what the last computed step added to its tokens.

The input is the modulated norm in front of the first block. Its relative change since the step before, turned into a
change of the output by a polynomial, is added up; a step is reused as long as the sum stays below a threshold. The
first and the last step are always computed, and nothing is kept from chunk to chunk. Every row of a batch decides for
itself; a call that some rows need is made for all, and the others ignore it.

Source: docs/spec/baselines.md, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from li_env.accel.world import ChunkRequest
from li_env.accel.world_spec import WorldSpec

FITTED = 0.3
"""Largest change that published polynomials of a degree above 1 were fitted on; they grow without bounds beyond."""


class StepReuse:
    """Decisions and memory of one chunk of a batch. Make a new one for every chunk.

    Args:
        requests: of the batch; all have a schedule of equal length and a plan that allows reuse.
        spec: constants of the world.
    """

    def __init__(self, requests: Sequence[ChunkRequest], spec: WorldSpec) -> None:
        self._requests, self._rescale = requests, spec.step_rescale
        self._steps = requests[0].plan.steps
        self._sums = [0.0] * len(requests)
        self._input: torch.Tensor | None = None
        self._residual: torch.Tensor | None = None
        self._output: torch.Tensor | None = None
        self._computed: list[list[bool]] = [[] for _ in requests]
        self._changes: list[list[float]] = [[] for _ in requests]
        self._outcomes: list[list[float]] = [[] for _ in requests]
        self._observe = any(request.log is not None and request.log.observe for request in requests)

    def begin(self, modulated: torch.Tensor) -> bool:
        """Decide on the next step from its modulated input [B, ...]; return whether any row computes it.

        The host waits for a GPU once per step, unless every row follows a stored decision.
        """
        step = len(self._computed[0])
        fixed = step in (0, self._steps - 1)
        stored = all(request.plan.computed for request in self._requests)
        changes = [0.0] * len(self._requests)
        if step and (self._observe or not (fixed or stored)) and self._input is not None:
            changes = _relative(modulated, self._input)
        for row, (request, change) in enumerate(zip(self._requests, changes, strict=True)):
            plan = request.plan
            self._sums[row] = 0.0 if fixed else self._sums[row] + rescaled(self._rescale, change)
            reached = plan.reuse_threshold is None or self._sums[row] >= plan.reuse_threshold
            computed = plan.computed[step] if plan.computed else fixed or reached
            if computed:
                self._sums[row] = 0.0
            self._computed[row].append(computed)
            if step:
                self._changes[row].append(change)
        self._input = modulated
        return any(row[-1] for row in self._computed)

    def reused(self, before: torch.Tensor) -> torch.Tensor:
        """Return the tokens behind the blocks from those before them, where no row computes the step."""
        assert self._residual is not None
        return before + self._residual

    def finish(self, before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        """Return the tokens behind the blocks where some rows compute the step, and keep what those add.

        Args:
            before: [B, ...], tokens before the first block.
            after: [B, ...], tokens behind the last one, computed for all rows.
        """
        if self._observe:
            if self._output is not None:
                for row, outcome in enumerate(_relative(after, self._output)):
                    self._outcomes[row].append(outcome)
            self._output = after
        added = after - before
        flags = [row[-1] for row in self._computed]
        if all(flags) or self._residual is None:
            self._residual = added
            return after
        mask = torch.tensor(flags, device=after.device).view(-1, *[1] * (after.ndim - 1))
        whole = torch.where(mask, after, before + self._residual)
        self._residual = torch.where(mask, added, self._residual)
        return whole

    def report(self) -> None:
        """Write what was computed into the logs of the requests."""
        for row, request in enumerate(self._requests):
            if request.log is not None:
                request.log.computed = tuple(self._computed[row])
                request.log.changes = tuple(zip(self._changes[row], self._outcomes[row], strict=False))


def step_reuse(requests: Sequence[ChunkRequest], spec: WorldSpec) -> StepReuse | None:
    """Return what decides on the steps of a batch, None where every step is computed."""
    plan = requests[0].plan
    return None if plan.reuse_threshold is None and not plan.computed else StepReuse(requests, spec)


def rescaled(polynomial: Sequence[float], change: float) -> float:
    """Return the change of the output, 0 or more, from that of the input; the highest power comes first."""
    value, at = 0.0, min(change, FITTED) if len(polynomial) > 2 else change
    for coefficient in polynomial:
        value = value * at + coefficient
    return max(0.0, value)


def _relative(new: torch.Tensor, old: torch.Tensor) -> list[float]:
    """Return the mean absolute difference of every row over the mean absolute value of the old one."""
    first, second = new.flatten(1).float(), old.flatten(1).float()
    size = second.abs().mean(dim=1).clamp(min=torch.finfo(torch.float32).tiny)
    found: list[float] = ((first - second).abs().mean(dim=1) / size).tolist()
    return found
