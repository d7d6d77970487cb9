"""Encoders: threads or processes that turn finished episodes into entries of the journal."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from li_env.datasets.episode_rows import EpisodeRows, SharedFrames, checked_record
from li_env.datasets.journal import Journal
from li_env.datasets.part_writer import PartWriter


class Encoders(ThreadPoolExecutor):
    """Threads for finished episodes; what is to be done with the rows of one goes through `run`.

    Args:
        count: number of threads.
        processes: whether a process with an interpreter of its own stands behind every thread. Encoding in a thread
            holds the lock of the interpreter for a tenth of a millisecond per frame, which slows the stepping thread
            where a world makes thousands of frames per second.
    """

    def __init__(self, count: int, processes: bool) -> None:
        super().__init__(count, "li-env-encoder")
        self._processes: ProcessPoolExecutor | None = None
        if processes:
            # Not forked: a copy of a process that uses a GPU does not work.
            context = multiprocessing.get_context("spawn")
            self._processes = ProcessPoolExecutor(count, context, _end_with_parent)
            for _ in range(count):
                self._processes.submit(_begin)  # now, while the first steps are made, not when an episode has ended

    def run(
        self, job: Callable[[EpisodeRows], dict[str, Any]], rows: EpisodeRows, shared: SharedFrames | None
    ) -> dict[str, Any]:
        """Return what ``job`` makes of the rows, in the thread that calls this or in its process.

        Args:
            job: to run, made of what a process can be given.
            rows: of an episode.
            shared: where a process finds their frames. Without it they are pickled, which holds the lock of the
                interpreter for some milliseconds; the stepping thread needs it.

        Raises:
            BrokenExecutor: an encoding process is gone.
        """
        if self._processes is None:
            return job(rows)
        rest = rows if shared is None else replace(rows, frames=rows.frames[:0])
        return self._processes.submit(_run, job, rest, shared).result()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End threads and processes."""
        super().shutdown(wait, cancel_futures=cancel_futures)
        if self._processes is not None:
            self._processes.shutdown(wait, cancel_futures=cancel_futures)


def commit(
    rows: EpisodeRows, folder: Path, about: Mapping[str, Any], writer: PartWriter, options: Mapping[str, Any], seed: int
) -> dict[str, Any]:
    """Commit an episode to the journal and return its description.

    Args:
        rows: of the episode.
        folder: of the dataset.
        about: further keys of the description; ``kept`` says whether files are written.
        writer: writes the files.
        options: reset options that begin the episode.
        seed: seed of the reset that begins it.

    Raises:
        OSError: a file could not be written; nothing is left.
    """
    record = {**checked_record(rows), **about}
    with Journal(folder).commit(rows.number, record) as entry:
        if record["kept"]:
            writer.write(entry, rows, options, seed)
    return record


def _run(
    job: Callable[[EpisodeRows], dict[str, Any]], rows: EpisodeRows, frames: SharedFrames | None
) -> dict[str, Any]:
    return job(rows if frames is None else frames.joined(rows))


def _begin() -> None:
    """Do nothing: a process that has begun has imported what it needs."""


def _end_with_parent() -> None:
    """End this process when the collecting one is gone, killed too; it would wait for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
