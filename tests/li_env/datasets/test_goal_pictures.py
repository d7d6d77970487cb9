"""Datasets of ImageGoal hold the picture of the goal: in every LeRobot row, in Minari's observations, beside clips."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import minari
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from li_env.cli import main
from li_env.datasets.finish import SUMMARY
from li_env.datasets.lerobot import CAMERA, GOAL
from li_env.datasets.reading import RecordedDataset
from li_env.datasets.video import decode_picture, encode_picture
from li_env.tasks import EpisodeDataset
from tests.analytic_world import SPEC
from tests.li_env.datasets.rooms import EPISODES, collected, episode_file

ALL = ("--format", "lerobot,minari,clips", "--codec", "lossless", "--task", "imagegoal", "--agent", "wanderer")
DATA = "lerobot/data/chunk-000/file-000.parquet"


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> tuple[Path, np.ndarray]:
    """Write an episode file in which every goal has its picture; return its folder and the pictures."""
    folder, rng = tmp_path_factory.mktemp("goals"), np.random.default_rng(1)
    path = episode_file(folder)
    pictures = rng.integers(0, 256, (EPISODES, *SPEC.frame_size, 3), dtype=np.uint8)
    records = tuple(
        replace(record, goal_frame=EPISODES - 1 - index)
        for index, record in enumerate(EpisodeDataset.read(path).episodes)
    )
    EpisodeDataset(records, {"goal": pictures}).write(path)
    return folder, pictures[::-1]


@pytest.fixture(scope="module")
def dataset(shared) -> Path:
    return collected(shared[0], shared[0] / "out", *ALL)


def test_every_row_shows_the_goal_of_its_episode(dataset, shared):
    data = RecordedDataset(dataset)
    for index in range(len(data)):
        item = data[index]
        goal = shared[1][int(item["episode_index"])]
        np.testing.assert_array_equal(item[GOAL].numpy(), goal.transpose(2, 0, 1))
        assert item[CAMERA].shape == item[GOAL].shape
    info = json.loads((dataset / "lerobot/meta/info.json").read_text())
    assert list(info["features"])[:3] == [CAMERA, GOAL, "observation.state"]
    assert info["features"][GOAL] == {
        "dtype": "image", "shape": [*SPEC.frame_size, 3], "names": ["height", "width", "channels"]
    }  # fmt: skip


def test_the_picture_is_stored_once_per_episode(dataset):
    file = pq.ParquetFile(dataset / DATA)
    place = [field.path for field in [file.schema.column(n) for n in range(len(file.schema))]].index(f"{GOAL}.bytes")
    for group in range(file.num_row_groups):
        rows, stored = file.metadata.row_group(group).num_rows, file.metadata.row_group(group).column(place)
        picture = len(file.read_row_group(group, columns=[GOAL]).column(GOAL)[0].as_py()["bytes"])
        assert rows > 2
        assert stored.total_uncompressed_size < 1.5 * picture


def test_statistics_are_those_of_the_pictures(dataset, shared):
    rows = pq.read_table(dataset / "lerobot/meta/episodes/chunk-000/file-000.parquet").to_pylist()
    for row, picture in zip(rows, shared[1], strict=True):
        pixels = picture.reshape(-1, 3) / 255.0
        for name in ("min", "max", "mean", "std"):
            mine = np.ravel(row[f"stats/{GOAL}/{name}"])
            np.testing.assert_allclose(mine, getattr(np, name)(pixels, axis=0), atol=1e-12)
        assert row[f"stats/{GOAL}/count"] == row[f"stats/{CAMERA}/count"]


def test_minari_and_clips_have_it_too(dataset, shared, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(dataset / "minari"))
    episodes = list(minari.load_dataset("li-env/room-imagegoal-v0").iterate_episodes())
    for index, (episode, picture) in enumerate(zip(episodes, shared[1], strict=True)):
        assert (episode.observations["imagegoal"] == picture).all()
        clip = (dataset / f"clips/episode-{index:06d}/goal.png").read_bytes()
        np.testing.assert_array_equal(decode_picture(clip), picture)


def test_it_verifies_merges_and_does_not_depend_on_worlds(dataset, shared, tmp_path):
    assert main(["collect", "verify", str(dataset)]) == 0
    more = (*ALL, "--worlds", "3", "--episodes")
    parts = [collected(shared[0], tmp_path / part, *more, part) for part in ("0:5", "5:12")]
    assert main(["collect", "merge", *map(str, parts), "--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / SUMMARY).read_bytes() == (dataset / SUMMARY).read_bytes()


@pytest.mark.parametrize("damage", ["another picture", "no picture"])
def test_a_damaged_goal_is_named(damage, dataset, tmp_path, capsys):
    copy = Path(shutil.copytree(dataset, tmp_path / "copy"))
    file = pq.ParquetFile(copy / DATA)
    groups = [file.read_row_group(number) for number in range(file.num_row_groups)]
    rows = groups[1].column(GOAL).to_pylist()
    other = encode_picture(255 - decode_picture(rows[2]["bytes"])) if damage == "another picture" else b"\x89PNG"
    rows[2] = {"bytes": other, "path": None}
    groups[1] = groups[1].set_column(0, groups[1].schema.field(0), pa.array(rows, groups[1].schema.field(0).type))
    with pq.ParquetWriter(copy / DATA, groups[0].schema) as writer:
        for group in groups:
            writer.write_table(group)
    assert main(["collect", "verify", str(copy)]) == 2
    error = capsys.readouterr().err
    assert f"{DATA}: row {len(groups[0]) + 2} (episode 1, frame 2) is wrong" in error


def test_pictures_of_any_size_come_back_and_damaged_ones_are_refused():
    rng = np.random.default_rng(0)
    for shape in ((1, 1, 3), (65, 33, 3), (96, 128, 3)):
        picture = rng.integers(0, 256, shape, dtype=np.uint8)
        data = encode_picture(picture)
        assert data == encode_picture(picture)
        np.testing.assert_array_equal(decode_picture(data), picture)
    for damaged in (b"", b"PNG", data[: len(data) // 2]):
        with pytest.raises(ValueError, match="cannot be decoded"):
            decode_picture(damaged)
