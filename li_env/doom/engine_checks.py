"""Checks before a game engine starts: room in the shared memory, and no pipe of ours that it could inherit."""

from __future__ import annotations

import multiprocessing
import os
import sys
from contextlib import suppress

from li_env.doom.watchdog import SHARED_MEMORY, inherited_descriptor

# An engine that draws 256x192 pixels fills 0.3 MB (measured); it sets 10.8 MB aside if it lists sectors and objects.
_BYTES, _BYTES_GEOMETRY, _BYTES_PER_PIXEL = 1 << 20, 12 << 20, 6


class EngineError(RuntimeError, OSError):
    """Failure to start a game engine, or its death or that of the process that drives it; another engine may work.

    The class is an ``OSError`` too, which the command line shows in one line.
    """


def check_shared_memory(geometry: bool = False, pixels: int = 0) -> None:
    """Refuse a lack of shared memory with a message: without it an engine hangs, or ends the program by SIGBUS.

    Args:
        geometry: whether the engine lists sectors and objects.
        pixels: that it draws.

    Raises:
        EngineError: shared memory is absent, read-only or full.
    """
    if sys.platform != "linux":
        return
    if not os.access(SHARED_MEMORY, os.W_OK | os.X_OK):
        raise EngineError(
            f"{SHARED_MEMORY} cannot be written to; the game needs it: mount it there as a writable tmpfs"
        )
    needed = (_BYTES_GEOMETRY if geometry else _BYTES) + _BYTES_PER_PIXEL * pixels
    there = os.statvfs(SHARED_MEMORY)
    free = there.f_bavail * there.f_frsize
    if there.f_blocks and free < needed:  # no blocks at all: a tmpfs without a limit
        raise EngineError(
            f"{SHARED_MEMORY} is full: {free} bytes are free, a game engine needs {needed}; enlarge it "
            "(docker run --shm-size) or remove what is left there"
        )


def keep_descriptors() -> None:
    """Keep engines from inheriting the pipes of a worker process: an open copy would hide the end of the worker."""
    if sys.platform != "linux" or multiprocessing.parent_process() is None:
        return
    for entry in os.listdir("/proc/self/fd"):
        if int(entry) > 2 and int(entry) != inherited_descriptor():
            with suppress(OSError):  # that of the listing itself
                os.set_inheritable(int(entry), False)
