"""What encoding processes are given, and what they need."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

from li_env.datasets.episode_rows import EpisodeRows
from li_env.datasets.frame_handover import shared
from li_env.datasets.recorder import Recording
from li_env.episodes import open_episodes
from tests.film_world import SHAPES, FilmWorld


def rows_of(frames: np.ndarray) -> EpisodeRows:
    """Return rows with frames alone."""
    empty = np.zeros(0)
    return EpisodeRows(0, "go", frames, empty, {}, empty, empty, empty, {}, [], None, {})


def test_an_encoding_process_imports_no_model():
    """Every encoding process would need seconds and hundreds of megabytes for torch, which it has no use for."""
    code = "import sys; import li_env.datasets.encoders; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_frames_that_are_handed_over_last_until_the_block_ends():
    frames = np.random.default_rng(0).integers(0, 256, (5, 4, 6, 3), dtype=np.uint8)
    rows = rows_of(frames)
    with shared(rows) as (rest, given):
        assert len(rest.frames) == 0
        assert given is not None
        script = "import sys, pickle; r, g = pickle.load(sys.stdin.buffer); sys.stdout.buffer.write(g.joined(r).frames)"
        seen = subprocess.run(
            [sys.executable, "-c", script], input=pickle.dumps((rest, given)), stdout=subprocess.PIPE, check=True
        ).stdout
        assert seen == frames.tobytes()
    with pytest.raises(OSError):
        given.joined(rest)


def test_where_no_memory_can_be_shared_frames_are_handed_over_in_the_rows(monkeypatch):
    monkeypatch.delattr(os, "memfd_create")
    rows = rows_of(np.ones((1, 2, 2, 3), np.uint8))
    with shared(rows) as (rest, given):
        assert given is None
        assert rest is rows


def test_a_recording_keeps_the_memory_of_a_state_whose_frames_are_all_new():
    runner = open_episodes(FilmWorld(*next(iter(SHAPES.values()))), "all", "continuous", "frame")
    (state,) = runner.start([np.random.default_rng(0)], [{}])
    recording = Recording(np.random.default_rng(0))
    recording.look(state, None)
    first = state.frames
    new = []
    for _ in range(3):
        (state,) = runner.step([state], [np.zeros(3, np.float32)])
        recording.look(state, None)
        new.append(state)
    assert not np.shares_memory(recording.frames[0], first)
    for kept, each in zip(recording.frames[1:], new, strict=True):
        np.testing.assert_array_equal(kept, each.frames[-each.new_frames :])
        assert np.shares_memory(kept, each.frames) == (each.new_frames == len(each.frames))
    assert any(each.new_frames == len(each.frames) for each in new)
