"""Measurement of every variant along every camera path, repeated, the variants taking turns."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from li_env.accel.plan import ChunkPlan, attention_density
from li_env.accel.runtime.chunk import STAGES, ChunkResult
from li_env.accel.runtime.engine import Engine
from li_env.accel.world import BaseWorld
from li_env.evaluation.bench.peak_memory import PeakMemory
from li_env.evaluation.bench.quality import Quality, rate
from li_env.evaluation.bench.settings import BenchSettings, Variant
from li_env.evaluation.camera_path import CameraPath
from li_env.evaluation.drive import batches, drive
from li_env.evaluation.fixed_motion import FixedMotionWorld
from li_env.evaluation.perceptual import Perceptual


@dataclass(frozen=True)
class Work:
    """Planned cost of one chunk."""

    regime: str
    steps: int
    context: int
    density: float
    sparse: bool

    @classmethod
    def of(cls, plan: ChunkPlan, latents: int) -> Work:
        """Read the cost from a plan for a chunk of ``latents`` latents."""
        density = attention_density(plan, latents)
        sparse = plan.attention.kind != "dense"
        return cls(plan.regime, plan.computed_steps, plan.context_latents, density, sparse)


@dataclass(frozen=True, eq=False)
class Measured:
    """Measurements of one variant on all paths.

    Attributes:
        milliseconds: [repeats, paths, chunks, stages], see `accel.engine.STAGES`.
        work: per path, one per chunk.
        decisions: per path, a digest of what the plans made the world compute.
        quality: per path.
        degenerated: per path, whether the world produced numbers that are not finite.
        peak_mebibytes: most memory of any rollout, None where the system does not report it.
    """

    milliseconds: np.ndarray
    work: list[list[Work]]
    decisions: list[str]
    quality: list[Quality]
    degenerated: list[bool]
    peak_mebibytes: float | None


def measure(
    world: BaseWorld,
    paths: Sequence[CameraPath],
    settings: BenchSettings,
    on_chunk: Callable[[], None] = lambda: None,
    perceptual: Sequence[Perceptual] = (),
    warm: bool = True,
) -> list[Measured]:
    """Time and rate every variant; the first one is the reference.

    One rollout of every variant goes first and does not count, unless ``warm`` is False. Frames are rated in the first
    repeat alone, because the later ones make the same frames.
    """
    variants = settings.variants
    fixed = FixedMotionWorld(world)
    engines = [Engine(fixed, variant.config) for variant in variants]
    groups = batches(paths, settings.batch)
    for engine in engines if warm else ():
        drive(engine, groups[0], on_chunk)
    records = [_Record() for _ in variants]
    memory = PeakMemory(world.device)
    for repeat in range(settings.repeats):
        for record in records:
            record.begin_repeat()
        for group in groups:
            reference: list[list[ChunkResult]] = []
            # In the first repeat the reference goes first, because the others are compared with it.
            for index in _turns(variants, repeat):
                memory.reset()
                made = drive(engines[index], group, on_chunk)
                records[index].time(made, memory.mebibytes())
                if repeat == 0:
                    reference = made if index == 0 else reference
                    records[index].rate(
                        world, group, made, reference if index else None, settings.warmup_chunks, perceptual
                    )
    return [record.finish() for record in records]


def decisions(plans: Sequence[ChunkPlan]) -> str:
    """Return a digest of what plans make a world compute: equal for plans that differ in their reasons alone."""
    words = ("regime", "similarity", "reason")
    computed = [{key: value for key, value in plan.to_dict().items() if key not in words} for plan in plans]
    return hashlib.sha256(json.dumps(computed).encode()).hexdigest()[:16]


def _turns(variants: Sequence[Variant], repeat: int) -> list[int]:
    """Order the variants: another one begins in every repeat, so that none always follows the same."""
    shift = repeat % len(variants)
    return [*range(shift, len(variants)), *range(shift)]


class _Record:
    """Collector of what `Measured` holds."""

    def __init__(self) -> None:
        self._milliseconds: list[list[list[list[float]]]] = []
        self._work: list[list[Work]] = []
        self._decisions: list[str] = []
        self._quality: list[Quality] = []
        self._degenerated: list[bool] = []
        self._peaks: list[float] = []

    def begin_repeat(self) -> None:
        self._milliseconds.append([])

    def time(self, made: Sequence[Sequence[ChunkResult]], peak: float | None) -> None:
        for chunks in made:
            self._milliseconds[-1].append([[chunk.milliseconds[stage] for stage in STAGES] for chunk in chunks])
        if peak is not None:
            self._peaks.append(peak)

    def rate(
        self,
        world: BaseWorld,
        paths: Sequence[CameraPath],
        made: Sequence[Sequence[ChunkResult]],
        reference: Sequence[Sequence[ChunkResult]] | None,
        warmup: int,
        perceptual: Sequence[Perceptual],
    ) -> None:
        for index, (path, chunks) in enumerate(zip(paths, made, strict=True)):
            other = None if reference is None else reference[index]
            self._work.append([Work.of(chunk.plan, len(chunk.latents)) for chunk in chunks])
            self._decisions.append(decisions([chunk.plan for chunk in chunks]))
            self._quality.append(rate(world.spec, path.image, chunks, other, path.real, warmup, perceptual))
            self._degenerated.append(any(chunk.degenerated for chunk in chunks))

    def finish(self) -> Measured:
        peak = max(self._peaks) if self._peaks else None
        times = np.array(self._milliseconds)
        return Measured(times, self._work, self._decisions, self._quality, self._degenerated, peak)
