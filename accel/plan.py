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
AttentionKind = Literal["dense", "block_sparse", "bsa", "svg"]
TileScores = Literal["product", "cosine"]


@dataclass(frozen=True)
class AttentionPlan:
    """Share of the history that every query tile may attend to.

    Attributes:
        kind: ``dense``, ``block_sparse``, or that of a rival: ``bsa`` (LongCat's block-sparse attention, where the
            current chunk is among the tiles to choose from) or ``svg`` (Sparse VideoGen: a band per head).
        decode_ratio: share of history tiles kept while denoising, in ``bsa`` of all tiles; 1.0 in dense attention.
        context_ratio: share of tiles kept inside the context pass; 1.0 in dense attention.
        dense_first_block: whether the first transformer block attends to everything in any case.
        tile_scores: score of a tile: scalar ``product`` of the means, or their ``cosine``.
        band_width: half of the width of the band in ``svg``, in frames; 0 in other kinds.
        dense_blocks: transformer blocks in front that attend to everything.
        dense_steps: denoising steps in front that attend to everything.
    """

    kind: AttentionKind = "dense"
    decode_ratio: float = 1.0
    context_ratio: float = 1.0
    dense_first_block: bool = True
    tile_scores: TileScores = "product"
    band_width: float = 0.0
    dense_blocks: int = 0
    dense_steps: int = 0

    def is_dense(self, block: int, step: int | None = None) -> bool:
        """Return whether everything attends to everything in transformer block ``block``.

        Args:
            block: index of the block.
            step: index of the denoising step; None in the context pass.
        """
        front = max(self.dense_blocks, int(self.dense_first_block))
        return self.kind == "dense" or block < front or (step is not None and step < self.dense_steps)


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
        shares: whether the chunk leaves its work for the next chunk, and may reuse that of the chunk before.
        kept: latents of the context whose keys and values come from the chunk before, increasing.
        reuse_blocks: change of a block's input below which its result is reused from the chunk before; 0 reuses none.
        reused_blocks: (denoising step, block) of every result that was reused; None as long as that is not known. If
            known, they are followed instead of ``reuse_blocks``, so that a stored chunk is made again with equal bits.
        reuse_threshold: change of the model's input below which a denoising step may reuse what the last computed step
            added (TeaCache); None computes every step. The first and the last step are always computed.
        computed: whether each denoising step was computed, known once the chunk is made; empty for all. A plan that
            says so is followed instead of the threshold, so that a stored chunk is made again with equal bits.
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
    shares: bool = False
    kept: tuple[int, ...] = ()
    reuse_blocks: float = 0.0
    reused_blocks: tuple[tuple[int, int], ...] | None = None
    reuse_threshold: float | None = None
    computed: tuple[bool, ...] = ()

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
        """Number of denoising steps."""
        return len(self.sigmas) - 1

    @property
    def computed_steps(self) -> int:
        """Number of denoising steps that are computed; all of them as long as nothing else is known."""
        return sum(self.computed) if self.computed else self.steps

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
        for key in ("temporal", "memory", "views", "kept"):
            values[key] = tuple(check_whole(key, index, 0) for index in _listed(key, values.get(key, ())))
        values["sigmas"] = tuple(check_number("sigmas", sigma) for sigma in _listed("sigmas", values["sigmas"]))
        values["slots"] = _pairs("slots", values.get("slots", ()), "a latent and a view")
        check_flag("shares", values.get("shares", False))
        check_number("reuse_blocks", values.get("reuse_blocks", 0.0), 0)
        if values.get("reused_blocks") is not None:
            values["reused_blocks"] = _pairs("reused_blocks", values["reused_blocks"], "a step and a block")
        if values.get("reuse_threshold") is not None:
            check_number("reuse_threshold", values["reuse_threshold"], 0)
        values["computed"] = tuple(
            check_flag("computed", each) for each in _listed("computed", values.get("computed", ()))
        )
        return cls(**values)


def _listed(key: str, value: object) -> list[Any] | tuple[Any, ...]:
    if isinstance(value, list | tuple) and len(value) <= MOST_ENTRIES:
        return value
    raise ValueError(f"{key}={shown(value)} is not allowed; use a list of at most {MOST_ENTRIES:,} entries")


def _pairs(key: str, value: object, what: str) -> tuple[tuple[int, int], ...]:
    pairs = [_listed(key, pair) for pair in _listed(key, value)]
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"{key}={shown(value)} is not allowed; use pairs of {what}")
    return tuple((check_whole(key, first, 0), check_whole(key, second, 0)) for first, second in pairs)


def _check_attention(plan: AttentionPlan) -> None:
    check_text("attention.kind", plan.kind)
    for key in ("decode_ratio", "context_ratio"):
        check_number(f"attention.{key}", getattr(plan, key), 0, 1, above=True)
    check_flag("attention.dense_first_block", plan.dense_first_block)
    check_text("attention.tile_scores", plan.tile_scores)
    check_number("attention.band_width", plan.band_width, 0)
    for key in ("dense_blocks", "dense_steps"):
        check_whole(f"attention.{key}", getattr(plan, key), 0)


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
    return _density(plan.context_latents, plan.computed_steps, latents, plan.attention)


@lru_cache(maxsize=1024)
def _density(context: int, steps: int, latents: int, attention: AttentionPlan) -> float:
    """Compute `attention_density`, cached because many episodes ask for the same few numbers in every step."""
    current = latents * latents
    dense = context**2 + steps * (latents * context + current)
    if attention.kind == "svg":
        seen = _band_share(context, 0, attention.band_width) * context**2
        whole = context + latents
        banded = max(0, steps - attention.dense_steps)
        share = _band_share(latents, context, attention.band_width)
        return (seen + (steps - banded + banded * share) * latents * whole) / dense
    ratio = attention.decode_ratio
    own = ratio * current if attention.kind == "bsa" else current
    return (attention.context_ratio * context**2 + steps * (ratio * latents * context + own)) / dense


def _band_share(latents: int, before: int, width: float) -> float:
    """Return the share of keys inside the band, the mean of a head that looks near in time and one near in place.

    Args:
        latents: latents of the queries, the last of all.
        before: latents before them.
        width: half of the width of the band, in frames.
    """
    frames = before + latents
    if not frames:
        return 1.0
    near = [min(frames, frame + 0.5 + width) - max(0.0, frame + 0.5 - width) for frame in range(before, frames)]
    spatial = sum(near) / (len(near) * frames) if near else 1.0
    return (spatial + min(1.0, 2 * width / frames)) / 2
