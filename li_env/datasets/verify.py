"""Verification of a finished dataset: checksums, counts, rows, and a sample that is played again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from li_env.arrow import pyarrow
from li_env.datasets.arrays import array_of
from li_env.datasets.episode_rows import checked_record, row_checks
from li_env.datasets.finish import EPISODES, files_of, read_episodes, read_summary, summarise
from li_env.datasets.lerobot import GOAL
from li_env.datasets.manifest import Manifest
from li_env.datasets.recorder import Player, record_episodes, reset_options
from li_env.datasets.rows import make_rows
from li_env.datasets.video import decode_picture
from li_env.episodes import EpisodeRunner
from li_env.files import file_sha256
from li_env.recording import video_frames
from li_env.validation import shortened


def check_files(folder: Path) -> list[str]:
    """Compare a dataset with its checksums; return what is wrong, one line per finding.

    A finding names the file and, in a file of rows or frames, the first row or frame that is wrong.

    Raises:
        ValueError: no dataset, or one whose manifest is not the one it was made from.
    """
    summary, manifest = read_summary(folder), Manifest.read(folder)
    if summary.get("manifest") != manifest.digest():
        raise ValueError("manifest.json is not the manifest that the dataset was made from")
    found = []
    listed, there = summary["files"], set(files_of(folder))
    for name, entry in listed.items():
        if name not in there:
            found.append(f"{name}: the file is missing")
        elif file_sha256(folder / name) != entry["sha256"]:
            found.append(f"{name}: {_damage(folder, name)}")
    found += [f"{name}: the file does not belong to the dataset" for name in sorted(there - set(listed))]
    if found:
        return found
    records = read_episodes(folder)
    if [record["episode"] for record in records] != list(manifest.episodes):
        return [f"{EPISODES}: other episodes than the manifest's"]
    if summarise(folder, manifest, records) != summary:
        return ["dataset.json: its counts do not fit the episodes"]
    return []


def _damage(folder: Path, name: str) -> str:
    """Describe where a file with a wrong checksum is damaged, as far as it can be seen."""
    path = folder / name
    try:
        if name.startswith("lerobot/data/"):
            return _damaged_row(folder, path)
        if name.endswith(".mp4"):
            frames = sum(1 for _ in video_frames(path))
            return f"the checksum is wrong; all {frames} frames can be decoded"
    except ValueError as error:
        return shortened(str(error).rpartition(".mp4: ")[2])
    return "the checksum is wrong"


def _damaged_row(folder: Path, path: Path) -> str:
    pa = pyarrow("verifying LeRobot datasets")
    try:
        kept = [record for record in read_episodes(folder) if record["kept"]]
        file = pa.parquet.ParquetFile(path)
    except (OSError, ValueError, pa.ArrowException) as error:
        return f"cannot be read: {shortened(error)}"
    for group in range(file.num_row_groups):
        try:
            table = file.read_row_group(group)
            rows = {name: array_of(table.column(name)) for name in table.column_names if name != GOAL}
            record = kept[int(rows["episode_index"][0])]
            pictures = [each["bytes"] for each in table.column(GOAL).to_pylist()] if GOAL in table.column_names else []
            goal = decode_picture(pictures[0]) if pictures else None
        except (OSError, ValueError, IndexError, pa.ArrowException) as error:
            return f"the rows of its row group {group} cannot be read: {shortened(error)}"
        own = ("timestamp", "frame_index", "episode_index", "index", "task_index")
        checks = row_checks({name: values for name, values in rows.items() if name not in own}, goal)
        for row in range(len(rows["index"])):
            part = slice(8 * row, 8 * row + 8)
            other = bool(pictures) and pictures[row] != pictures[0]
            if other or checks[part] != record["row_checks"][part] or rows["frame_index"][row] != row:
                return f"row {int(rows['index'][row])} (episode {rows['episode_index'][0]}, frame {row}) is wrong"
    return "the checksum is wrong; all rows are right"


def replay(
    player: Player, runner: EpisodeRunner, manifest: Manifest, records: Sequence[Mapping[str, Any]], worlds: int
) -> Iterator[str]:
    """Play recorded episodes again and yield what differs: frames, or the first row.

    Args:
        player: of the manifest.
        runner: of the player's environment.
        manifest: of the dataset.
        records: descriptions of the episodes to play.
        worlds: most episodes that step together.
    """
    stored = {record["episode"]: record for record in records}
    options = [reset_options(runner.task, number) for number in stored]
    _, recorded = record_episodes(player, runner, manifest, list(stored), options, worlds)
    for episode, recording in recorded:
        record = stored[episode.number]
        rows = make_rows(episode, recording, runner.task, runner.spec, record["task"], manifest.records_teacher)
        made = checked_record(rows)
        if made["frames_sha256"] != record["frames_sha256"]:
            yield f"episode {episode.number}: its frames are not those that it plays now"
        elif made["row_checks"] != record["row_checks"]:
            pairs = zip(*(_eights(each["row_checks"]) for each in (made, record)), strict=False)
            row = next((row for row, (one, two) in enumerate(pairs) if one != two), 0)
            yield f"episode {episode.number}: row {row} is not the one that it plays now"


def _eights(text: str) -> list[str]:
    return [text[first : first + 8] for first in range(0, len(text), 8)]
