"""Removal of game engines and temporary folders when a program ends, by a signal too.

ViZDoom's engine is a process of its own that does not notice the end of the program that drives it. A program that ends
by a signal or by ``os._exit`` can stop nothing itself, so a small second process, one per program, waits for its end:
this file, run as a script without any package. It holds one end of a socket; the other end closes with the program.
An engine that the program was just starting shows itself only later, on a busy machine seconds later. So every engine
inherits one end of a pipe, and the process goes on looking until nobody holds that end any more. It is no child of the
program: Ray kills the children of a worker that it ends.

`files.scratch_folder` serves where no engine runs: it needs no process, but what a killed program leaves there stays
until the next one starts.

Linux only, because it looks for engines in /proc. Elsewhere folders are removed at an ordinary end alone.
"""

from __future__ import annotations

import os
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

CONFIG_NAME = "engine.ini"
"""An engine is recognised by its configuration: the file of this name in a folder that was made here."""

SHARED_MEMORY = Path("/dev/shm")
_INSTANCE = b"+viz_instance_id"
_PAUSE, _LONGEST_PAUSE = 0.05, 1.0  # seconds between two looks for engines


class _Link:
    """Link to the watching process, which it starts when there is none."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget all folders and the process."""
        self._lock = threading.RLock()
        self._folders: set[str] = set()
        self._socket: socket.socket | None = None
        self.inherited = -1

    def add(self, folder: str) -> None:
        with self._lock:
            self._folders.add(folder)
            self._tell(b"+", folder)

    def discard(self, folder: str) -> None:
        with self._lock:
            if folder in self._folders:
                self._folders.discard(folder)
                self._tell(b"-", folder)

    def drop(self) -> None:
        """Close the socket and the pipe: the program's end shows only if no forked child holds an end of them."""
        socket_, self._socket = self._socket, None
        if socket_ is not None:
            socket_.close()
            os.close(self.inherited)
            self.inherited = -1

    def end(self) -> None:
        """Tell the process that the program ends, and wait until it has ended, too."""
        if self._socket is not None:
            os.close(self.inherited)
            with self._socket as link, suppress(OSError):
                link.shutdown(socket.SHUT_WR)
                link.settimeout(10)
                link.recv(1)
            self._socket, self.inherited = None, -1

    def _tell(self, sign: bytes, folder: str) -> None:
        if sys.platform != "linux":
            return
        if self._socket is not None:
            try:
                self._socket.sendall(sign + os.fsencode(folder) + b"\0", socket.MSG_NOSIGNAL)
                return
            except OSError:  # somebody has ended the process
                self.drop()
        if self._folders:
            self._start()

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        watched, inherited = os.pipe()
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", __file__, str(watched)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(watched,),
                start_new_session=True,  # a signal to the program's whole group must not end it
                cwd="/",
            )
        os.close(watched)
        os.set_inheritable(inherited, True)
        process.wait()  # the process that watches is a child of this one
        self._socket, self.inherited = ours, inherited
        weakref.finalize(self, _wait, self, os.getpid())
        ours.sendall(b"".join(b"+" + os.fsencode(each) + b"\0" for each in self._folders), socket.MSG_NOSIGNAL)


def make_folder(prefix: str = "doom_") -> str:
    """Make a temporary folder that is removed when this program ends, by a signal too; return its path."""
    path = os.path.join(tempfile.gettempdir(), prefix + secrets.token_hex(8))
    _link.add(path)
    try:
        os.mkdir(path, 0o700)
    except BaseException:
        remove_folder(path)
        raise
    return path


def remove_folder(path: str) -> None:
    """Remove a folder of `make_folder`; safe to call twice."""
    shutil.rmtree(path, ignore_errors=True)
    _link.discard(path)


@contextmanager
def temporary_folder(prefix: str = "doom_") -> Iterator[Path]:
    """Yield a temporary folder, removed after the block and even if the program ends within it."""
    path = make_folder(prefix)
    try:
        yield Path(path)
    finally:
        remove_folder(path)


def engines_of(folders: Iterable[str]) -> dict[int, str]:
    """Find running engines whose configuration is in one of these folders: {process id: ViZDoom's instance name}."""
    wanted = {os.fsencode(os.path.join(folder, CONFIG_NAME)) for folder in folders}
    found = {}
    for entry in os.listdir("/proc") if wanted and sys.platform == "linux" else ():
        try:
            words = Path("/proc", entry, "cmdline").read_bytes().split(b"\0") if entry.isdigit() else []
        except OSError:  # ended meanwhile, or not ours to read
            continue
        if wanted.intersection(words):
            name = words[words.index(_INSTANCE) + 1] if _INSTANCE in words[:-1] else b""
            found[int(entry)] = os.fsdecode(name)
    return found


def forget_shared_memory(instance: str) -> None:
    """Remove the names of an engine's shared memory; processes that have it open go on using it."""
    if instance:
        for path in SHARED_MEMORY.glob("ViZDoom*" + instance):
            path.unlink(missing_ok=True)


def inherited_descriptor() -> int:
    """Return the file descriptor that engines have to inherit; -1 while nothing is watched."""
    return _link.inherited


def _wait(link: _Link, owner: int) -> None:
    """Wait, at the program's ordinary end, until everything is removed."""
    if os.getpid() == owner:
        link.end()


_link = _Link()


def _after_fork() -> None:
    """Begin anew in a forked child, which does not own what its parent has."""
    _link.drop()
    _link.begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _watch(inherited: int) -> None:
    """Collect folders from standard input until it ends, then stop the engines there and remove them.

    Args:
        inherited: file descriptor that is at its end when the program and its engines are gone.
    """
    if os.fork():
        os._exit(0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    folders: set[str] = set()
    rest = b""
    while part := os.read(0, 1 << 16):
        *messages, rest = (rest + part).split(b"\0")
        for message in messages:
            path = os.fsdecode(message[1:])
            if message[:1] == b"+":
                folders.add(path)
            else:
                folders.discard(path)
    pause = _PAUSE
    while folders:
        engines = engines_of(folders)
        for process, instance in engines.items():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
            forget_shared_memory(instance)
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        nobody = bool(select.select([inherited], [], [], 0)[0])
        if nobody and not engines:
            return
        time.sleep(pause)
        pause = min(_LONGEST_PAUSE, 1.2 * pause)


if __name__ == "__main__":
    _watch(int(sys.argv[1]))
