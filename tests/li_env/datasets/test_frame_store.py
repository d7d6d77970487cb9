"""Memory for the frames of recorded episodes."""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
import threading
import weakref

import numpy as np
import pytest

from li_env.datasets import frame_store
from li_env.datasets.episode_rows import EpisodeRows
from li_env.datasets.frame_store import FrameStore

SHAPE = (4, 6, 3)


def frames_of(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *SHAPE), dtype=np.uint8)


def rows_of(frames: np.ndarray) -> EpisodeRows:
    """Return rows with frames alone."""
    empty = np.zeros(0)
    return EpisodeRows(0, "go", frames, empty, {}, empty, empty, empty, {}, [], None, {})


def address(values: np.ndarray) -> int:
    return values.__array_interface__["data"][0]


def test_an_episode_has_its_frames_in_order():
    store = FrameStore(9, SHAPE, 2)
    one, other = store.take(), store.take()
    for first, count in ((0, 1), (1, 4), (5, 4)):
        store.keep([(one, frames_of(9)[first : first + count]), (other, frames_of(9, 1)[first : first + count])])
    np.testing.assert_array_equal(one.array(), frames_of(9))
    np.testing.assert_array_equal(other.array(), frames_of(9, 1))


def test_more_frames_than_an_episode_may_have_are_refused():
    store = FrameStore(3, SHAPE, 1)
    one = store.take()
    store.keep([(one, frames_of(3))])
    with pytest.raises(ValueError, match="an episode has 4 frames; allowed here: at most 3"):
        store.keep([(one, frames_of(1))])


def test_memory_is_used_again_when_nobody_holds_an_array_of_it():
    store = FrameStore(3, SHAPE, 1)
    one = store.take()
    store.keep([(one, frames_of(3))])
    kept = one.array()[1:]
    place = address(one.array())
    del one
    other = store.take()  # the slice is still held: this is other memory
    store.keep([(other, frames_of(3, 1))])
    assert address(other.array()) != place
    np.testing.assert_array_equal(kept, frames_of(3)[1:])
    del kept
    assert address(store.take().array()) == place


def test_frames_of_an_episode_that_is_dropped_early_do_not_reach_the_next_one(monkeypatch):
    going, write = threading.Event(), frame_store._write
    monkeypatch.setattr(frame_store, "_write", lambda parts: (going.wait(), write(parts)))
    store = FrameStore(3, SHAPE, 1)
    one = store.take()
    store.keep([(one, frames_of(3))])
    del one  # before its frames are copied
    other = store.take()
    store.keep([(other, frames_of(3, 1))])
    going.set()
    np.testing.assert_array_equal(other.array(), frames_of(3, 1))


def test_the_stepping_thread_waits_for_copies_that_lag_behind(monkeypatch):
    going, write = threading.Event(), frame_store._write
    monkeypatch.setattr(frame_store, "_write", lambda parts: (going.wait(), write(parts)))
    store = FrameStore(99, SHAPE, 1)
    one, kept = store.take(), []

    def step() -> None:
        for number in range(20):
            store.keep([(one, frames_of(1))])
            kept.append(number)

    thread = threading.Thread(target=step)
    thread.start()
    thread.join(0.3)
    assert len(kept) == frame_store._WAITING
    going.set()
    thread.join()
    assert len(one.array()) == 20


def test_an_error_of_a_copy_is_no_loss_in_silence():
    store = FrameStore(3, SHAPE, 1)
    one = store.take()
    store.keep([(one, np.zeros((2, 5, 5, 3), np.uint8))])
    store.keep([(one, frames_of(1))])
    with pytest.raises(ValueError, match="broadcast"):
        one.array()


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="no memory without a name")
def test_another_process_reads_the_frames():
    store = FrameStore(5, SHAPE, 2)
    other, one = store.take(), store.take()
    store.keep([(other, frames_of(5, 1)), (one, frames_of(4))])
    rest = rows_of(one.array()[:0])
    script = "import sys, pickle; r, g = pickle.load(sys.stdin.buffer); sys.stdout.buffer.write(g.joined(r).frames)"
    given = pickle.dumps((rest, one.shared))
    assert len(given) < 2000
    seen = subprocess.run([sys.executable, "-c", script], input=given, stdout=subprocess.PIPE, check=True).stdout
    assert seen == frames_of(4).tobytes()


def test_where_no_memory_can_be_shared_the_store_works_without(monkeypatch):
    monkeypatch.delattr(os, "memfd_create", raising=False)
    store = FrameStore(5, SHAPE, 2)
    one, other = store.take(), store.take()
    store.keep([(one, frames_of(5)), (other, frames_of(4, 1))])
    np.testing.assert_array_equal(one.array(), frames_of(5))
    np.testing.assert_array_equal(other.array(), frames_of(4, 1))
    assert one.shared is None


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="no memory without a name")
def test_memory_that_one_long_episode_needed_goes_back():
    store = FrameStore(4000, SHAPE, 1)

    def played(count: int) -> int:
        one = store.take()
        store.keep([(one, np.ones((count, *SHAPE), np.uint8))])
        return int(one.array().sum())

    for count in (50, 50, 50, 4000):
        assert played(count) == count * 72
    one = store.take()
    held = os.stat(one.shared.path).st_blocks * 512
    assert held < 2 * 1100 * 72


def test_a_store_that_nobody_holds_leaves_nothing():
    store = FrameStore(3, SHAPE, 2)
    one = store.take()
    store.keep([(one, frames_of(3))])
    kept = one.array()
    block = weakref.ref(one._block)
    gc.disable()  # without a look for cycles: hundreds of megabytes would wait for it
    try:
        del store, one
        assert block() is not None
        np.testing.assert_array_equal(kept, frames_of(3))
        del kept
        assert block() is None
    finally:
        gc.enable()
