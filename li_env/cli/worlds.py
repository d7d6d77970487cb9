"""``li-env worlds``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Arguments:
    """List the worlds: frame size, licence, and whether the weights are present."""


def run(arguments: Arguments) -> None:
    """Print the table."""
    from rich.console import Console
    from rich.table import Table

    from li_env.worlds.registry import WorldEntry, world_entry, world_names

    def weights(entry: WorldEntry) -> str:
        if entry.weights is None:
            return "none shipped"
        files = entry.weight_files()
        if not files:
            return f"missing (li_env/{entry.weights})"
        return f"present, {sum(file.stat().st_size for file in files) / 2**20:.1f} MiB"

    table = Table("world", "frame", "weights", "licence", "description", caption="frame: height x width in pixels")
    for name in world_names():
        entry = world_entry(name)
        size = "-" if entry.frame_size is None else f"{entry.frame_size[0]} x {entry.frame_size[1]}"
        table.add_row(name, size, weights(entry), entry.licence, entry.description)
    Console().print(table)
