"""Indices of items that can be computed together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence


def equal_groups(keys: Sequence[Hashable]) -> list[list[int]]:
    """Return the indices of equal keys, groups in order of first appearance."""
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for index, key in enumerate(keys):
        groups[key].append(index)
    return list(groups.values())
