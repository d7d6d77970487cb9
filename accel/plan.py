"""Decision record of a chunk: the planner writes a plan, a world executes the plan.

A plan holds no tensors. A plan can be printed, stored as JSON and replayed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from functools import lru_cache
from typing import Any, Literal

from li_env.validation import check_flag, check_number, check_text, check_whole, shown

MOST_ENTRIES = 100_000
"""Most latents or noise levels of a stored plan."""

Regime = Literal["warmup", "explore", "revisit"]
AttentionKind = Literal["dense", "block_sparse"]


@dataclass(frozen=True)
class AttentionPlan:
    """Share of the history that every query tile may attend to.

    Attributes:
        kind: ``dense`` or ``block_sparse``.
        decode_ratio: share of history tiles kept while denoising; 1.0 in dense attention.
        context_ratio: share of tiles kept inside the context pass; 1.0 in dense attention.
        dense_first_block: whether the first transformer block attends to everything in any case.
    """

    kind: AttentionKind = "dense"
    decode_ratio: float = 1.0
    context_ratio: float = 1.0
    dense_first_block: bool = True


@dataclass(frozen=True)
class ChunkPlan:
    """Plan of one chunk of one episode.

    Attributes:
        chunk: index of the chunk in its episode, from 0.
        regime: ``warmup`` (the first chunks), ``explore`` (new views) or ``revisit`` (old frames show what comes).
        similarity: how well the history shows the coming views, in [0, 1], as the policy that decided measures it.
        temporal: latent indices of the recent window, increasing.
        memory: latent indices retrieved from further back, increasing, disjoint from ``temporal``.
        sigmas: noise levels to run, decreasing, the last one 0: ``len(sigmas) - 1`` model calls.
        attention: dense, or block sparse with its ratios.
        reason: one sentence in words.
        slots: fillings of the memory slots, in worlds that have slots: (a latent of ``memory``, the coming latent, from
            0, for whose view the policy chose that latent); a latent may fill several slots.
        views: views of the episode's scan in the context, the most useful first; none without a scan.
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
    views: tuple[int, ...] = ()

    @property
    def context(self) -> tuple[int, ...]:
        """Latent indices of the episode's own part of the context, increasing; `views` stand in front of it."""
        return tuple(sorted(self.temporal + self.memory))

    @property
    def context_latents(self) -> int:
        """Number of latents in the context: views, retrieved latents and recent window."""
        return len(self.views) + len(self.memory) + len(self.temporal)

    @property
    def steps(self) -> int:
        """Number of denoising model calls."""
        return len(self.sigmas) - 1

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary; ``from_dict`` restores an equal plan."""
        # Not dataclasses.asdict: a batch of episodes asks for this in every step, and nothing inside can be changed.
        return {**vars(self), "attention": dict(vars(self.attention))}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ChunkPlan:
        """Rebuild a plan stored by ``to_dict`` (lists from JSON become tuples).

        Raises:
            ValueError: keys are missing or unknown, or a value is of another type.
        """
        values = dict(_checked("plan", cls, data))
        values["attention"] = AttentionPlan(**_checked("attention", AttentionPlan, values["attention"]))
        _check_attention(values["attention"])
        check_whole("chunk", values["chunk"], 0)
        check_number("similarity", values["similarity"])
        for key in ("regime", "reason"):
            check_text(key, values[key], empty=True)
        for key in ("temporal", "memory", "views"):
            values[key] = tuple(check_whole(key, index, 0) for index in _listed(key, values.get(key, ())))
        values["sigmas"] = tuple(check_number("sigmas", sigma) for sigma in _listed("sigmas", values["sigmas"]))
        slots = [_listed("slots", pair) for pair in _listed("slots", values.get("slots", ()))]
        if any(len(pair) != 2 for pair in slots):
            raise ValueError(f"slots={shown(values['slots'])} is not allowed; use pairs of a latent and a view")
        values["slots"] = tuple(
            (check_whole("slots", latent, 0), check_whole("slots", view, 0)) for latent, view in slots
        )
        return cls(**values)


def _listed(key: str, value: object) -> list[Any] | tuple[Any, ...]:
    if isinstance(value, list | tuple) and len(value) <= MOST_ENTRIES:
        return value
    raise ValueError(f"{key}={shown(value)} is not allowed; use a list of at most {MOST_ENTRIES:,} entries")


def _check_attention(plan: AttentionPlan) -> None:
    check_text("attention.kind", plan.kind)
    for key in ("decode_ratio", "context_ratio"):
        check_number(f"attention.{key}", getattr(plan, key), 0, 1, above=True)
    check_flag("attention.dense_first_block", plan.dense_first_block)


def _checked(what: str, cls: type[ChunkPlan | AttentionPlan], data: Any) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        raise ValueError(f"{what}: {shown(data)} is not a mapping of keys to values")
    known = [entry.name for entry in fields(cls)]
    needed = [entry.name for entry in fields(cls) if entry.default is MISSING]
    if unknown := [key for key in data if key not in known]:
        raise ValueError(f"{what}: unknown key {shown(unknown[0])}; allowed: {', '.join(known)}")
    if missing := [key for key in needed if key not in data]:
        raise ValueError(f"{what}: key {missing[0]!r} is missing; needed: {', '.join(needed)}")
    return data


def attention_density(plan: ChunkPlan, latents: int) -> float:
    """Return the pairs of latents that attend to each other, as a share of the pairs in dense attention.

    The context attends to itself in the context pass. The chunk attends to the context and to itself in every denoising
    step. Text and blocks that stay dense are left out; selected tiles count with their nominal share.

    Args:
        plan: plan of the chunk.
        latents: latents of the chunk.
    """
    attention = plan.attention
    return _density(plan.context_latents, plan.steps, latents, attention.context_ratio, attention.decode_ratio)


@lru_cache(maxsize=1024)
def _density(context: int, steps: int, latents: int, context_ratio: float, decode_ratio: float) -> float:
    """Compute `attention_density`, cached because many episodes ask for the same few numbers in every step."""
    current = steps * latents * latents
    dense = context**2 + steps * latents * context + current
    kept = context_ratio * context**2 + decode_ratio * steps * latents * context + current
    return kept / dense
