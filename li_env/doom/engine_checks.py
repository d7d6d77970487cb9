"""What must hold before a game engine starts: room in the shared memory, and no pipe of ours that it could inherit."""

from __future__ import annotations

import multiprocessing
import os
import sys
from contextlib import suppress

from li_env.doom.watchdog import SHARED_MEMORY

# what an engine fills: 0.3 MB measured, and 10.8 MB are set aside where it lists sectors and objects
_BYTES, _BYTES_GEOMETRY = 1 << 20, 12 << 20


class EngineError(RuntimeError, OSError):
    """A game engine, or the process that drives it, could not be started or has died; another one may work.

    It is an ``OSError`` too, which the command line shows in one line.
    """


def check_shared_memory(geometry: bool = False) -> None:
    """Refuse a lack of shared memory in words: without it an engine hangs, or ends the program by SIGBUS.

    Args:
        geometry: whether the engine lists sectors and objects.

    Raises:
        EngineError: shared memory is absent, read-only or full.
    """
    if sys.platform != "linux":
        return
    if not os.access(SHARED_MEMORY, os.W_OK | os.X_OK):
        raise EngineError(
            f"{SHARED_MEMORY} cannot be written to; the game needs it: mount it there as a writable tmpfs"
        )
    needed = _BYTES_GEOMETRY if geometry else _BYTES
    there = os.statvfs(SHARED_MEMORY)
    free = there.f_bavail * there.f_frsize
    if there.f_blocks and free < needed:  # no blocks at all: a tmpfs without a limit
        raise EngineError(
            f"{SHARED_MEMORY} is full: {free} bytes are free, a game engine needs {needed}; enlarge it "
            "(docker run --shm-size) or remove what is left there"
        )


def keep_descriptors() -> None:
    """Let no engine inherit the pipes of a worker process: held open by it, they would hide the worker's end."""
    if sys.platform != "linux" or multiprocessing.parent_process() is None:
        return
    for entry in os.listdir("/proc/self/fd"):
        if int(entry) > 2:
            with suppress(OSError):  # that of the listing itself
                os.set_inheritable(int(entry), False)
