"""A command in a fork of this process that kills itself at the n-th thing it does with a file."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Collection
from pathlib import Path

from li_env.cli import main


def run_in_fork(
    words: list[str], folder: Path, events: Collection[str], kill_at: int, counter: Path | None = None
) -> int:
    """Run a command; return the status of ``os.waitpid``.

    Args:
        words: of the command.
        folder: audit events of files below it are counted.
        events: names of the events that count.
        kill_at: SIGKILL at this event; 0 for never.
        counter: file for the number of events of a run that was not to be killed and succeeded.
    """
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1]
    seen, inside = 0, str(folder)

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        if (
            event in events
            and isinstance(arguments[0], str | os.PathLike)
            and os.fspath(arguments[0]).startswith(inside)
        ):
            seen += 1
            if seen == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    code = 1
    try:
        code = main(words)
        if code == 0 and not kill_at and counter is not None:
            counter.write_text(str(seen))
    finally:
        os._exit(code)
