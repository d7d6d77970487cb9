"""Writer of LeRobot datasets, format v3.0: Parquet rows and MP4 videos, many episodes per file.

An episode's part in the journal is its video, its rows and its statistics. `assemble` joins the parts in the order of
the manifest and gives out the numbers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from li_env.arrow import pyarrow
from li_env.datasets.arrays import array_of, save_arrays
from li_env.datasets.episode_rows import Column, EpisodeRows
from li_env.datasets.statistics import NAMES, Merged, column_statistics, frame_statistics, picture_statistics
from li_env.datasets.video import Codec, cut, encode, encode_picture, join
from li_env.files import read_json, write_json

CAMERA = "observation.images.front"
GOAL = "observation.images.goal"
"""Column of the goal's picture (ImageGoal): PNG in every row, which Parquet's dictionary stores once per episode."""

CHUNK = 1000
DATA_MB, VIDEO_MB = 100, 200
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
EPISODES_PATH = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
_DEFAULTS = {"timestamp": "float32", "frame_index": "int64", "episode_index": "int64", "index": "int64",
             "task_index": "int64"}  # fmt: skip
_GOAL_FILE = "goal.png"
_TOGETHER = 256  # episodes of a row group in their table
_DICTIONARY = 2**26  # bytes: room for the largest picture, which else would be stored in every row


@dataclass(frozen=True)
class Layout:
    """Shape of a dataset.

    Attributes:
        columns: of the rows.
        frame_size: (height, width) in pixels.
        fps: frames per second, a whole number.
        codec: of the video.
        goal: whether every episode has a picture of its goal.
    """

    columns: Mapping[str, Column]
    frame_size: tuple[int, int]
    fps: int
    codec: Codec
    goal: bool = False

    def features(self) -> dict[str, Any]:
        """Return the features of ``meta/info.json``."""
        codec, (height, width) = self.codec, self.frame_size
        video = {
            "video.height": height,
            "video.width": width,
            "video.codec": codec.name,
            "video.pix_fmt": codec.pixels,
            "video.fps": self.fps,
            "video.channels": 3,
            "has_audio": False,
            "video.g": codec.key_frames,
            "video.crf": codec.crf,
            "video.preset": codec.preset,
            "video.fast_decode": 0,
            "video.video_backend": "pyav",
            "video.extra_options": {},
            "is_depth_map": False,
        }
        names = ["height", "width", "channels"]
        features: dict[str, Any] = {
            CAMERA: {"dtype": "video", "shape": [height, width, 3], "names": names, "info": video}
        }
        if self.goal:
            features[GOAL] = {"dtype": "image", "shape": [height, width, 3], "names": names}
        for name, column in self.columns.items():
            labels = None if column.names is None else list(column.names)
            features[name] = {"dtype": column.dtype, "shape": [column.size], "names": labels}
        return features | {name: {"dtype": dtype, "shape": [1], "names": None} for name, dtype in _DEFAULTS.items()}


def write_part(folder: Path, episode: EpisodeRows, layout: Layout) -> None:
    """Write the part of an episode into its entry of the journal."""
    frames = episode.frames[: episode.count]
    encode(folder / "front.mp4", frames, layout.fps, layout.codec)
    # No compression: the part is read once more and thrown away.
    save_arrays(folder / "rows.npz", **episode.rows)
    rows = {**episode.rows, **_defaults(episode.count, layout.fps)}
    statistics = {CAMERA: frame_statistics(frames)}
    if episode.goal is not None:
        (folder / _GOAL_FILE).write_bytes(encode_picture(episode.goal))
        statistics[GOAL] = picture_statistics(episode.goal, episode.count)
    statistics |= {name: column_statistics(values) for name, values in rows.items()}
    # Not indented, and not renamed into place: that is done with the whole entry.
    (folder / "statistics.json").write_text(json.dumps(statistics, allow_nan=False), encoding="utf-8")


def _defaults(count: int, fps: int) -> dict[str, np.ndarray]:
    index = np.arange(count, dtype=np.int64)
    return {"timestamp": (index / fps).astype(np.float32), "frame_index": index}


def assemble(
    target: Path, parts: Sequence[Path], records: Sequence[Mapping[str, Any]], layout: Layout, notes: dict[str, Any]
) -> None:
    """Join the parts of episodes into a dataset.

    Args:
        target: folder to write, empty.
        parts: folders of the episodes, in the order of the dataset.
        records: descriptions of the episodes, in the same order.
        layout: shape of the dataset.
        notes: content of ``meta/li_env.json``.
    """
    tasks = {text: index for index, text in enumerate(dict.fromkeys(record["task"] for record in records))}
    merged = {name: Merged() for name in layout.features()}
    data = _write_data(target, parts, records, layout, tasks)
    videos = _write_videos(target, parts, records, layout)

    def described() -> Iterator[dict[str, Any]]:
        for index, (part, record, where, shot) in enumerate(zip(parts, records, data, videos, strict=True)):
            first, count = where.pop("first"), record["rows"]
            statistics = read_json(part / "statistics.json", "journal")
            statistics["episode_index"] = column_statistics(np.full(count, index))
            statistics["index"] = column_statistics(np.arange(first, first + count))
            statistics["task_index"] = column_statistics(np.full(count, tasks[record["task"]]))
            for name, total in merged.items():
                total.add(statistics[name])
            flat = {f"stats/{name}/{each}": statistics[name][each] for name in merged for each in NAMES}
            yield {
                "episode_index": index, "tasks": [record["task"]], "length": count,
                **where, "dataset_from_index": first, "dataset_to_index": first + count, **shot, **flat,
                "meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0,
                "li_env.episode": record["episode"], "li_env.return": record["return"],
                "li_env.steps": record["steps"], "li_env.success": record["success"],
                "li_env.spl": float(record["measures"].get("spl", np.nan)),
            }  # fmt: skip

    _write_episodes(target, described())
    _write_tasks(target / "meta" / "tasks.parquet", tasks)
    write_json(target / "meta" / "stats.json", {name: total.result() for name, total in merged.items()})
    write_json(target / "meta" / "info.json", _info(layout, records, len(tasks)))
    write_json(target / "meta" / "li_env.json", notes)


def _info(layout: Layout, records: Sequence[Mapping[str, Any]], tasks: int) -> dict[str, Any]:
    return {
        "codebase_version": "v3.0",
        "fps": layout.fps,
        "features": layout.features(),
        "total_episodes": len(records),
        "total_frames": sum(record["rows"] for record in records),
        "total_tasks": tasks,
        "chunks_size": CHUNK,
        "data_files_size_in_mb": DATA_MB,
        "video_files_size_in_mb": VIDEO_MB,
        "data_path": DATA_PATH,
        "video_path": VIDEO_PATH,
        "robot_type": None,
        "splits": {"train": f"0:{len(records)}"},
    }


def _write_data(
    target: Path, parts: Sequence[Path], records: Sequence[Mapping[str, Any]], layout: Layout, tasks: dict[str, int]
) -> list[dict[str, int]]:
    """Write the rows, one row group per episode; return file and first index of every episode."""
    pa = pyarrow("writing LeRobot datasets")
    schema, places, first = arrow_schema(layout), [], 0
    writer, file, path = None, -1, target
    try:
        for index, (part, record) in enumerate(zip(parts, records, strict=True)):
            if writer is None or path.stat().st_size >= DATA_MB * 2**20:
                if writer is not None:
                    writer.close()
                file += 1
                path = _made(target / DATA_PATH.format(chunk_index=file // CHUNK, file_index=file % CHUNK))
                writer = pa.parquet.ParquetWriter(
                    path, schema, compression="snappy", use_dictionary=True, dictionary_pagesize_limit=_DICTIONARY
                )
            with np.load(part / "rows.npz", allow_pickle=False) as stored:
                columns: dict[str, Any] = {name: stored[name] for name in layout.columns}
            count = record["rows"]
            columns |= _defaults(count, layout.fps)
            columns |= {
                "episode_index": np.full(count, index),
                "index": np.arange(first, first + count),
                "task_index": np.full(count, tasks[record["task"]]),
            }
            if layout.goal:
                columns[GOAL] = [{"bytes": (part / _GOAL_FILE).read_bytes(), "path": None}] * count
            arrays = [_arrow(pa, columns[field.name], field.type) for field in schema]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            places.append({"data/chunk_index": file // CHUNK, "data/file_index": file % CHUNK, "first": first})
            first += count
    finally:
        if writer is not None:
            writer.close()
    return places


def arrow_schema(layout: Layout) -> Any:
    """Return the Parquet schema of the rows."""
    pa = pyarrow("writing LeRobot datasets")
    types = {"float32": pa.float32(), "float64": pa.float64(), "int64": pa.int64(), "bool": pa.bool_()}
    # LeRobot's own form of a picture.
    fields = [(GOAL, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))] if layout.goal else []
    for name, column in {**layout.columns, **{name: Column(each) for name, each in _DEFAULTS.items()}}.items():
        kind = types[column.dtype]
        fields.append((name, kind if column.names is None else pa.list_(kind, column.size)))
    return pa.schema(fields)


def _arrow(pa: Any, values: np.ndarray | list[Any], kind: Any) -> Any:
    if isinstance(values, list) or values.ndim == 1:
        return pa.array(values, type=kind)
    flat = pa.array(np.ascontiguousarray(values).ravel(), type=kind.value_type)
    return pa.FixedSizeListArray.from_arrays(flat, type=kind)


def _write_videos(
    target: Path, parts: Sequence[Path], records: Sequence[Mapping[str, Any]], layout: Layout
) -> list[dict[str, Any]]:
    """Join the videos; return file and seconds of every episode."""
    places = []
    for file, members in enumerate(_by_size([part / "front.mp4" for part in parts], VIDEO_MB * 2**20)):
        chunk, number = file // CHUNK, file % CHUNK
        path = _made(target / VIDEO_PATH.format(video_key=CAMERA, chunk_index=chunk, file_index=number))
        counts = [records[index]["rows"] for index in members]
        join(path, [parts[index] / "front.mp4" for index in members], counts, layout.fps)
        before = 0
        for count in counts:
            places.append({
                f"videos/{CAMERA}/chunk_index": chunk, f"videos/{CAMERA}/file_index": number,
                f"videos/{CAMERA}/from_timestamp": before / layout.fps,
                f"videos/{CAMERA}/to_timestamp": (before + count) / layout.fps,
            })  # fmt: skip
            before += count
    return places


def _by_size(files: Sequence[Path], most: int) -> Iterator[list[int]]:
    members: list[int] = []
    size = 0
    for index, file in enumerate(files):
        bytes_of_it = file.stat().st_size
        if members and size + bytes_of_it > most:
            yield members
            members, size = [], 0
        members.append(index)
        size += bytes_of_it
    if members:
        yield members


def _write_episodes(target: Path, rows: Iterator[Mapping[str, Any]]) -> None:
    """Write the table of the episodes, some of them at a time: their statistics are large as Python's numbers."""
    pa = pyarrow("writing LeRobot datasets")
    path, writer = _made(target / EPISODES_PATH.format(chunk_index=0, file_index=0)), None
    try:
        while some := list(islice(rows, _TOGETHER)):
            table = pa.Table.from_pylist(some, schema=_episodes_schema(some[0]))
            writer = writer or pa.parquet.ParquetWriter(path, table.schema)
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()


def _episodes_schema(row: Mapping[str, Any]) -> Any:
    pa = pyarrow("writing LeRobot datasets")
    number, text = pa.int64(), pa.string()
    nested = pa.list_(pa.list_(pa.list_(pa.float64())))
    fields = []
    for name in row:
        if name.startswith("stats/"):
            kind = pa.list_(number) if name.endswith("/count") else pa.list_(pa.float64())
            kind = nested if "observation.images." in name and not name.endswith("/count") else kind
        elif name == "tasks":
            kind = pa.list_(text)
        elif name.endswith("timestamp") or name in ("li_env.return", "li_env.spl"):
            kind = pa.float64()
        else:
            kind = pa.bool_() if name == "li_env.success" else number
        fields.append((name, kind))
    return pa.schema(fields)


def _write_tasks(path: Path, tasks: Mapping[str, int]) -> None:
    """Write the tasks as a table whose pandas index is the text."""
    pa = pyarrow("writing LeRobot datasets")
    described = {
        "index_columns": ["task"],
        "column_indexes": [{"name": None, "field_name": None, "pandas_type": "unicode", "numpy_type": "object",
                            "metadata": {"encoding": "UTF-8"}}],
        "columns": [
            {"name": "task_index", "field_name": "task_index", "pandas_type": "int64", "numpy_type": "int64",
             "metadata": None},
            {"name": "task", "field_name": "task", "pandas_type": "unicode", "numpy_type": "object", "metadata": None},
        ],
        "creator": {"library": "pyarrow", "version": pa.__version__},
        "pandas_version": "2.0.0",
    }  # fmt: skip
    schema = pa.schema([("task_index", pa.int64()), ("task", pa.string())], metadata={"pandas": json.dumps(described)})
    table = pa.table({"task_index": list(tasks.values()), "task": list(tasks)}, schema=schema)
    pa.parquet.write_table(table, _made(path))


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def read_episode_table(root: Path) -> Any:
    """Read the table of the episodes of a dataset that `assemble` made, one row each."""
    pa = pyarrow("reading LeRobot datasets")
    return pa.parquet.read_table(root / EPISODES_PATH.format(chunk_index=0, file_index=0))


def take_apart(root: Path, table: Any, episode: int, part: Path) -> None:
    """Write the part of one episode again, from a dataset that `assemble` made.

    Args:
        root: of the dataset.
        table: what `read_episode_table` gives for it.
        episode: its number there.
        part: folder to write to.
    """
    pa = pyarrow("reading LeRobot datasets")
    row = table.slice(episode, 1).to_pylist()[0]
    place = {name: row[f"videos/{CAMERA}/{name}"] for name in ("chunk_index", "file_index")}
    seconds = row[f"videos/{CAMERA}/from_timestamp"], row[f"videos/{CAMERA}/to_timestamp"]
    cut(part / "front.mp4", root / VIDEO_PATH.format(video_key=CAMERA, **place), *seconds)
    place = {name: row[f"data/{name}"] for name in ("chunk_index", "file_index")}
    data = pa.parquet.ParquetFile(root / DATA_PATH.format(**place))
    before = table.column("data/chunk_index").to_pylist(), table.column("data/file_index").to_pylist()
    first = next(index for index, each in enumerate(zip(*before, strict=True)) if each == tuple(place.values()))
    rows = data.read_row_group(episode - first)
    columns = {name: array_of(rows.column(name)) for name in rows.column_names if name not in (*_DEFAULTS, GOAL)}
    save_arrays(part / "rows.npz", **columns)
    if GOAL in rows.column_names:
        (part / _GOAL_FILE).write_bytes(rows.column(GOAL)[0].as_py()["bytes"])
    statistics: dict[str, dict[str, Any]] = {}
    for name, value in row.items():
        kind, _, rest = name.partition("/")
        if kind == "stats":
            feature, _, key = rest.rpartition("/")
            statistics.setdefault(feature, {})[key] = value
    write_json(part / "statistics.json", statistics)
