from pathlib import Path

import numpy as np
import pytest

from li_env.doom.splits import TEST
from li_env.worlds.freedoom.start_frames import StartFrames
from li_env.worlds.freedoom.weights import packaged_folder


def test_packaged_starts_are_many_held_out_and_worth_seeing() -> None:
    states = StartFrames.load(packaged_folder())
    assert len(states.frames) >= 64
    assert states.frames.shape[1:] == (96, 128, 3) and states.frames.dtype == np.uint8
    assert all(seed in TEST for seed in states.map_seeds.tolist())
    assert len(set(states.map_seeds.tolist())) == len(states.frames)
    assert (states.frames.std(axis=(1, 2, 3)) > 5).all()
    assert states.map_poses.shape == (len(states.frames), 3)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"start_states\.json is missing"):
        StartFrames.load(tmp_path)
