"""Journal of a dataset in the making: one folder per finished episode, there whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from li_env.files import WRITING, read_json, scratch_folder, write_json

JOURNAL = "journal"
"""Folder of the journal below that of the dataset."""

RECORD = "episode.json"
"""File of an entry that describes its episode."""


class Journal:
    """Finished episodes on the disk.

    An entry is written under a temporary name, flushed to the disk and renamed. Any number of processes may commit;
    the first entry of an episode stays, and since an episode is a function of the manifest, all are equal.

    Args:
        folder: of the dataset.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / JOURNAL
        self._entries = self.path / "episodes"

    def open(self) -> None:
        """Make the folders."""
        self._entries.mkdir(parents=True, exist_ok=True)

    def numbers(self) -> set[int]:
        """Return the numbers of the episodes that are committed."""
        if not self._entries.is_dir():
            return set()
        return {int(entry.name) for entry in os.scandir(self._entries) if entry.name.isdecimal()}

    def entry(self, number: int) -> Path:
        """Return the folder of an episode."""
        return self._entries / f"{number:08d}"

    def record(self, number: int) -> dict[str, Any]:
        """Read the description of a committed episode.

        Raises:
            ValueError: a damaged file.
        """
        record: dict[str, Any] = read_json(self.entry(number) / RECORD, "journal")
        return record

    @contextmanager
    def commit(self, number: int, record: dict[str, Any]) -> Iterator[Path]:
        """Yield a folder for the files of an episode; it becomes the entry if the block succeeds.

        Args:
            number: of the episode.
            record: its description, which the block may still complete.
        """
        with scratch_folder(WRITING, self.path) as scratch:
            folder = scratch / "entry"
            folder.mkdir()
            yield folder
            write_json(folder / RECORD, record)
            flush_tree(folder)
            try:
                os.rename(folder, self.entry(number))
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
            flush(self._entries)

    def remove(self) -> None:
        """Remove the journal."""
        shutil.rmtree(self.path, ignore_errors=True)


def flush_tree(folder: Path) -> None:
    """Flush all files and folders below a folder to the disk."""
    for path in (*folder.rglob("*"), folder):
        flush(path)


def flush(path: Path) -> None:
    """Flush a file or folder to the disk; file systems that cannot flush a folder are left alone."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError) if path.is_dir() else nullcontext():
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
