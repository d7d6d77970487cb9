"""Frames from several maps, in this process and in others, are those of a renderer of their own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

from li_env.doom import engine_checks
from li_env.doom.engine_checks import EngineError
from li_env.doom.maps import generate_map, write_wad
from li_env.doom.render_pool import LocalRenderer, RenderPool
from li_env.doom.renderer import DoomRenderer, renderable_poses
from li_env.doom.watchdog import engines_of

pytest.importorskip("vizdoom")

SEEDS = (3, 4, 5)


@pytest.fixture(scope="module")
def views(tmp_path_factory) -> list[tuple[np.ndarray, np.ndarray]]:
    """(poses [4, 3], frames) per map."""
    maps = [generate_map(seed) for seed in SEEDS]
    wad = tmp_path_factory.mktemp("wad") / "maps.wad"
    write_wad(maps, wad)
    rng = np.random.default_rng(0)
    poses = [
        renderable_poses(np.array([[*entry.sample_free_position(rng), rng.uniform(0, 360)] for _ in range(4)]))
        for entry in maps
    ]
    with DoomRenderer(wad) as renderer:
        return [(shown, renderer.render(index, shown)) for index, shown in enumerate(poses)]


@pytest.mark.parametrize("make", [lambda: LocalRenderer(engines=2), lambda: RenderPool(workers=2, engines=1)])
def test_frames_equal_those_of_one_renderer(views, make):
    pool = make()
    try:
        for order in ([0, 1, 2], [2, 0, 1, 0], [1]):
            asked = [views[index][0][: 1 + index] for index in order]
            frames = pool.render([SEEDS[index] for index in order], asked)
            for index, shown in zip(order, frames, strict=True):
                np.testing.assert_array_equal(shown, views[index][1][: 1 + index])
                assert shown.flags.writeable
    finally:
        pool.close()
        pool.close()


@pytest.mark.parametrize("make", [LocalRenderer, lambda: RenderPool(workers=2)])
def test_a_pose_that_cannot_be_is_refused_and_the_others_still_work(views, make):
    pool = make()
    try:
        away = np.array([[40000.0, 40000.0, 0.0]])
        with pytest.raises(ValueError, match="map 3 cannot be shown from"):
            pool.render([SEEDS[0], SEEDS[1]], [away, views[1][0]])
        (frames,) = pool.render([SEEDS[0]], [views[0][0]])
        np.testing.assert_array_equal(frames, views[0][1])
    finally:
        pool.close()


def _show(pool, views) -> None:
    (frames,) = pool.render([SEEDS[0]], [views[0][0]])
    np.testing.assert_array_equal(frames, views[0][1])


@pytest.mark.parametrize("when", ["before", "after", "while"])
def test_a_killed_worker_is_named_and_the_next_call_has_another(views, when):
    pool = RenderPool(workers=1)
    try:
        if when != "before":
            _show(pool, views)
        worker = pool._worker(0).process
        # A stopped process answers nothing: the request is pending when the signal that ends it comes.
        if when == "while":
            os.kill(worker.pid, signal.SIGSTOP)
            killer = multiprocessing.get_context("spawn").Process(target=_kill_soon, args=(worker.pid,))
            killer.start()
        else:
            worker.kill()
            worker.join()
        with pytest.raises(EngineError, match=r"a process that renders the game has died \(exit code -9\)"):
            _show(pool, views)
        if when == "while":
            killer.join()
        _show(pool, views)
    finally:
        pool.close()


def _kill_soon(process: int) -> None:
    time.sleep(0.2)
    os.kill(process, signal.SIGKILL)


def test_a_killed_engine_is_named_and_the_next_call_has_another(views):
    pool = LocalRenderer()
    try:
        _show(pool, views)
        ((_, renderer),) = pool._running.items()
        folder = renderer._folder
        (engine,) = engines_of([folder])
        os.kill(engine, signal.SIGKILL)
        with pytest.raises(EngineError, match="a game engine has died"):
            _show(pool, views)
        assert not os.path.exists(folder)
        _show(pool, views)
    finally:
        pool.close()


@pytest.mark.parametrize("kind", [KeyboardInterrupt, MemoryError])
def test_an_answer_nobody_waited_for_is_not_taken_for_the_next(views, monkeypatch, kind):
    pool = RenderPool(workers=1)
    try:
        _show(pool, views)
        worker = pool._worker(0)

        def interrupted() -> None:
            raise kind

        monkeypatch.setattr(worker, "answer", interrupted)
        with pytest.raises(kind):
            pool.render([SEEDS[1]], [views[1][0]])
        _show(pool, views)
    finally:
        pool.close()


@pytest.mark.parametrize("kind", [KeyboardInterrupt, MemoryError])
def test_an_engine_interrupted_half_way_is_not_used_again(views, monkeypatch, kind):
    pool = LocalRenderer()
    try:
        _show(pool, views)
        ((_, renderer),) = pool._running.items()

        def interrupted(*_: object) -> None:
            raise kind

        monkeypatch.setattr(renderer, "_go", interrupted)
        with pytest.raises(kind):
            _show(pool, views)
        assert not engines_of([renderer._folder])
        _show(pool, views)
    finally:
        pool.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("make", [LocalRenderer, lambda: RenderPool(workers=1)])
def test_a_forked_child_has_engines_of_its_own_and_leaves_those_of_its_parent(views, make):
    pool = make()
    try:
        _show(pool, views)
        child = os.fork()
        if not child:
            status = 1
            try:
                _show(pool, views)
                pool.close()
                status = 0
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        _show(pool, views)
    finally:
        pool.close()


@pytest.mark.skipif(sys.platform != "linux", reason="shared memory in /dev/shm")
def test_shared_memory_that_cannot_be_used_is_named(views, monkeypatch, tmp_path):
    monkeypatch.setattr(engine_checks, "SHARED_MEMORY", tmp_path / "none")
    with pytest.raises(EngineError, match="cannot be written to; the game needs it"):
        engine_checks.check_shared_memory()
    monkeypatch.setattr(engine_checks, "SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=3, f_frsize=4096, f_blocks=16))
    with pytest.raises(EngineError, match="is full: 12288 bytes are free"):
        LocalRenderer().render([SEEDS[0]], [views[0][0]])
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=0, f_frsize=4096, f_blocks=0))
    engine_checks.check_shared_memory(geometry=True)
