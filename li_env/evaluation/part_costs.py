"""What environments leave out of presets by the cost table of a world, as data and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from li_env.accel.config import AccelConfig
from li_env.accel.planning.choice import judge_parts
from li_env.accel.planning.parts import in_words, parts_of
from li_env.accel.world import BaseWorld

ENVIRONMENTS = (1, 8, 32, 128, 512, 1024)
"""Numbers of environments that are reported."""


def part_costs(world: BaseWorld, configs: Sequence[AccelConfig]) -> dict[str, Any] | None:
    """Return what environments of several sizes leave out of every preset that has parts; None without a cost table.

    A size whose micro-batches were not timed is missing. Times are those of planning and generating a chunk of every
    episode, in milliseconds, by the parts that are kept, joined by plus signs.
    """
    if world.costs is None:
        return None
    rows: list[dict[str, Any]] = []
    for config in configs:
        own = config.in_world(world.spec.name)
        if not own.cost_model or not parts_of(world.spec, own):
            continue
        for count in ENVIRONMENTS:
            if not world.costs.knows(world.micro_batch(count)):
                continue
            found, scanned = (judge_parts(world, config, count, each) for each in (False, True))
            rows.append(
                {
                    "preset": config.name,
                    "environments": count,
                    "left_out": list(found.left_out),
                    "left_out_in_scans": list(scanned.left_out),
                    "milliseconds": {"+".join(kept) or "plain": time for kept, time in found.milliseconds.items()},
                }
            )
    return {"rows": rows}


def cost_lines(world: str, found: Mapping[str, Any] | None) -> list[str]:
    """Say in words what `part_costs` has found, one line per preset."""
    if found is None:
        return [
            f"environments run presets as they are: no cost table of this device is known "
            f"(li-env calibrate cost --world {world})"
        ]
    return [
        f"environments leave out of {preset} what saves no time on this device: "
        f"{_list(found['rows'], preset, 'left_out')}; in scans {_list(found['rows'], preset, 'left_out_in_scans')}"
        for preset in dict.fromkeys(row["preset"] for row in found["rows"])
    ]


def _list(rows: Sequence[Mapping[str, Any]], preset: str, key: str) -> str:
    """Group the sizes of environments by what they leave out."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for row in rows:
        if row["preset"] == preset:
            groups.setdefault(tuple(row[key]), []).append(str(row["environments"]))
    if len(groups) == 1:
        (only,) = groups
        return f"{in_words(only) if only else 'nothing'} at any number"
    return ", ".join(
        f"{in_words(parts) if parts else 'nothing'} with {' or '.join(sizes)}" for parts, sizes in groups.items()
    )
