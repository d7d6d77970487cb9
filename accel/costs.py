"""Cost table: measured times of a world's model calls on one device, by which presets leave out what does not pay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from li_env.accel.plan import AttentionPlan, ChunkPlan
from li_env.validation import check_keys, check_mapping, check_number, check_whole, shown

MOST_ROWS = 4096
"""Most entries of a list in a stored table."""


@dataclass(frozen=True)
class CallTimes:
    """Times of model calls with equally many episodes and one kind of attention.

    Attributes:
        episodes: episodes of a call.
        contexts: numbers of context latents, increasing.
        milliseconds: per number of context latents, the time of a chunk by number of denoising steps
            (`CostTable.steps`).
        decode_ratio: share of the history tiles that block-sparse attention kept; 1 for dense attention.
        context_ratio: the same in the context pass.
    """

    episodes: int
    contexts: tuple[int, ...]
    milliseconds: tuple[tuple[float, ...], ...]
    decode_ratio: float = 1.0
    context_ratio: float = 1.0

    @property
    def dense(self) -> bool:
        """Whether the calls ran dense attention."""
        return self.decode_ratio == 1.0 and self.context_ratio == 1.0

    def fits(self, attention: AttentionPlan) -> bool:
        """Return whether the calls ran this attention."""
        if attention.kind == "dense" or self.dense:
            return attention.kind == "dense" and self.dense
        ratios = attention.decode_ratio, attention.context_ratio
        return attention.kind == "block_sparse" and ratios == (self.decode_ratio, self.context_ratio)


@dataclass(frozen=True)
class CostTable:
    """Times of a world's model calls on one device, in milliseconds.

    Attributes:
        steps: numbers of denoising steps that were timed, increasing.
        calls: times of model calls; dense ones for every number of episodes, block-sparse ones where they may run.
        plain_plan: time of the plain rule's search per episode.
        coverage_plan: time of the search by coverage per episode.
    """

    steps: tuple[int, ...]
    calls: tuple[CallTimes, ...]
    plain_plan: float = 0.0
    coverage_plan: float = 0.0

    def knows(self, episodes: int) -> bool:
        """Return whether model calls of so many episodes were timed."""
        return any(each.episodes == episodes and each.dense for each in self.calls)

    def call(self, episodes: int, plan: ChunkPlan, steps: int) -> float:
        """Return the time of one model call, interpolated between what was timed.

        Attention that was not timed counts as dense, so that nothing is said about it.

        Args:
            episodes: episodes of the call, padding included; a number that the table `knows`.
            plan: gives the context and the attention.
            steps: denoising steps of the call.
        """
        own = [each for each in self.calls if each.episodes == episodes]
        found = next((each for each in own if each.fits(plan.attention)), None)
        if found is None:
            found = next(each for each in own if each.dense)
        # A latent that fills two memory slots is computed twice.
        context = len(plan.temporal) + (len(plan.slots) or len(plan.views) + len(plan.memory))
        by_steps = [np.interp(context, found.contexts, column) for column in zip(*found.milliseconds, strict=True)]
        return float(np.interp(steps, self.steps, by_steps))

    @classmethod
    def from_dict(cls, where: str, data: Any) -> CostTable:
        """Build from plain values; ``where`` names their place.

        Raises:
            ValueError: an unknown or missing key, or a value that is not allowed.
        """
        check_keys(where, check_mapping(where, data), [entry.name for entry in fields(cls)])
        steps = _increasing(f"{where}.steps", data.get("steps"))
        calls = []
        for index, given in enumerate(_listed(f"{where}.calls", data.get("calls"))):
            calls.append(_call(f"{where}.calls[{index}]", given, len(steps)))
        plans = (check_number(f"{where}.{key}", data.get(key, 0.0), 0) for key in ("plain_plan", "coverage_plan"))
        return cls(steps, tuple(calls), *(float(each) for each in plans))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; ``from_dict`` restores an equal table."""
        calls = [
            {**vars(each), "contexts": [*each.contexts], "milliseconds": [[*row] for row in each.milliseconds]}
            for each in self.calls
        ]
        return {**vars(self), "steps": [*self.steps], "calls": calls}


def _call(where: str, given: Any, steps: int) -> CallTimes:
    check_keys(where, check_mapping(where, given), [entry.name for entry in fields(CallTimes)])
    contexts = _increasing(f"{where}.contexts", given.get("contexts"))
    rows = _listed(f"{where}.milliseconds", given.get("milliseconds"))
    if len(rows) != len(contexts) or any(not isinstance(row, list) or len(row) != steps for row in rows):
        allowed = f"{len(contexts)} lists of {steps} numbers"
        raise ValueError(f"{where}.milliseconds={shown(rows)} is not allowed; use {allowed}")
    times = [tuple(float(check_number(f"{where}.milliseconds", each, 0, above=True)) for each in row) for row in rows]
    ratios = [
        float(check_number(f"{where}.{key}", given.get(key, 1.0), 0, 1, above=True))
        for key in ("decode_ratio", "context_ratio")
    ]
    return CallTimes(check_whole(f"{where}.episodes", given.get("episodes"), 1), contexts, tuple(times), *ratios)


def _listed(key: str, value: Any) -> Sequence[Any]:
    if not isinstance(value, list) or not 1 <= len(value) <= MOST_ROWS:
        raise ValueError(f"{key}={shown(value)} is not allowed; use a list of 1 to {MOST_ROWS} entries")
    return value


def _increasing(key: str, value: Any) -> tuple[int, ...]:
    numbers = tuple(check_whole(key, each, 1) for each in _listed(key, value))
    if list(numbers) != sorted(set(numbers)):
        raise ValueError(f"{key}={shown(value)} is not allowed; use increasing numbers")
    return numbers


def tables_from(where: str, data: Any) -> dict[str, CostTable]:
    """Read the tables of several devices, by the name that `BaseWorld.cost_name` gives.

    Raises:
        ValueError: as `CostTable.from_dict`.
    """
    given: Mapping[str, Any] = check_mapping(where, data)
    return {name: CostTable.from_dict(f"{where}.{name}", table) for name, table in given.items()}
