"""``li-env build episodes``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Arguments:
    """Draw navigation episodes in generated maps and render their start and goal frames (needs the extra doom)."""

    out: Path
    """File to write, .json; the frames go beside it as .safetensors."""
    split: Literal["training", "validation", "test"] = "training"
    """Maps that the freedoom world was trained on, or held-out ones."""
    maps: int = 64
    """Number of maps."""
    first: int = 0
    """Index of the first map in its split."""
    goals: int = 3
    """Goals per map."""
    starts: int = 4
    """Episodes per goal."""
    near: float = 4.0
    """Least way to the goal in metres."""
    far: float = 12.0
    """Longest way to the goal in metres."""
    detour: float = 1.0
    """Least ratio of the way to the straight line; from about 1.2 on something is in the way."""
    seed: int = 0
    """Of all drawing."""


def run(arguments: Arguments) -> None:
    """Build and write."""
    from dataclasses import replace

    from rich.console import Console
    from rich.progress import Progress

    from li_env.cli.train_world import require_doom
    from li_env.errors import check_folder
    from li_env.tasks import NavigationRules
    from li_env.tasks.build import build_episodes
    from li_env.worlds.freedoom.doom import splits

    if arguments.out.suffix != ".json":
        raise ValueError(f"out={str(arguments.out)!r} is not allowed; use a name that ends in .json")
    if arguments.seed < 0:
        raise ValueError(f"seed={arguments.seed} is negative; allowed: 0 or more")
    seeds = getattr(splits, arguments.split.upper())
    if arguments.maps < 1 or arguments.first < 0 or arguments.first + arguments.maps > len(seeds):
        raise ValueError(f"maps={arguments.maps} from first={arguments.first} on; allowed: 1 to {len(seeds):,} in all")
    check_folder("out", arguments.out.parent)
    rules = replace(NavigationRules.default(), goal_distance=(arguments.near, arguments.far))
    require_doom("building episodes")
    with Progress(console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("maps", total=arguments.maps)
        data = build_episodes(
            seeds[arguments.first : arguments.first + arguments.maps],
            arguments.goals,
            arguments.starts,
            arguments.seed,
            rules,
            arguments.detour,
            on_map=lambda: bars.advance(task),
        )
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    data.write(arguments.out)
    print(f"{len(data.episodes)} episodes on {arguments.maps} maps: {arguments.out}")
