"""Merging of finished datasets: their episodes one after the other, as if recorded together."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from li_env.datasets.finish import read_episodes, read_summary
from li_env.datasets.journal import Journal
from li_env.datasets.lerobot import read_episode_table, take_apart
from li_env.datasets.manifest import Manifest
from li_env.validation import shown, shown_path

_DIFFERENT = ("episodes", "seeds")


def merged_manifest(folders: Sequence[Path]) -> Manifest:
    """Return the manifest whose dataset holds the episodes of all folders.

    Since a dataset is a function of its manifest, the merged dataset is the one that this manifest makes.

    Raises:
        ValueError: fewer than two folders, an incomplete dataset, an episode that two have, or manifests that differ in
            more than their episodes and the scans of other maps; names the field.
    """
    if len(folders) < 2:
        raise ValueError(f"folders: {len(folders)} given; allowed: two datasets or more")
    manifests = []
    for folder in folders:
        read_summary(folder)
        manifests.append(Manifest.read(folder))
    first = manifests[0]
    scans = dict(first.scans)
    for folder, other in zip(folders[1:], manifests[1:], strict=True):
        shared = {seed: scans.get(seed, fact) for seed, fact in other.scans.items()}
        try:
            replace(first, **{name: getattr(other, name) for name in _DIFFERENT}, scans=shared).check_same(other)
        except ValueError as error:
            raise ValueError(f"{shown_path(folder)} cannot be merged: {error}") from None
        scans |= shared
    numbers = [number for manifest in manifests for number in manifest.episodes]
    twice = [number for number in set(numbers) if numbers.count(number) > 1]
    if twice:
        raise ValueError(f"episode {shown(min(twice))} is in two of the datasets; allowed: different episodes")
    seeds = [seed for manifest in manifests for seed in manifest.seeds]
    in_order = {seed: scans[seed] for seed in sorted(scans, key=int)}
    return replace(first, episodes=tuple(numbers), seeds=tuple(seeds), scans=in_order)


def unpack(folder: Path, journal: Journal, manifest: Manifest) -> None:
    """Commit the episodes of a finished dataset that a journal lacks; `finish` then joins them again.

    Args:
        folder: of the dataset.
        journal: of the merged dataset.
        manifest: of the merged dataset.
    """
    kept, done = 0, journal.numbers()
    table = read_episode_table(folder / "lerobot") if "lerobot" in manifest.formats else None
    for record in read_episodes(folder):
        position, kept = kept, kept + record["kept"]
        if record["episode"] in done:
            continue
        with journal.commit(record["episode"], record) as entry:
            for name in manifest.formats if record["kept"] else ():
                part = entry / name
                part.mkdir()
                if name == "lerobot":
                    take_apart(folder / name, table, position, part)
                elif name == "clips":
                    _copy(folder / name / f"episode-{position:06d}", part)
                else:
                    (data,) = (folder / name).glob("*/*/data")
                    _copy(data / str(position), part)


def _copy(source: Path, target: Path) -> None:
    for path in source.iterdir():
        shutil.copyfile(path, target / path.name)
