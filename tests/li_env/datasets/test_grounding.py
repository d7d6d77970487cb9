"""Episodes in scans of their maps: what the manifest names, who checks it, and that nothing else changes content."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from li_env.cli import main
from li_env.cli._collecting import open_player
from li_env.datasets.finish import SUMMARY
from li_env.datasets.journal import Journal
from li_env.datasets.lerobot import CAMERA
from li_env.datasets.manifest import Manifest
from li_env.datasets.reading import RecordedDataset
from li_env.env import LightInteractionEnv
from li_env.fitted_scans import MapScans
from li_env.scans.building import keep_settings
from li_env.scans.scan import Scan
from tests.li_env.datasets.rooms import (
    EPISODES,
    MAPS,
    grounded,
    grounded_words,
    mapped_file,
    scan_of,
    scans,
    views_of_the_room,
)
from tests.li_env.datasets.test_bad_input import complaint
from tests.li_env.datasets.test_collect import content, kill_at

SETTINGS = {"spacing": 2.5, "headings": 8, "most": None}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """Record lossless videos of all episodes, in scans whose settings are known; tests do not change the folder."""
    folder = tmp_path_factory.mktemp("grounded")
    (folder / "scans").mkdir()
    keep_settings(folder / "scans", SETTINGS)
    return grounded(folder, folder / "out", "--codec", "lossless", "--worlds", "1")


def test_the_manifest_names_the_scan_of_every_map(whole):
    manifest = json.loads((whole / "manifest.json").read_text())
    assert manifest["scans_folder"] == str(whole.parent / "scans")
    assert manifest["scan_settings"] == SETTINGS
    assert manifest["scans"] == {str(seed): {"views": 24, "sha256": scan_of(seed).content_hash} for seed in MAPS}
    assert len({fact["sha256"] for fact in manifest["scans"].values()}) == len(MAPS)


def test_only_scans_of_the_episodes_are_named_and_read(whole, tmp_path):
    folder = Path(shutil.copytree(whole.parent / "scans", tmp_path / "scans"))
    (folder / "map_9.npz").write_bytes(b"PK torn")
    error = ("--scans", str(folder), "--dataset", str(mapped_file(tmp_path)), "--episodes", "2:6")
    assert main(grounded_words(whole.parent, tmp_path / "torn", *error)) == 2
    (folder / "map_9.npz").unlink()
    out = grounded(whole.parent, tmp_path / "out", *error)
    assert list(json.loads((out / "manifest.json").read_text())["scans"]) == ["7", "8"]


@pytest.mark.parametrize("worlds", ["4", "16"])
def test_the_content_does_not_depend_on_worlds(worlds, whole, tmp_path):
    out = grounded(whole.parent, tmp_path / "out", "--codec", "lossless", "--worlds", worlds)
    assert content(out) == content(whole)
    assert (out / "README.md").read_bytes() == (whole / "README.md").read_bytes()


def test_few_scans_stay_in_memory(whole, tmp_path, monkeypatch):
    held = []

    class OneScan(MapScans):
        def __init__(self, world, paths):
            super().__init__(world, paths, kept=1)

        def __getitem__(self, map_seed):
            found = super().__getitem__(map_seed)
            held.append((map_seed, len(self._held)))
            return found

    monkeypatch.setattr("li_env.cli._collecting.MapScans", OneScan)
    out = grounded(whole.parent, tmp_path / "out", "--codec", "lossless", "--worlds", "12")
    assert content(out) == content(whole)
    assert {seed for seed, _ in held} == set(MAPS) and {count for _, count in held} == {1}


def test_frames_are_those_of_the_environment_in_the_scan(whole):
    """Play two episodes on different maps as a user would, and one without its scan."""
    manifest, data = Manifest.read(whole), RecordedDataset(whole)
    given = {"world": "mapped room", "preset": "all", "action_space": "continuous", "observation": "frame",
             "task": "pointgoal", "dataset": mapped_file(whole.parent)}  # fmt: skip
    inside, outside = LightInteractionEnv(**given, scans=whole.parent / "scans"), LightInteractionEnv(**given)
    for number in (1, 9):
        rows = np.flatnonzero(data.columns["episode_index"] == number)
        actions, steps = data.columns["action"][rows], data.columns["step.index"][rows]
        for env, same in ((inside, True), (outside, False)):
            env.reset(seed=manifest.seeds[number], options={"episode": number})
            observation, _, _, _, info = env.step(actions[0])
            assert (info["scan_views"] > 0) == same
            shown = data.frames[rows[np.flatnonzero(steps == 1)[0]]]
            assert np.array_equal(observation["rgb"], shown) == same
    assert CAMERA in data[0]


def test_verify_plays_again_in_the_scans_and_refuses_others(whole, tmp_path, capsys):
    assert main(["collect", "verify", str(whole), "--replays", "3"]) == 0
    folder = Path(shutil.copytree(whole.parent, tmp_path / "all"))
    moved = grounded(folder, folder / "moved")
    other = replace(scan_of(8), poses=scan_of(9).poses)
    other.save(folder / "scans" / "map_8.npz")
    capsys.readouterr()
    error = complaint(capsys, "collect", "verify", str(moved))
    assert "scan of map 8 in" in error and "has changed since the manifest was written" in error
    assert f"24 views, {other.content_hash[:12]}, was 24 views, {scan_of(8).content_hash[:12]}" in error
    assert "li-env scan build --dataset" in error and "--spacing 2.5 --headings 8" in error
    (folder / "scans" / "map_8.npz").unlink()
    error = complaint(capsys, "collect", "verify", str(moved))
    assert "has no scan of map 8, where episode 4 takes place" in error and "li-env scan build" in error
    assert main(["collect", "verify", str(moved), "--replays", "0"]) == 0, "files alone need no scans"


def test_resume_goes_on_in_the_same_scans_only(whole, tmp_path, capsys):
    folder = Path(shutil.copytree(whole.parent, tmp_path / "all"))
    out, arguments = tmp_path / "out", grounded_words(folder, tmp_path / "out", "--worlds", "2", "--resume")
    assert kill_at(150, arguments, out)
    done = Journal(out).numbers()
    assert 0 < len(done) < EPISODES
    Scan(views_of_the_room().images, views_of_the_room().poses, map_seed=9).save(folder / "scans" / "map_9.npz")
    assert "scan of map 9 in" in complaint(capsys, *arguments)
    scan_of(9).save(folder / "scans" / "map_9.npz")
    without = [word for word in arguments if word not in ("--scans", str(folder / "scans"))]
    assert "scans_folder=None differs from the dataset's manifest" in complaint(capsys, *without)
    assert Journal(out).numbers() == done, "nothing is lost"
    assert main(arguments) == 0
    assert content(out) == content(grounded(folder, tmp_path / "again"))


def test_merged_parts_in_scans_of_different_maps_are_the_whole(whole, tmp_path, capsys):
    one = grounded(whole.parent, tmp_path / "one", "--codec", "lossless", "--episodes", "0:6")
    two = grounded(whole.parent, tmp_path / "two", "--codec", "lossless", "--episodes", "6:12")
    out = tmp_path / "out"
    assert main(["collect", "merge", str(one), str(two), "--out", str(out)]) == 0
    assert (out / SUMMARY).read_bytes() == (whole / SUMMARY).read_bytes()
    folder = Path(shutil.copytree(whole.parent, tmp_path / "all"))
    replace(scan_of(8), poses=scan_of(7).poses).save(folder / "scans" / "map_8.npz")
    three = grounded(folder, tmp_path / "three", "--codec", "lossless", "--episodes", "6:12")
    given = json.loads((three / "manifest.json").read_text())
    for name in ("scans_folder", "episode_file"):
        given[name] = json.loads((one / "manifest.json").read_text())[name]
    (three / "manifest.json").write_text(json.dumps(given))
    error = complaint(capsys, "collect", "merge", str(one), str(three), "--out", str(tmp_path / "no"))
    assert "three cannot be merged: scans.8=" in error
    assert not (tmp_path / "no").exists()


def test_the_card_names_the_commands_that_are_known(whole, tmp_path):
    dataset, folder = whole.parent / "mapped.json", whole.parent / "scans"
    lines = (whole / "README.md").read_text().splitlines()
    build = f"li-env scan build --dataset {dataset} --spacing 2.5 --headings 8 --out {folder}"
    assert build in lines
    assert f"--dataset {dataset} --scans {folder}" in lines[lines.index(build) + 1]
    assert any("3 scans, 72 views, SHA-256" in line for line in lines)
    unknown = Path(shutil.copytree(folder, tmp_path / "scans"))
    (unknown / "build.json").unlink()
    text = (grounded(tmp_path, tmp_path / "out", "--episodes", "0:1") / "README.md").read_text()
    assert "It is not known how they were built" in text and "li-env scan build" not in text


def test_a_scan_that_does_not_show_a_start(tmp_path, capsys):
    folder = scans(tmp_path)
    far = scan_of(8).poses.copy()
    far[:, 2, 3] += 30.0
    replace(scan_of(8), poses=far).save(folder / "map_8.npz")
    error = complaint(capsys, *grounded_words(tmp_path, tmp_path / "out"))
    assert "scan of map 8 in" in error and "does not show the start of episode 4" in error
    assert "li-env scan build --dataset" in error
    assert not (tmp_path / "out").exists()
    assert main(grounded_words(tmp_path, tmp_path / "out", "--episodes", "0:4")) == 0, "map 7 is well"


def test_a_worker_refuses_another_scan(whole):
    manifest = Manifest.read(whole)
    changed = {**manifest.scans, "9": {"views": 24, "sha256": "0" * 64}}
    with pytest.raises(ValueError, match="scan of map 9 in .* has changed .* was 24 views, 000000000000"):
        open_player(replace(manifest, scans=changed))


def test_minari_recovers_an_environment_with_the_scans(tmp_path):
    out = grounded(tmp_path, tmp_path / "out", "--format", "minari", "--episodes", "0:1")
    (metadata,) = out.glob("minari/*/*/data/metadata.json")
    spec = json.loads(json.loads(metadata.read_text())["env_spec"])
    assert spec["kwargs"]["scans"] == str(tmp_path / "scans")
