"""What the wheel ships can be made again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from li_env.doom.splits import TEST
from li_env.worlds.freedoom.start_frames import StartFrames
from tests.scripts.loading import load

build = load("build_shipped_data")


def test_the_first_starts_and_episodes_come_out_as_shipped():
    pytest.importorskip("vizdoom")
    starts = build.render_starts(TEST[:2])
    episodes = build.goals_for_starts(starts)
    assert build.differences(starts, episodes, 2) == []
    moved = replace(starts, map_poses=starts.map_poses + 1)
    assert build.differences(moved, replace(episodes, episodes=episodes.episodes[:1]), 2) == ["start poses", "episodes"]


def test_the_large_size_has_the_same_starts_and_episodes():
    pytest.importorskip("vizdoom")
    large, small = build.SIZES["large"], build.SIZES["small"]
    starts = build.render_starts(TEST[:1], size=large)
    episodes = build.goals_for_starts(starts, size=large)
    assert starts.frames.shape == (1, 192, 256, 3) and episodes.frames["goal"].shape == (1, 192, 256, 3)
    assert build.differences(starts, episodes, 1, large) == []
    kept = [build.EpisodeDataset.read(build.episodes_file(size)).episodes[:8] for size in (small, large)]
    assert kept[0] == kept[1]


def test_start_frames_are_read_as_written_with_a_row_of_the_sheet_in_part(tmp_path: Path):
    frames = np.random.default_rng(0).integers(0, 256, (11, 96, 128, 3), dtype=np.uint8)
    starts = StartFrames(frames, np.arange(11), np.arange(33.0).reshape(11, 3))
    build.write_starts(tmp_path, starts)
    loaded = StartFrames.load(tmp_path)
    for name in ("frames", "map_seeds", "map_poses"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(starts, name))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["start_states.json", "start_states.png"]
