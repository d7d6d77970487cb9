"""Files of a LeRobot dataset against a dump of what lerobot 0.6.1's own writer makes for the same features."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from li_env.datasets.arrays import array_of
from li_env.datasets.episode_rows import Column, EpisodeRows
from li_env.datasets.finish import SUMMARY
from li_env.datasets.lerobot import CAMERA, Layout, assemble, write_part
from li_env.datasets.statistics import QUANTILES
from li_env.datasets.video import codec_of
from li_env.recording import video_frames
from tests.benchmark_scripts import benchmark_script
from tests.li_env.datasets.rooms import collected

pq = pytest.importorskip("pyarrow.parquet")
GOLDEN = json.loads((Path(__file__).parent / "golden_lerobot_0_6_1.json").read_text())
STATE = ("goal_distance", "goal_bearing", "moved_yaw", "moved_right", "moved_forward")
COLUMNS = {
    "observation.state": Column("float32", STATE),
    "action": Column("float32", ("forward", "right", "yaw", "stop")),
    "next.reward": Column("float32"),
    "next.done": Column("bool"),
    "next.success": Column("bool"),
    "next.truncated": Column("bool"),
    "camera.pose": Column("float64", tuple(f"{n}" for n in range(16))),
    "plan.regime": Column("int64"),
}


def golden_episode(rng: np.random.Generator, number: int, count: int, goal: np.ndarray | None = None) -> EpisodeRows:
    """Draw the numbers that the dump was made from, in the same order."""
    frames, rows = [], {name: [] for name in COLUMNS}
    for _ in range(count):
        frames.append(rng.integers(0, 256, (96, 128, 3), dtype=np.uint8))
        for name, column in COLUMNS.items():
            if column.dtype == "bool":
                value = np.array([bool(rng.integers(2))])
            elif column.dtype == "int64":
                value = rng.integers(0, 9, (1,))
            else:
                value = rng.normal(size=(column.size,)).astype(column.dtype)
            rows[name].append(value if column.names else value[0])
    stacked = {name: np.stack(values) for name, values in rows.items()}
    record = {"task": f"task {number}", "rows": count, "episode": number, "return": 0.0, "steps": 1, "success": True,
              "measures": {}}  # fmt: skip
    empty = np.zeros(0)
    return EpisodeRows(
        number, record["task"], np.stack(frames), empty, stacked, empty, empty, empty, {}, [], goal, record
    )


@pytest.fixture(scope="module")
def golden(tmp_path_factory) -> Path:
    folder, rng = tmp_path_factory.mktemp("golden"), np.random.default_rng(0)
    layout = Layout(COLUMNS, (96, 128), 8, codec_of("h264", (96, 128)))
    episodes = [golden_episode(rng, number, count) for number, count in enumerate((7, 12))]
    parts = []
    for episode in episodes:
        parts.append(folder / f"part{episode.number}")
        parts[-1].mkdir()
        write_part(parts[-1], episode, layout)
    (folder / "out").mkdir()
    assemble(folder / "out", parts, [episode.record for episode in episodes], layout, {})
    return folder / "out"


def schema(path: Path) -> list[list[str]]:
    return [[field.name, str(field.type)] for field in pq.read_schema(path)]


def test_names_types_and_order_are_those_of_lerobots_own_writer(golden):
    assert schema(golden / "data/chunk-000/file-000.parquet") == GOLDEN["data"]
    assert schema(golden / "meta/tasks.parquet") == GOLDEN["tasks"]
    mine = schema(golden / "meta/episodes/chunk-000/file-000.parquet")
    assert [each for each in mine if not each[0].startswith("li_env.")] == GOLDEN["episodes"]
    assert pq.ParquetFile(golden / "data/chunk-000/file-000.parquet").num_row_groups == GOLDEN["row_groups"]


def test_info_has_the_same_keys_in_the_same_order(golden):
    info, other = json.loads((golden / "meta/info.json").read_text()), GOLDEN["info"]
    assert list(info) == list(other)
    assert list(info["features"]) == list(other["features"])
    for name, feature in other["features"].items():
        mine = info["features"][name]
        assert (mine["dtype"], mine["shape"]) == (feature["dtype"], feature["shape"])
        assert list(mine.get("info", {})) == list(feature.get("info", {}))
    for key in ("codebase_version", "fps", "total_episodes", "total_frames", "total_tasks", "splits", "chunks_size",
                "data_path", "video_path", "robot_type"):  # fmt: skip
        assert info[key] == other[key], key


def test_statistics_are_those_of_lerobots_own_writer(golden):
    rows = pq.read_table(golden / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    pairs = [*zip(rows, GOLDEN["episode_rows"], strict=True)]
    stats = json.loads((golden / "meta/stats.json").read_text())
    flat = [{f"stats/{name}/{key}": value for name, each in one.items() for key, value in each.items()}
            for one in (stats, GOLDEN["stats"])]  # fmt: skip
    for mine, other in (*pairs, tuple(flat)):
        for key, value in other.items():
            # LeRobot's quantiles come from a histogram of 5,000 bins.
            exact = key.rpartition("/")[2] in ("min", "max", "mean", "std", "count")
            span = np.ptp([other[key.rpartition("/")[0] + "/min"], other[key.rpartition("/")[0] + "/max"]])
            if exact:
                # LeRobot sums pixels and their squares as float32; the numbers here are exact, see the next test.
                rounding = 1e-4 if CAMERA in key else 1e-6
                np.testing.assert_allclose(mine[key], value, atol=rounding, err_msg=key)
            elif mine is not flat[0]:  # of several episodes: see the next test
                np.testing.assert_allclose(mine[key], value, atol=float(span) / 2500 + 1e-6, err_msg=key)


def test_quantiles_of_several_episodes_are_lerobots_conservative_bounds(golden):
    """Compare with both definitions: LeRobot up to 0.6.1 averages the episodes' quantiles, after it takes bounds.

    A mean of quantiles is no quantile (LeRobot's pull request 3804): it cuts off what one episode alone does.
    """
    rows = pq.read_table(golden / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    stats = json.loads((golden / "meta/stats.json").read_text())
    values = pq.read_table(golden / "data/chunk-000/file-000.parquet")
    for name in COLUMNS:
        counts = np.array([row[f"stats/{name}/count"][0] for row in rows])
        for key, share in QUANTILES.items():
            each = np.array([row[f"stats/{name}/{key}"] for row in rows])
            mean = (each * counts[:, None]).sum(0) / counts.sum()
            bound = each.min(0) if share < 0.5 else each.max(0) if share > 0.5 else mean
            np.testing.assert_allclose(stats[name][key], bound, atol=1e-12)
            theirs = np.array([row[f"stats/{name}/{key}"] for row in GOLDEN["episode_rows"]])
            averaged = (theirs * counts[:, None]).sum(0) / counts.sum()
            np.testing.assert_allclose(GOLDEN["stats"][name][key], averaged, atol=1e-6)
            exact = np.quantile(array_of(values.column(name)).astype(float), share, axis=0, method="inverted_cdf")
            assert share >= 0.5 or (stats[name][key] <= exact).all(), (name, key)
            assert share <= 0.5 or (stats[name][key] >= exact).all(), (name, key)


def test_statistics_of_frames_are_exact(golden):
    episode = golden_episode(np.random.default_rng(0), 0, 7)
    stored = pq.read_table(golden / "meta/episodes/chunk-000/file-000.parquet").to_pylist()[0]
    pixels = episode.frames.reshape(-1, 3) / 255.0
    for name in ("min", "max", "mean", "std"):
        mine = np.ravel(stored[f"stats/{CAMERA}/{name}"])
        np.testing.assert_allclose(mine, getattr(np, name)(pixels, axis=0), atol=1e-12)


def test_every_frame_is_the_right_one_without_loss(dataset):
    (video,) = (dataset / "lerobot/videos" / CAMERA).rglob("*.mp4")
    frames = video_frames(video)
    episodes = pq.read_table(dataset / "lerobot/meta/episodes/chunk-000/file-000.parquet").to_pylist()
    first = 0
    for index, episode in enumerate(episodes):
        clip = list(video_frames(dataset / f"clips/episode-{index:06d}/video.mp4"))
        for row in range(episode["length"]):
            np.testing.assert_array_equal(next(frames), clip[row])
        assert episode["dataset_from_index"] == first
        assert episode[f"videos/{CAMERA}/from_timestamp"] == first / 8
        first += episode["length"]
        assert episode["dataset_to_index"] == first
    assert next(frames, None) is None


def test_splits_divide_by_map_and_name_every_episode_once(dataset):
    notes = json.loads((dataset / "lerobot/meta/li_env.json").read_text())
    both = notes["splits"]["train"] + notes["splits"]["validation"]
    assert sorted(both) == list(range(12))
    assert notes["splits"]["validation"]


@pytest.mark.parametrize("codec", ["h264", "av1"])
def test_codecs_with_loss_come_close(codec, tmp_path, dataset):
    out = collected(tmp_path, tmp_path / "out", "--episodes", "0:2", "--codec", codec)
    (video,) = (out / "lerobot/videos" / CAMERA).rglob("*.mp4")
    clean = video_frames(next((dataset / "lerobot/videos" / CAMERA).rglob("*.mp4")))
    errors = [np.square(one.astype(float) - two).mean() for one, two in zip(video_frames(video), clean, strict=False)]
    assert 10 * np.log10(255**2 / np.mean(errors)) > 30


LOADER = os.environ.get("LI_ENV_LEROBOT")


@pytest.mark.skipif(not LOADER, reason="needs LI_ENV_LEROBOT=PYTHON of an environment with lerobot")
def test_lerobots_own_loader_reads_every_row_and_frame(dataset, tmp_path):
    with benchmark_script("dataset_loaders") as loaders:
        loaders.write_truth(dataset, tmp_path / "truth.npz")
        job = {"dataset": str(dataset / "lerobot"), "truth": str(tmp_path / "truth.npz"), "exact": True, "least_db": 0,
               "backends": ["torchcodec"], "checks": ["whole", "windows", "some_episodes"]}  # fmt: skip
        found = loaders.read(LOADER, job, tmp_path)
    assert found["torchcodec"]["whole"]["episodes"] == 12
    rows = found["torchcodec"]["whole"]["rows"]
    assert rows == found["torchcodec"]["streamed"]["rows"] == json.loads((dataset / SUMMARY).read_text())["rows"]
