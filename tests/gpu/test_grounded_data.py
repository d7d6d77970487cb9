"""Recorded episodes of the learned world in scans of their maps, on a GPU."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from li_env.cli import main
from li_env.datasets.finish import SUMMARY
from li_env.scans.scan import Scan
from li_env.tasks import EpisodeDataset
from li_env.tasks.navigation import pose_at
from li_env.worlds import load_world

pytest.importorskip("pyarrow", reason="needs the extra data")
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

DEVICE = "cuda"
ENCODERS = {"one thread": (), "two processes": ("--encoders", "2", "--processes")}


def start_scans(folder: Path, count: int) -> Path:
    """Write scans of the maps of the first shipped episodes: one view each, the start frame."""
    world = load_world("freedoom", DEVICE)
    assert world.episodes_file is not None
    folder.mkdir()
    for record in EpisodeDataset.read(world.episodes_file).episodes[:count]:
        image = np.asarray(world.start_views.images[record.start])
        Scan(image[None], pose_at(record.pose)[None], map_seed=record.map_seed).save(
            folder / f"map_{record.map_seed}.npz"
        )
    return folder


def test_encoders_and_a_second_run_change_nothing(tmp_path):
    """Play with four environments, a number that belongs to the manifest on a GPU."""
    scans = start_scans(tmp_path / "scans", 6)
    words = ["collect", "--agent", "expert", "--noise", "0.3", "--scans", str(scans), "--episodes", "0:6", "--worlds",
             "4", "--max-steps", "4", "--codec", "lossless", "--device", DEVICE, "--out"]  # fmt: skip
    found = {}
    for name, more in ENCODERS.items():
        assert main([*words, str(tmp_path / name), *more]) == 0
        found[name] = json.loads((tmp_path / name / SUMMARY).read_text())["content"]
    assert len(set(found.values())) == 1
    assert main(["collect", "verify", str(tmp_path / "one thread"), "--replays", "6", "--worlds", "4"]) == 0
    manifest = json.loads((tmp_path / "one thread" / "manifest.json").read_text())
    assert [fact["views"] for fact in manifest["scans"].values()] == [1] * 6
