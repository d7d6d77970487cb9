"""Parameters of the kernels for a chip: named variants, and the one each chip gets."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class KernelConfig:
    """Parameters of a variant: how the kernel is cut and compiled.

    Attributes:
        rows, columns: queries per program and keys per step; at most the block sizes of the tables.
        warps, stages: warps per program, blocks in flight.
        descriptors: load full blocks through the tensor memory accelerator (compute capability 9.0 and newer).
        specialized: the Gluon kernel for Hopper with separate loading and computing warps; ``warps`` then counts one
            computing group.
        registers: cap per thread, None for the compiler's choice.
    """

    rows: int
    columns: int
    warps: int
    stages: int
    descriptors: bool = False
    specialized: bool = False
    registers: int | None = None


CONFIGS: dict[str, KernelConfig] = {
    "hopper-2": KernelConfig(128, 128, 4, 2, descriptors=True, specialized=True),
    "hopper-3": KernelConfig(128, 128, 4, 3, descriptors=True, specialized=True),
    "descriptor-128x128": KernelConfig(128, 128, 8, 2, descriptors=True),
    "descriptor-128x64": KernelConfig(128, 64, 8, 3, descriptors=True),
    "descriptor-128x64-pair": KernelConfig(128, 64, 8, 2, descriptors=True, registers=128),
    "descriptor-64x64": KernelConfig(64, 64, 4, 3, descriptors=True),
    "pointer-128x128": KernelConfig(128, 128, 8, 2),
    "pointer-128x64": KernelConfig(128, 64, 8, 3),
    "small-64x64": KernelConfig(64, 64, 4, 2),
    "small-64x32": KernelConfig(64, 32, 4, 2),
    "exact-32x32": KernelConfig(32, 32, 4, 2),
}
"""Named variants: what `default_config` chooses from and what the benchmark compares."""

FALLBACK = "descriptor-128x64-pair"
"""Variant for Hopper where blocks are not of the size that the specialised kernel takes."""


def default_config(capability: tuple[int, int], width: int, dtype: torch.dtype) -> str:
    """Return the name of the variant for a compute capability, head width and type."""
    if dtype == torch.float32:
        return "exact-32x32"  # true float32 products: no matrix units, small blocks
    if capability == (9, 0):
        return "hopper-2"
    if capability[0] == 10:
        return "descriptor-128x128"
    if capability in ((8, 0), (8, 7)):
        return "pointer-128x64"
    return "small-64x64" if width <= 64 else "small-64x32"  # consumer chips: about 99 KiB of shared memory
