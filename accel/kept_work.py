"""Work that a chunk leaves for the next chunk: keys and values of its context, results of transformer blocks.

A `KeptWork` is a value of the episode's state. Forks and saved states share it by reference; nobody changes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from li_env.accel.geometry.camera import CameraMotion

StepBlock = tuple[int, int]
"""(denoising step, transformer block), both from 0."""


@dataclass(frozen=True, eq=False)
class KeptWork:
    """Work of one chunk that the next chunk may reuse.

    Attributes:
        motions: realised motions of the chunk.
        sigmas: its noise levels.
        references: per latent of the context, the index of the newest latent when the keys and values of that latent
            were computed.
        context: per latent of the context, its keys and values as the world keeps them.
        blocks: per step and block, what the world keeps to reuse the block's result.
    """

    motions: tuple[CameraMotion, ...]
    sigmas: tuple[float, ...]
    references: Mapping[int, int]
    context: Mapping[int, Any]
    blocks: Mapping[StepBlock, Any]


@dataclass(eq=False)
class Sharing:
    """Exchange between the engine and a world for one chunk: the engine reads what the world has written.

    Attributes:
        before: work of the chunk before; None if there is none.
        context: written by the world: keys and values of every latent of the context, kept or computed.
        blocks: written by the world: what it keeps per step and block.
        reused: written by the world: the steps and blocks whose result it took from ``before``, in order.
    """

    before: KeptWork | None
    context: dict[int, Any] = field(default_factory=dict)
    blocks: dict[StepBlock, Any] = field(default_factory=dict)
    reused: list[StepBlock] = field(default_factory=list)
