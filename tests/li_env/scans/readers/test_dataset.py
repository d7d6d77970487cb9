from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from li_env.scans.scan import Scan

pytest.importorskip("pyarrow", reason="needs the extra data")

from tests.li_env.datasets.rooms import collected


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded")
    words = ("--episodes", "0:4", "--format", "lerobot,minari,clips", "--codec", "lossless")
    return collected(folder, folder / "out", *words)


def copied(recorded: Path, folder: Path, map_seeds: list[int | None], without: tuple[str, ...] = ()) -> Path:
    """Copy the dataset, without some formats, as if it had been recorded in these maps."""
    shutil.copytree(recorded, folder, ignore=lambda path, names: [n for n in names if n in without])
    records = [json.loads(line) for line in (recorded / "episodes.jsonl").read_text().splitlines()]
    lines = [json.dumps({**record, "map": seed}) for record, seed in zip(records, map_seeds, strict=True)]
    (folder / "episodes.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def camera(recorded: Path, episode: int) -> np.ndarray:
    return np.load(recorded / f"clips/episode-{episode:06d}/camera.npz")["extrinsics_c2w"]


def test_one_episode_in_every_format(recorded, tmp_path):
    poses = camera(recorded, 2)
    clip = Scan.read(recorded / "clips", episode=2)
    np.testing.assert_array_equal(clip.poses, poses)
    own = Scan.read(recorded / "clips" / "episode-000002")
    assert own.content_hash != clip.content_hash, "its intrinsics are one per frame"
    np.testing.assert_array_equal(own.images, clip.images)

    rows = Scan.read(recorded / "lerobot", episode=2)
    assert len(rows) in (len(clip), len(clip) - 1), "the last frame may have no row"
    np.testing.assert_array_equal(rows.poses, poses[: len(rows)])
    np.testing.assert_array_equal(rows.images, clip.images[: len(rows)])
    np.testing.assert_array_equal(rows.intrinsics, clip.intrinsics)

    steps = Scan.read(recorded, episode=2)  # Minari keeps one frame per step
    assert 2 <= len(steps) < len(clip) and steps.intrinsics is None
    places = [int(np.abs(poses - pose).max((1, 2)).argmin()) for pose in steps.poses]
    np.testing.assert_allclose(steps.poses, poses[places], atol=1e-12)
    ends = {image.tobytes() for image in clip.images}
    assert all(image.tobytes() in ends for image in steps.images)


@pytest.mark.parametrize("without", [(), ("minari",), ("minari", "clips")], ids=["minari", "clips", "lerobot"])
def test_all_episodes_of_one_map(recorded, tmp_path, without):
    folder = copied(recorded, tmp_path / "data", [7] * 4, without)
    scan = Scan.read(folder)
    parts = [Scan.read(folder, episode=index) for index in range(4)]
    assert scan.map_seed == parts[0].map_seed == 7
    np.testing.assert_array_equal(scan.images, np.concatenate([part.images for part in parts]))
    np.testing.assert_array_equal(scan.poses, np.concatenate([part.poses for part in parts]))
    third = Scan.read(folder, every=3)
    np.testing.assert_array_equal(third.images, scan.images[::3])
    np.testing.assert_array_equal(third.poses, scan.poses[::3])


def test_episodes_of_several_places_are_refused(recorded, tmp_path):
    with pytest.raises(ValueError, match=r"its 4 episodes show unknown places, a scan shows one; use episode=0 to 3"):
        Scan.read(recorded)
    folder = copied(recorded, tmp_path / "data", [7, 7, 8, 7])
    with pytest.raises(ValueError, match="its 4 episodes show 2 maps"):
        Scan.read(folder)
    assert Scan.read(folder, episode=2).map_seed == 8
    with pytest.raises(ValueError, match=r"episode=4 is not in scan=.*; allowed: 0 to 3"):
        Scan.read(folder, episode=4)


def test_a_dataset_without_frames_is_refused(recorded, tmp_path):
    folder = copied(recorded, tmp_path / "data", [7] * 4, ("minari", "clips", "lerobot"))
    with pytest.raises(ValueError, match="is a dataset without frames"):
        Scan.read(folder)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("minari/**/data/metadata.json", "metadata.json"),
        ("minari/**/1/part-0.arrow", "is no complete dataset of li-env collect"),
        ("clips/episode-000001/camera.npz", "cannot be read"),
        ("clips/episode-000001/video.mp4", "frame 0 cannot be decoded"),
        ("lerobot/meta/episodes/**/*.parquet", "is no complete dataset of li-env collect"),
        ("lerobot/data/**/*.parquet", "is no complete dataset of li-env collect"),
        ("lerobot/videos/**/*.mp4", "frame 0 cannot be decoded"),
        ("episodes.jsonl", "episodes.jsonl is damaged"),
    ],
)
def test_damaged_files_are_one_line(recorded, tmp_path, file, message):
    kind = file.split("/")[0]
    without = tuple(name for name in ("minari", "clips", "lerobot") if name != kind and kind != "episodes.jsonl")
    folder = copied(recorded, tmp_path / "data", [7] * 4, without)
    (path,) = folder.glob(file)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError) as caught:
        Scan.read(folder)
    assert message in str(caught.value) and "\n" not in str(caught.value)
