"""``li-env build episodes``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

MOST_PER_MAP = 1000
"""Goals of a map, and starts of a goal."""


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
    """Least distance to the goal in metres, along the shortest path."""
    far: float = 12.0
    """Longest distance to the goal in metres, along the shortest path."""
    detour: float = 1.0
    """Least ratio of that distance to the straight line; from about 1.2 on a wall lies between."""
    seed: int = 0
    """Seed of all drawing."""
    size: str = "small"
    """Size of the pictures: small (96 x 128, world freedoom) or large (192 x 256, world freedoom_large)."""


def run(arguments: Arguments) -> None:
    """Build and write."""
    from dataclasses import replace

    from li_env.cli._output import progress_display
    from li_env.doom import splits
    from li_env.files import check_file
    from li_env.tasks import NavigationRules
    from li_env.validation import MOST_SEED, check_number, check_whole, shown
    from li_env.worlds.common.game import require_game
    from li_env.worlds.freedoom.build_episodes import build_episodes
    from li_env.worlds.freedoom.sizes import named_size

    if arguments.out.suffix != ".json":
        raise ValueError(f"out={shown(str(arguments.out))} is not allowed; use a name that ends in .json")
    size = named_size(arguments.size)
    check_whole("seed", arguments.seed, 0, MOST_SEED)
    check_whole("goals", arguments.goals, 1, MOST_PER_MAP)
    check_whole("starts", arguments.starts, 1, MOST_PER_MAP)
    check_number("near", arguments.near, 0, 1000, above=True)
    check_number("far", arguments.far, arguments.near, 1000)
    check_number("detour", arguments.detour, 1, 1000)
    check_whole("first", arguments.first)
    check_whole("maps", arguments.maps, 1)
    seeds = getattr(splits, arguments.split.upper())
    if arguments.first + arguments.maps > len(seeds):
        raise ValueError(f"maps={arguments.maps} from first={arguments.first} on; allowed: 1 to {len(seeds):,} in all")
    for file in (arguments.out, arguments.out.with_suffix(".safetensors")):
        check_file("out", file)
    rules = replace(NavigationRules.default(), goal_distance=(arguments.near, arguments.far))
    require_game("building episodes")
    with progress_display() as progress:
        task = progress.add_task("maps", total=arguments.maps)
        data = build_episodes(
            seeds[arguments.first : arguments.first + arguments.maps],
            arguments.goals,
            arguments.starts,
            arguments.seed,
            rules,
            arguments.detour,
            on_map=lambda: progress.advance(task),
            frame_size=size.frame_size,
        )
    data.write(arguments.out)
    print(f"{len(data.episodes)} episodes on {arguments.maps} maps: {arguments.out}")
