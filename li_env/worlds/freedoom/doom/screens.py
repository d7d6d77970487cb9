"""Frames of many generated maps at once: game engines that stay on their map, in this process or in several.

Loading a map costs as much as ten frames and starting an engine as much as four hundred, so every map keeps an engine
of its own (18 MB) until others need the room.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
import tempfile
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Protocol

import numpy as np

from li_env.worlds.freedoom.doom.maps import generate_map, write_wad
from li_env.worlds.freedoom.doom.renderer import HEIGHT, WIDTH, DoomRenderer

ENGINES = 64
"""Most engines per process."""


class Screens(Protocol):
    """Shows poses in generated maps."""

    def render(self, map_seeds: Sequence[int], poses: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Frames uint8 [n, 96, 128, 3] for every map seed and its Doom poses [n, 3] (`renderer.renderable_poses`).

        Raises:
            ValueError: a pose at which no player can be.
        """
        ...

    def close(self) -> None:
        """Stop the engines."""
        ...


class LocalScreens:
    """Engines driven by this process.

    Args:
        engines: most of them; the one unused for longest makes room.
    """

    def __init__(self, engines: int = ENGINES) -> None:
        self._limit = engines
        self._running: OrderedDict[int, DoomRenderer] = OrderedDict()

    def render(self, map_seeds: Sequence[int], poses: Sequence[np.ndarray]) -> list[np.ndarray]:
        """See `Screens.render`."""
        return [self._show(int(seed), places) for seed, places in zip(map_seeds, poses, strict=True)]

    def close(self) -> None:
        """Stop the engines."""
        while self._running:
            self._running.popitem()[1].close()

    def _show(self, map_seed: int, poses: np.ndarray) -> np.ndarray:
        engine = self._engine(map_seed)
        try:
            frames: np.ndarray = engine.render(0, poses)
        except RuntimeError as error:
            # The engine may have died on the way: the next call starts another.
            self._running.pop(map_seed).close()
            raise ValueError(f"map {map_seed} cannot be shown from {poses.tolist()}: {error}") from None
        return frames

    def _engine(self, map_seed: int) -> DoomRenderer:
        if map_seed not in self._running:
            if len(self._running) >= self._limit:
                self._running.popitem(last=False)[1].close()
            with tempfile.TemporaryDirectory() as folder:
                wad = Path(folder) / "map.wad"
                write_wad([generate_map(map_seed)], wad)
                self._running[map_seed] = DoomRenderer(wad)
        self._running.move_to_end(map_seed)
        return self._running[map_seed]


class ScreenPool:
    """Engines spread over worker processes; a map always goes to the same one.

    Args:
        workers: processes.
        engines: most engines per process.
    """

    def __init__(self, workers: int, engines: int = ENGINES) -> None:
        context = multiprocessing.get_context("spawn")  # forking a process that holds CUDA or threads is not safe
        self._pipes: list[Connection] = []
        processes: list[BaseProcess] = []
        for _ in range(workers):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, engines), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            processes.append(process)
        self._homes: dict[int, int] = {}
        self._stop = weakref.finalize(self, _stop, self._pipes, processes)

    def render(self, map_seeds: Sequence[int], poses: Sequence[np.ndarray]) -> list[np.ndarray]:
        """See `Screens.render`."""
        for seed in map_seeds:
            self._homes.setdefault(int(seed), len(self._homes) % len(self._pipes))
        shares: dict[int, list[int]] = {}
        for index, seed in enumerate(map_seeds):
            shares.setdefault(self._homes[int(seed)], []).append(index)
        for worker, share in shares.items():
            self._pipes[worker].send(([int(map_seeds[index]) for index in share], [poses[index] for index in share]))
        frames: list[np.ndarray] = [np.empty(0)] * len(map_seeds)
        mistake = None
        for worker, share in shares.items():
            try:
                said = self._pipes[worker].recv()
                data = None if said else self._pipes[worker].recv_bytes()
            except EOFError:
                raise RuntimeError("a process that renders the game has died") from None
            mistake = mistake or said
            if data is not None:
                parts = np.frombuffer(bytearray(data), np.uint8).reshape(-1, HEIGHT, WIDTH, 3)
                ends = np.cumsum([len(poses[index]) for index in share])[:-1]
                for index, part in zip(share, np.split(parts, ends), strict=True):
                    frames[index] = part
        if mistake:
            raise ValueError(mistake)
        return frames

    def close(self) -> None:
        """Stop the engines and the processes."""
        self._stop()


def _serve(pipe: Connection, engines: int) -> None:
    """Answer every request with a mistake in words or ``None``, and the frames' bytes in the second case."""
    # A process that ends by the default of this signal leaves its engines running.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    screens = LocalScreens(engines)
    try:
        while True:
            map_seeds, poses = pipe.recv()
            try:
                frames = screens.render(map_seeds, poses)
            except ValueError as error:
                pipe.send(str(error))
                continue
            pipe.send(None)
            pipe.send_bytes(np.concatenate(frames).tobytes())
    except (EOFError, KeyboardInterrupt):
        pass
    finally:
        screens.close()


def _stop(pipes: Sequence[Connection], processes: Sequence[BaseProcess]) -> None:
    for pipe in pipes:
        pipe.close()
    for process in processes:
        process.join(timeout=10)
