"""Notes about episodes on maps that an evaluation holds out: no training should use them unnoticed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from li_env.accel.world import BaseWorld
    from li_env.tasks import EpisodeRecord

ADVICE = "good to evaluate with; to train, use others: li-env build episodes --split training, then --dataset FILE"


def held_out_note(seeds: Iterable[int | None], what: str = "episodes") -> str | None:
    """Say how many episodes are on held-out maps; ``None`` where none is.

    Args:
        seeds: map of every episode; ``None`` for an episode on no map.
        what: name of the episodes.
    """
    from li_env.doom.splits import TEST, VALIDATION

    maps, splits = list(seeds), {"validation": VALIDATION, "test": TEST}
    # Whole numbers alone: anything else is compared with every number of a range, ten millions of them.
    known = [int(seed) for seed in maps if seed is not None]
    found = {name: count for name, split in splits.items() if (count := sum(seed in split for seed in known))}
    if not found:
        return None
    which = " and ".join(found)
    return f"note: {sum(found.values())} of {len(maps)} {what} are on held-out maps ({which} split): {ADVICE}"


def maps_of(
    world: BaseWorld, records: Sequence[EpisodeRecord] | None = None, numbers: Sequence[int] | None = None
) -> list[int | None]:
    """Return the maps of episodes.

    Args:
        world: whose own episodes they are where no others are given; they begin at its start frames, as those of a
            task without an episode file do.
        records: of an episode file.
        numbers: episodes of the file; all by default.
    """
    from li_env.tasks import EpisodeDataset

    if records is not None:
        return [records[number].map_seed for number in (range(len(records)) if numbers is None else numbers)]
    if world.episodes_file is None:
        return []
    return [record.map_seed for record in EpisodeDataset.read(world.episodes_file).episodes]


def maps_of_data(folder: Path) -> list[int | None]:
    """Return the maps of the episodes that a recorded dataset holds; none where its description is not there."""
    from li_env.datasets.finish import EPISODES, read_episodes

    for each in (folder, folder.parent):
        if (each / EPISODES).is_file():
            return [record.get("map") for record in read_episodes(each) if record.get("kept")]
    return []
