"""Frames of many generated maps at once, from game engines that stay on their map, in this process or in several.

Loading a map costs as much as ten frames and starting an engine as much as four hundred, so every map keeps an engine
of its own (18 MB) until others need the room.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from typing import Protocol

import numpy as np

from li_env.doom.engine_checks import EngineError
from li_env.doom.maps import generate_map, write_wad
from li_env.doom.renderer import FRAME_SIZE, DoomRenderer, UnreachablePoseError
from li_env.doom.watchdog import temporary_folder

Request = tuple[list[int], list[np.ndarray]]
"""Map seeds, and for each of them Doom poses [n, 3]."""

ENGINES = 64
"""Most engines per process. A pool that shows more maps than this starts an engine for almost every request."""


class FrameRenderer(Protocol):
    """Renderer of poses in generated maps."""

    def render(self, map_seeds: Sequence[int], poses: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Render frames uint8 [n, H, W, 3] for every map seed and its Doom poses [n, 3].

        Poses must be what the game can show (`renderer.renderable_poses`).

        Raises:
            ValueError: a pose at which no player can be.
            EngineError: a game engine cannot be started or has died.
        """
        ...

    def close(self) -> None:
        """Stop the engines."""
        ...


class LocalRenderer:
    """Engines driven by this process; a child forked from it gets engines of its own.

    Args:
        engines: the most to keep; the one unused for longest makes room.
        frame_size: (height, width) of frames, see `DoomRenderer`.
    """

    def __init__(self, engines: int = ENGINES, frame_size: tuple[int, int] = FRAME_SIZE) -> None:
        self._limit, self._frame_size = engines, frame_size
        self._owner = os.getpid()
        self._running: OrderedDict[int, DoomRenderer] = OrderedDict()

    def render(self, map_seeds: Sequence[int], poses: Sequence[np.ndarray]) -> list[np.ndarray]:
        if self._owner != os.getpid():
            self._owner = os.getpid()
            self._running.clear()
        return [self._show(int(seed), seed_poses) for seed, seed_poses in zip(map_seeds, poses, strict=True)]

    def close(self) -> None:
        """Stop the engines; `render` starts them again."""
        while self._running:
            self._running.popitem()[1].close()

    def _show(self, map_seed: int, poses: np.ndarray) -> np.ndarray:
        engine = self._engine(map_seed)
        try:
            frames: np.ndarray = engine.render(0, poses)
        except BaseException as error:
            # Whatever stopped it half-way, an interrupt too, leaves the engine in no known state.
            self._running.pop(map_seed).close()
            if isinstance(error, UnreachablePoseError):
                raise ValueError(f"map {map_seed} cannot be shown from {poses.tolist()}: {error}") from None
            raise
        return frames

    def _engine(self, map_seed: int) -> DoomRenderer:
        if map_seed not in self._running:
            if len(self._running) >= self._limit:
                self._running.popitem(last=False)[1].close()
            with temporary_folder() as folder:
                wad = folder / "map.wad"
                write_wad([generate_map(map_seed)], wad)
                self._running[map_seed] = DoomRenderer(wad, frame_size=self._frame_size)
        self._running.move_to_end(map_seed)
        return self._running[map_seed]


class _Worker:
    """Process with engines, and our end of its pipe."""

    def __init__(self, engines: int, frame_size: tuple[int, int]) -> None:
        context = multiprocessing.get_context("spawn")  # forking a process that holds CUDA or threads is not safe
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, engines, frame_size), daemon=True)
        self.process.start()
        theirs.close()

    def ask(self, request: Request) -> None:
        try:
            self.pipe.send(request)
        except OSError:
            raise self._death() from None

    def answer(self) -> tuple[Exception | None, bytes]:
        """Receive (None, the bytes of the frames), or the error and no bytes."""
        try:
            kind, said = self._wait().recv()
            if kind is None:
                return None, self._wait().recv_bytes()
        except (EOFError, OSError):
            raise self._death() from None
        return (ValueError if kind == "ValueError" else EngineError)(said), b""

    def _wait(self) -> Connection:
        # A child of the process may hold the pipe open; the sentinel shows the end of the process all the same.
        if self.pipe not in wait([self.pipe, self.process.sentinel]):
            raise EOFError
        return self.pipe

    def _death(self) -> EngineError:
        self.process.join(timeout=1)
        return EngineError(f"a process that renders the game has died (exit code {self.process.exitcode})")

    def kill(self) -> None:
        self.pipe.close()
        self.process.kill()
        self.process.join()


class RenderPool:
    """Engines spread over worker processes; a map always goes to the same one.

    A worker that has died ends `render` with an `EngineError`; the next call starts another. A child forked from this
    process gets workers of its own.

    Args:
        workers: processes, started when first needed.
        engines: most engines per process.
        frame_size: (height, width) of frames, see `DoomRenderer`.
    """

    def __init__(self, workers: int, engines: int = ENGINES, frame_size: tuple[int, int] = FRAME_SIZE) -> None:
        self._count, self._engines, self._frame_size = workers, engines, frame_size
        self._owner = os.getpid()
        self._workers: dict[int, _Worker] = {}
        self._homes: dict[int, int] = {}
        _pools.add(self)
        self._stop = weakref.finalize(self, _stop, self._workers, self._owner)

    def render(self, map_seeds: Sequence[int], poses: Sequence[np.ndarray]) -> list[np.ndarray]:
        for seed in map_seeds:
            self._homes.setdefault(int(seed), len(self._homes) % self._count)
        shares: dict[int, list[int]] = {}
        for index, seed in enumerate(map_seeds):
            shares.setdefault(self._homes[int(seed)], []).append(index)
        busy = set(shares)
        frames: list[np.ndarray] = [np.empty(0)] * len(map_seeds)
        mistakes = []
        try:
            for number, share in shares.items():
                request = [int(map_seeds[index]) for index in share], [poses[index] for index in share]
                self._worker(number).ask(request)
            for number, share in shares.items():
                mistake, data = self._worker(number).answer()
                busy.discard(number)
                if mistake is not None:
                    mistakes.append(mistake)
                    continue
                parts = np.frombuffer(bytearray(data), np.uint8).reshape(-1, *self._frame_size, 3)
                ends = np.cumsum([len(poses[index]) for index in share])[:-1]
                for index, part in zip(share, np.split(parts, ends), strict=True):
                    frames[index] = part
        finally:
            # An answer that nobody has read must never be taken for the answer to the next request.
            for number in busy & self._workers.keys():
                self._workers.pop(number).kill()
        if mistakes:
            raise mistakes[0]
        return frames

    def close(self) -> None:
        """Stop the engines and the processes; `render` starts them again."""
        _stop(self._workers, self._owner)

    def _worker(self, number: int) -> _Worker:
        if number not in self._workers:
            self._workers[number] = _Worker(self._engines, self._frame_size)
        return self._workers[number]

    def _disown(self) -> None:
        """Let go of the parent's workers in a forked child; they end when nobody holds their pipes."""
        for worker in self._workers.values():
            worker.pipe.close()
        self._workers = {}
        self._owner = os.getpid()
        self._stop = weakref.finalize(self, _stop, self._workers, self._owner)


_pools: weakref.WeakSet[RenderPool] = weakref.WeakSet()


def _after_fork() -> None:
    for pool in list(_pools):
        pool._disown()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _serve(pipe: Connection, engines: int, frame_size: tuple[int, int]) -> None:
    """Answer every request with (None, "") and the bytes of the frames, or with the kind of an error and its text."""
    # Ctrl-C reaches the whole group of processes; the program alone decides what becomes of the work.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    renderer = LocalRenderer(engines, frame_size)
    try:
        while True:
            map_seeds, poses = pipe.recv()
            try:
                frames = renderer.render(map_seeds, poses)
            except (ValueError, OSError) as error:
                pipe.send(("ValueError" if isinstance(error, ValueError) else "EngineError", str(error)))
                continue
            pipe.send((None, ""))
            pipe.send_bytes(np.concatenate(frames).tobytes())
    except (EOFError, OSError):  # the program has ended, or does not want the answer any more
        pass
    finally:
        renderer.close()


def _stop(workers: dict[int, _Worker], owner: int) -> None:
    if os.getpid() != owner:
        return
    stopped = list(workers.values())
    workers.clear()
    for worker in stopped:
        worker.pipe.close()
    for worker in stopped:
        worker.process.join(timeout=10)
        worker.kill()
