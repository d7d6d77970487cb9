"""Splits of map seeds: training, and two that are held out.

A map is a pure function of its seed, so disjoint seeds mean disjoint maps. The hand-made Freedoom maps are a third,
out-of-distribution test and have no seed.
"""

from __future__ import annotations

TRAINING = range(0, 10_000_000)
VALIDATION = range(10_000_000, 20_000_000)
TEST = range(20_000_000, 30_000_000)


def split_of(map_seed: int) -> str:
    """Return ``"training"``, ``"validation"`` or ``"test"``.

    Raises:
        ValueError: a seed of no split.
    """
    for name, seeds in (("training", TRAINING), ("validation", VALIDATION), ("test", TEST)):
        if map_seed in seeds:
            return name
    raise ValueError(f"map_seed {map_seed} belongs to no split; allowed: 0 .. {TEST.stop - 1}")
