"""Scans that recorded episodes take place in, each episode in the scan of its map; the manifest names them all."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from li_env.datasets.manifest import Manifest
from li_env.datasets.recorder import episodes_of
from li_env.fitted_scans import READERS, MapScans, known_scan, nearest_view, scan_sources, usable_views
from li_env.scans.building import read_settings
from li_env.scans.readers import map_of
from li_env.scans.scan import Scan
from li_env.tasks import EpisodeRecord, Task
from li_env.tasks.navigation import pose_at
from li_env.validation import shown


def scan_paths(task: Task, manifest: Manifest) -> dict[int, Path]:
    """Return the scans of the maps of a manifest's episodes by map, in the order of the maps.

    Raises:
        ValueError: no folder with scans, an episode without a map, a map without a scan, or a map with two; names it
            and the command that builds the scan.
    """
    folder = Path(str(manifest.scans_folder))
    try:
        sources = [Path(str(source)) for source in scan_sources(None, folder)]
    except ValueError:
        raise ValueError(
            f"scans={shown(str(folder))} is no folder with scans; allowed: one of `{build_command(manifest)}`"
        ) from None
    there: dict[int, Path] = {}
    for path in sources:
        seed = map_of(path)
        if seed is None:
            continue
        if seed in there:
            raise ValueError(
                f"scans={shown(str(folder))} holds two scans of map {seed}, {there[seed].name} and {path.name}; "
                "allowed: one of every map"
            )
        there[seed] = path
    wanted: dict[int, int] = {}
    records = episodes_of(task) or ()
    for number in manifest.episodes:
        record = records[number] if number < len(records) else None
        if record is None or record.map_seed is None:
            raise ValueError(
                f"scans={shown(str(folder))}: episode {number} is on no map; allowed: a goal task with a dataset that "
                "li-env build episodes wrote"
            )
        wanted.setdefault(record.map_seed, number)
    for seed, number in wanted.items():
        if seed not in there:
            named = folder / f"map_{seed}.npz"
            other = f" ({named.name} shows another map: remove it)" if named in sources else ""
            raise ValueError(
                f"scans={shown(str(folder))} has no scan of map {seed}, where episode {number} takes place{other}; "
                f"allowed: what `{build_command(manifest, seed)}` builds"
            )
    return {seed: there[seed] for seed in sorted(wanted)}


def scan_facts(scans: MapScans, task: Task, manifest: Manifest) -> dict[str, dict[str, Any]]:
    """Return the number of views and the content hash of every scan, by map.

    Every scan is read once, few of them at a time, and checked: the world can use it, and it shows where the episodes
    on its map begin.

    Raises:
        ValueError: a scan that cannot be read or used; or one that does not show a start: names the map, the episode,
            and the command that builds the scan.
    """
    starts: dict[int, dict[int, np.ndarray]] = {}
    records: Sequence[EpisodeRecord] = episodes_of(task) or ()
    for number in manifest.episodes:
        record = records[number]
        assert record.map_seed is not None  # `scan_paths` has refused others
        starts.setdefault(record.map_seed, {})[number] = pose_at(record.pose)
    spec = scans.world.spec

    def look(map_seed: int) -> dict[str, Any]:
        path = scans.paths[map_seed]
        known = known_scan(scans.world, path)
        scan = Scan.read(path) if known is None else known.scan
        usable_views(scans.world, scan, str(path))
        for number, pose in starts[map_seed].items():
            _, away = nearest_view(scan.poses, pose)
            if away > spec.view_distance:
                raise ValueError(
                    f"scan of map {map_seed} in {shown(manifest.scans_folder)} does not show the start of episode "
                    f"{number}, {away:.4g} {spec.length_unit}s from its nearest view; allowed: at most "
                    f"{spec.view_distance:g}, as where `{build_command(manifest, map_seed)}` builds it"
                )
        return {"views": len(scan), "sha256": scan.content_hash if known is None else known.content_hash}

    with ThreadPoolExecutor(READERS) as pool:
        facts = {str(map_seed): fact for map_seed, fact in zip(scans, pool.map(look, scans), strict=True)}
    assert scans[next(iter(scans))].bank  # a world that cannot encode views says so now
    return facts


def check_scans(manifest: Manifest, now: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse scans that are not those of the manifest.

    Args:
        manifest: of the dataset.
        now: `scan_facts` of the scans that are there.

    Raises:
        ValueError: names the first map whose scan differs, both scans, and the command that builds the scan.
    """
    for seed, was in manifest.scans.items():
        found = now.get(seed, was)
        if found != was:
            raise ValueError(
                f"scan of map {seed} in {shown(manifest.scans_folder)} has changed since the manifest was written "
                f"({_said(found)}, was {_said(was)}); allowed: the old file, or without it "
                f"`{build_command(manifest, int(seed))}`"
            )


def build_commands(manifest: Manifest) -> list[str]:
    """Return the commands that build the scans of a dataset; none where there are no scans, or no known settings."""
    if manifest.scans_folder is None or not manifest.scan_settings:
        return []
    if manifest.episode_file is not None:
        return [build_command(manifest)]
    return [build_command(manifest, int(seed)) for seed in manifest.scans]


def build_command(manifest: Manifest, map_seed: int | None = None) -> str:
    """Return the command that builds the scans of a manifest's episodes, or that of one map.

    Args:
        manifest: of the dataset.
        map_seed: of the map, where the episodes are not in a file of their own.
    """
    folder = str(manifest.scans_folder)
    words, out = ["li-env", "scan", "build"], folder
    if manifest.episode_file is not None:
        words += ["--dataset", manifest.episode_file]
    elif map_seed is not None:
        words += ["--map-seed", str(map_seed)]
        out = str(Path(folder) / f"map_{map_seed}.npz")
    else:
        words += ["--dataset", "FILE"]
    settings = manifest.scan_settings or read_settings(Path(folder)) or {}
    for name, value in settings.items():
        if value is not None:
            words += [f"--{name}", value if isinstance(value, str) else f"{value:g}"]
    return shlex.join([*words, "--out", out])


def _said(fact: Mapping[str, Any]) -> str:
    return f"{fact.get('views')} views, {str(fact.get('sha256'))[:12]}"
