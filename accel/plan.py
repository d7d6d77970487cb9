"""What one chunk will cost and why: the decision record that the planner writes and a world executes.

A plan holds no tensors. It can be printed, stored as JSON and replayed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, Literal

Regime = Literal["warmup", "explore", "revisit"]
AttentionKind = Literal["dense", "block_sparse"]


@dataclass(frozen=True)
class AttentionPlan:
    """How much of the history every query tile may attend to.

    ``decode_ratio`` is the share of history tiles kept while denoising, ``context_ratio`` the share kept inside the
    context pass; both are 1.0 when ``kind`` is ``"dense"``. With ``dense_first_block`` the first transformer block
    attends to everything all the same.
    """

    kind: AttentionKind = "dense"
    decode_ratio: float = 1.0
    context_ratio: float = 1.0
    dense_first_block: bool = True


@dataclass(frozen=True)
class ChunkPlan:
    """One chunk of one world.

    Attributes:
        chunk: index of the chunk in its episode, from 0.
        regime: ``warmup`` (the first chunks), ``explore`` (new views) or ``revisit`` (old frames show what comes).
        similarity: how well the history shows the coming views, in [0, 1], as the policy that decided measures it.
        temporal: latent indices of the recent window, increasing.
        memory: latent indices retrieved from further back, increasing, disjoint from ``temporal``.
        sigmas: noise levels to run, decreasing, the last one 0: ``len(sigmas) - 1`` model calls.
        attention: dense, or block sparse with its ratios.
        reason: one sentence in words.
        slots: for worlds whose memory comes in slots, what fills them: (a latent of ``memory``, the coming latent whose
            view it was chosen for, counted from 0); a latent may fill several slots.
    """

    chunk: int
    regime: Regime
    similarity: float
    temporal: tuple[int, ...]
    memory: tuple[int, ...]
    sigmas: tuple[float, ...]
    attention: AttentionPlan
    reason: str
    slots: tuple[tuple[int, int], ...] = ()

    @property
    def context(self) -> tuple[int, ...]:
        """Latent indices of the whole context, increasing."""
        return tuple(sorted(self.temporal + self.memory))

    @property
    def steps(self) -> int:
        """Number of denoising model calls."""
        return len(self.sigmas) - 1

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary; ``from_dict`` restores an equal plan."""
        # Not dataclasses.asdict: a batch of worlds asks for this in every step, and nothing inside can be changed.
        return {**vars(self), "attention": dict(vars(self.attention))}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ChunkPlan:
        """Rebuild a plan stored by ``to_dict`` (lists from JSON become tuples).

        Raises:
            ValueError: keys are missing or unknown.
        """
        values = dict(_checked("plan", cls, data))
        values["attention"] = AttentionPlan(**_checked("attention", AttentionPlan, values["attention"]))
        for key in ("temporal", "memory", "sigmas"):
            values[key] = tuple(values[key])
        values["slots"] = tuple((int(latent), int(view)) for latent, view in values.get("slots", ()))
        return cls(**values)


def _checked(what: str, cls: type[ChunkPlan | AttentionPlan], data: Any) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        raise ValueError(f"{what}: {data!r} is not a mapping of keys to values")
    known = [entry.name for entry in fields(cls)]
    needed = [entry.name for entry in fields(cls) if entry.default is MISSING]
    if unknown := [str(key) for key in data if key not in known]:
        raise ValueError(f"{what}: unknown key {unknown[0]!r}; allowed: {', '.join(known)}")
    if missing := [key for key in needed if key not in data]:
        raise ValueError(f"{what}: key {missing[0]!r} is missing; needed: {', '.join(needed)}")
    return data
