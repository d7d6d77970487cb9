"""Every mistake gets one line and exit code 2, and nothing is lost or half-written."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from li_env.agents.cloning.config import BCConfig
from li_env.agents.cloning.train import train
from li_env.cli import main
from li_env.cli._collecting import open_player
from li_env.datasets.manifest import Manifest
from tests.li_env.datasets.rooms import collected, episode_file, mapped_file, scan_of, scans, words

MAPPED = ("--world", "mapped room", "--dataset", "MAPPED")
ARGUMENTS = {
    # words: what the message says
    ("--codec", "h265"): "codec='h265' is unknown",
    ("--format", "rlds"): "format='rlds' is unknown",
    ("--format", "clips,clips"): "format=",
    ("--format", ""): "format='' is unknown",
    ("--episodes", "0:99"): "episode 12 is not in the episode file; allowed: 0:12",
    ("--episodes", "40:41"): "episode 40 is not in the episode file",
    ("--episodes", "5:5"): "FIRST:END",
    ("--episodes", "-1:3"): "episodes",
    ("--episodes", "a:b"): "FIRST:END",
    ("--agent", "nobody"): "agent (no folder either)='nobody' is unknown",
    ("--agent", "expert"): "cannot play task",
    ("--agent", "ppo:missing"): "is not a folder",
    ("--label", "teacher"): "label='teacher' is unknown",
    ("--label", "expert"): "cannot play task",
    ("--noise", "1.5"): "noise=1.5 is not allowed",
    ("--noise", "nan"): "noise=nan is not allowed",
    ("--keep", "best"): "keep='best' is unknown",
    ("--validation", "2"): "validation=2.0 is not allowed",
    ("--worlds", "0"): "worlds=0 is not allowed",
    ("--max-steps", "0"): "max_steps=0 is not allowed",
    ("--seed", "-1"): "seed=-1 is not allowed",
    ("--world", "nowhere"): "world='nowhere' is unknown",
    ("--task", "fly"): "task='fly' is unknown",
    ("--world", "analytic"): "needs whole frames per second",
    ("--preset", "fast"): "preset",
    ("--device", "tpu"): "device='tpu' is unknown",
    ("--dataset", "missing.json"): "is not a file",
    ("--weights", "missing"): "weights='missing' is not a folder",
    ("--threads", "-1"): "threads=-1 is not allowed",
    ("--encoders", "0"): "encoders=0 is not allowed",
    ("--slice-size", "0"): "slice_size=0 is not allowed",
    ("--workers", "2"): "workers=2 is not an argument of world 'room'",
    ("--workers", "-1"): "workers=-1 is not allowed",
    ("--workers", "2", "--ray", "local"): "workers=2 is of no use with ray",
    ("--ray", "nowhere"): "ray='nowhere' is not an address",
    ("--ray", "host:99999"): "ray='host:99999' is not an address",
    ("--instruction", "x" * 200_000): "has 200,000 characters",
    ("--scans", "missing"): "missing' is no folder with scans; allowed: one of `li-env scan build --dataset",
    ("--scans", "SCANS"): "episode 0 is on no map",
    ("--scans", "SCANS", "--dataset", "MAPPED", "--task", "explore"): "dataset is of no use to task 'explore'",
    (
        "--scans",
        "OTHER",
        *MAPPED,
    ): "has no scan of map 8, where episode 4 takes place (map_8.npz shows another map: remove it)",
    ("--scans", "TWICE", *MAPPED): "holds two scans of map 7, again.npz and map_7.npz",
    ("--scans", "TORN", *MAPPED): "map_7.npz' cannot be read",
    ("--scans", "NARROW", *MAPPED): "scan of another frame shape than the world can use",
    ("--scans", "SCANS", "--dataset", "MAPPED", "--world", "no encoder"): "cannot encode frames",
}


def place(folder: Path, word: str) -> str:
    """Return the path that a word in capitals stands for."""
    if word == "MAPPED":
        return str(mapped_file(folder))
    if word not in ("SCANS", "OTHER", "TWICE", "TORN", "NARROW"):
        return word
    there = scans(folder)
    if word == "OTHER":
        replace(scan_of(8), map_seed=80).save(there / "map_8.npz")
    elif word == "TWICE":
        scan_of(7).save(there / "again.npz")
    elif word == "TORN":
        (there / "map_7.npz").write_bytes((there / "map_7.npz").read_bytes()[:-1000])
    elif word == "NARROW":
        replace(scan_of(7), intrinsics=np.array([160.0, 160.0, 64.0, 48.0])).save(there / "map_7.npz")
    return str(there)


@pytest.mark.parametrize("more", ARGUMENTS, ids=range(len(ARGUMENTS)))
def test_an_argument_that_is_not_allowed(more, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(words(tmp_path, out, *(place(tmp_path, word) for word in more))) == 2
    error = capsys.readouterr().err
    assert ARGUMENTS[more] in error
    assert error.count("\n") == 1
    assert not out.exists(), "nothing half-written"


@pytest.fixture
def copy(dataset, tmp_path) -> Path:
    """Copy a finished dataset, to damage it."""
    return Path(shutil.copytree(dataset, tmp_path / "copy"))


def complaint(capsys, *arguments: str) -> str:
    assert main(list(arguments)) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_a_folder_with_other_content(tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    assert "is not empty ('thesis.tex')" in complaint(capsys, *words(tmp_path, out))
    assert "is not empty" in complaint(capsys, *words(tmp_path, out, "--resume"))
    assert (out / "thesis.tex").read_text() == "years of work"


def test_a_dataset_without_resume(tmp_path, capsys):
    out = collected(tmp_path, tmp_path / "out", "--episodes", "0:2")
    assert "--resume" in complaint(capsys, *words(tmp_path, out, "--episodes", "0:2"))
    assert main(words(tmp_path, out, "--episodes", "0:2", "--resume")) == 0


@pytest.mark.parametrize(
    ("more", "field"),
    [
        (("--noise", "0.2"), "noise=0.2"),
        (("--codec", "lossless"), "codec='lossless'"),
        (("--agent-seed", "3"), "agent_seed=3"),
        (("--threads", "2"), "computation.threads=2"),
        (("--preset", "off"), "preset."),
        (("--episodes", "0:3"), "episodes="),
    ],
)
def test_another_manifest_on_resume_names_the_field(more, field, tmp_path, capsys):
    out = collected(tmp_path, tmp_path / "out", "--episodes", "0:2")
    before = (out / "dataset.json").read_bytes()
    error = complaint(capsys, *words(tmp_path, out, "--episodes", "0:2", *more, "--resume"))
    assert f"{field}" in error
    assert "differs from the dataset's manifest" in error
    assert (out / "dataset.json").read_bytes() == before


def test_missing_extra(tmp_path, capsys, monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr("li_env.arrow.importlib", SimpleNamespace(import_module=missing))
    assert "pip install 'li-env[data]'" in complaint(capsys, *words(tmp_path, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_damaged_row_is_named(copy, capsys):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = copy / "lerobot/data/chunk-000/file-000.parquet"
    file = pq.ParquetFile(path)
    groups = [file.read_row_group(number) for number in range(file.num_row_groups)]
    rewards = groups[2].column("next.reward").to_pylist()
    rewards[1] += 1.0
    place = groups[2].column_names.index("next.reward")
    groups[2] = groups[2].set_column(place, groups[2].schema.field(place), pa.array(rewards, pa.float32()))
    with pq.ParquetWriter(path, groups[0].schema) as writer:
        for group in groups:
            writer.write_table(group)
    row = len(groups[0]) + len(groups[1]) + 1
    error = complaint(capsys, "collect", "verify", str(copy))
    assert f"lerobot/data/chunk-000/file-000.parquet: row {row} (episode 2, frame 1) is wrong" in error


def test_other_damage_names_the_file(copy, capsys):
    video = copy / "clips/episode-000003/video.mp4"
    data = bytearray(video.read_bytes())
    data[len(data) // 2] ^= 255
    video.write_bytes(data)
    assert "clips/episode-000003/video.mp4" in complaint(capsys, "collect", "verify", str(copy))
    video.write_bytes(data[: len(data) // 2])
    assert "clips/episode-000003/video.mp4" in complaint(capsys, "collect", "verify", str(copy))
    video.unlink()
    assert "clips/episode-000003/video.mp4: the file is missing" in complaint(capsys, "collect", "verify", str(copy))


def test_torn_parquet_and_a_strange_file(copy, capsys):
    path = copy / "lerobot/data/chunk-000/file-000.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    assert "file-000.parquet: cannot be read" in complaint(capsys, "collect", "verify", str(copy))
    shutil.rmtree(copy / "lerobot")
    (copy / "clips" / "notes.txt").write_text("mine")
    assert "is missing" in complaint(capsys, "collect", "verify", str(copy))


def test_a_changed_manifest_and_changed_weights(copy, capsys):
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["noise"] = 0.5
    (copy / "manifest.json").write_text(json.dumps(manifest))
    assert "is not the manifest" in complaint(capsys, "collect", "verify", str(copy))
    manifest["weights"] = "0" * 64
    (copy / "manifest.json").write_text(json.dumps(manifest))
    summary = json.loads((copy / "dataset.json").read_text())
    summary["manifest"] = Manifest.read(copy).digest()
    (copy / "dataset.json").write_text(json.dumps(summary))
    assert "have changed since the manifest was written" in complaint(capsys, "collect", "verify", str(copy))


def test_an_agent_of_another_action_space(tmp_path, capsys):
    """Explore has no stop and no goal sensor."""
    train(BCConfig(epochs=1), tmp_path / "agent", collected(tmp_path, tmp_path / "data", "--episodes", "0:2"), "cpu")
    capsys.readouterr()
    more = ["collect", "--world", "room", "--task", "explore", "--agent", str(tmp_path / "agent"), "--device", "cpu"]
    assert "policy.safetensors does not fit this task" in complaint(capsys, *more, "--out", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ({"weights": "0" * 64}, "weights of world 'room' have changed"),
        ({"agent_hash": "0" * 64}, "weights of agent 'seeker' have changed"),
        ({"episodes_hash": "0" * 64}, "the episode file has changed"),
        ({"computation": {"device": "cpu", "threads": 1, "torch": "1.0"}}, "of this machine differs"),
    ],
)
def test_what_a_worker_or_a_replay_refuses_to_open(field, said, dataset):
    with pytest.raises(ValueError, match=said):
        open_player(replace(Manifest.read(dataset), **field))


def test_no_dataset_and_a_torn_manifest(tmp_path, capsys):
    assert "dataset" in complaint(capsys, "collect", "verify", str(tmp_path))
    assert "dataset" in complaint(capsys, "collect", "show", str(tmp_path))
    out = tmp_path / "out"
    out.mkdir()
    (out / "manifest.json").write_text('{"world": "room"')
    assert "manifest.json" in complaint(capsys, *words(tmp_path, out, "--resume"))
    (out / "manifest.json").write_text('{"world": "room"}')
    assert "is missing" in complaint(capsys, *words(tmp_path, out, "--resume"))


def test_a_read_only_target(tmp_path, capsys):
    target = Path("/proc/li-env-dataset")  # nobody can write there, root neither
    assert "out=" in complaint(capsys, *words(tmp_path, target))


def test_an_episode_file_that_changed(tmp_path, capsys):
    out = collected(tmp_path, tmp_path / "out", "--episodes", "0:2")
    path = episode_file(tmp_path)
    data = json.loads(path.read_text())
    data["episodes"][0]["goal"][0] += 0.5
    path.write_text(json.dumps(data))
    error = complaint(capsys, *words(tmp_path, out, "--episodes", "0:2", "--resume"))
    assert "episodes_hash" in error
