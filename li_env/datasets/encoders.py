"""Encoders: threads or processes that turn the rows of episodes into entries of the journal."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Mapping
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from li_env.datasets.formats import PartWriter
from li_env.datasets.journal import Journal
from li_env.datasets.rows import EpisodeRows, checked_record


def open_encoders(count: int, processes: bool) -> Executor:
    """Open encoders.

    Args:
        count: number of threads or processes.
        processes: whether each has an interpreter of its own. A thread holds the lock of the interpreter for a tenth of
            a millisecond per frame, which slows the stepping thread where a world makes thousands of frames per second.
    """
    if processes:
        # Not forked: a copy of a process that uses a GPU does not work.
        return ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), _end_with_parent)
    return ThreadPoolExecutor(count, "li-env-encoder")


def commit(
    folder: Path, rows: EpisodeRows, about: Mapping[str, Any], writer: PartWriter, options: Mapping[str, Any], seed: int
) -> dict[str, Any]:
    """Commit an episode to the journal and return its description.

    Args:
        folder: of the dataset.
        rows: of the episode.
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


def _end_with_parent() -> None:
    """End this process when the collecting one is gone, killed too; it would wait for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
