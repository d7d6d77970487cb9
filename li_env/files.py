"""Read files from outside within bounds, and write files whole or not at all.

A reader looks at no more than it says and answers everything that is wrong with a file by one ``ValueError`` that names
it. A writer works in a folder ``.writing-*`` beside the target and moves what is complete. Such a folder is locked as
long as its process lives; what a killed process left is removed by the next one that writes there.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from li_env.validation import shortened, shown, shown_path
from li_env.yaml_text import parse_yaml

try:
    import fcntl
except ImportError:  # not on Windows: nothing is locked there and nothing that is left is removed
    fcntl = None  # type: ignore[assignment]

CACHE = "LI_ENV_CACHE"
"""Environment variable that names the folder of the cache."""

WRITING = ".writing-"
"""Prefix of the names of unfinished folders."""

MOST_YAML = 8 * 2**20
"""Bytes of a YAML file that are read."""

MOST_JSON = 32 * 2**20
"""Bytes of a JSON file that are read."""


def read_bytes(path: str | Path, key: str, most: int, allowed: str) -> bytes:
    """Read a regular file of at most ``most`` bytes; a pipe or a device is never opened.

    Args:
        path: of the file.
        key: what the caller knows it by, for the message.
        most: largest size in bytes.
        allowed: what the file should be, for the message.

    Raises:
        ValueError: no such file, not a regular one, too large or not readable.
    """
    name = f"{key}={shown(str(path))}"
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError(f"{name} is not a file; allowed: {allowed}")
        if found.st_size <= most:
            with open(path, "rb") as file:
                data = file.read(most + 1)
            if len(data) <= most:
                return data
    except FileNotFoundError:
        raise ValueError(f"{name} is not a file; allowed: {allowed}") from None
    except OSError as error:
        raise ValueError(f"{name} cannot be read ({error.strerror}); allowed: {allowed}") from None
    raise ValueError(f"{name} has more than {most:,} bytes; allowed: {allowed}")


def read_text(path: str | Path, key: str, most: int, allowed: str) -> str:
    """Read UTF-8 text, with or without a byte order mark. Arguments and errors as `read_bytes`."""
    data = read_bytes(path, key, most, allowed)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{key}={shown(str(path))} is no UTF-8 text (byte {error.start}); allowed: {allowed}"
        ) from None


def read_yaml(path: str | Path, key: str, allowed: str = "a YAML file") -> Any:
    """Read a YAML file as plain values; ``None`` if it is empty. See `parse_yaml` for what is refused.

    Raises:
        ValueError: as `read_text`, or not YAML within bounds; names file and line.
    """
    return parse_yaml(read_text(path, key, MOST_YAML, allowed), shown_path(path))


def read_json(path: str | Path, key: str, allowed: str = "a JSON file", most: int = MOST_JSON) -> Any:
    """Read a JSON file as plain values.

    Raises:
        ValueError: as `read_text`, or not JSON, too deep, or a key that comes twice; names the file.
    """
    return parse_json(read_text(path, key, most, allowed), shown_path(path))


def parse_json(text: str, where: str) -> Any:
    """Read JSON text; ``where`` names its origin.

    Raises:
        ValueError: not JSON, nested too deep, or a key that comes twice.
    """
    try:
        return json.loads(text, object_pairs_hook=_without_twins)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where}:{error.lineno}: not JSON: {error.msg}") from None
    except RecursionError:
        raise ValueError(f"{where}: not usable JSON: nested too deep") from None
    except ValueError as error:
        raise ValueError(f"{where}: not usable JSON: {shortened(error)}") from None


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"key {shown(name)} comes twice")
        found[name] = value
    return found


def file_sha256(path: str | Path) -> str:
    """Compute the SHA-256 of a file, read piece by piece."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: str | Path, data: Any) -> None:
    """Write ``data`` as indented JSON; the file appears whole or not at all. Missing folders are made.

    Raises:
        ValueError: ``data`` holds a number that JSON does not have (NaN, infinity).
        TypeError: ``data`` holds something JSON cannot express.
        OSError: the file cannot be written.
    """
    text = json.dumps(data, indent=2, allow_nan=False) + "\n"
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def append_json(path: str | Path, entry: Any) -> None:
    """Add a line of JSON to a file; half a line that a killed process left at its end is removed first."""
    line = (json.dumps(entry) + "\n").encode()
    with open(path, "a+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 2**16))
        tail = file.read()
        if tail and not tail.endswith(b"\n"):
            file.truncate(size - len(tail) + tail.rfind(b"\n") + 1)
        file.write(line)


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path of the same name; it takes the place of ``path`` if the block succeeds.

    If the block raises, nothing is left and ``path`` stays as it was. Missing folders are made.
    """
    path = Path(path)
    with atomic_folder(path.parent) as folder:
        yield folder / path.name


@contextmanager
def atomic_folder(folder: str | Path, last: str = "") -> Iterator[Path]:
    """Yield a temporary folder; the files in it are moved into ``folder`` if the block succeeds.

    If the block raises, nothing is left, not even ``folder`` if it was made for this. The file called ``last`` is moved
    after all others: once it is there, they are.
    """
    folder = Path(folder)
    made = _make(folder)
    done = False
    try:
        with scratch_folder(WRITING, folder) as temporary:
            yield temporary
            files = sorted(temporary.iterdir(), key=lambda file: (file.name == last, file.name))
            for file in files:
                if (folder / file.name).is_dir():
                    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(folder / file.name))
            for file in files:
                os.replace(file, folder / file.name)
        done = True
    finally:
        if not done:
            for each in made:
                with suppress(OSError):
                    each.rmdir()


def _make(folder: Path) -> list[Path]:
    """Make a folder; return the new folders, innermost first."""
    new = []
    for each in (folder, *folder.parents):
        if each.exists():
            break
        new.append(each)
    folder.mkdir(parents=True, exist_ok=True)
    return new


@contextmanager
def scratch_folder(prefix: str, folder: str | Path | None = None) -> Iterator[Path]:
    """Yield a new folder that is removed in the end, by the next caller if this process is killed.

    Args:
        prefix: of its name; folders of this prefix whose process is gone are removed.
        folder: where to make it; the system's folder for temporary files by default.
    """
    parent = Path(tempfile.gettempdir() if folder is None else folder)
    _remove_left(prefix, parent)
    path, lock = _claimed(prefix, parent)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _claimed(prefix: str, parent: Path) -> tuple[Path, int | None]:
    """Make a folder; return it and a descriptor that holds its lock."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        if fcntl is None:
            return path, None
        with suppress(FileNotFoundError):  # another process took it for one that was left, and removed it
            lock = os.open(path, os.O_RDONLY)
            if _lock(lock) is not False and path.exists():
                return path, lock
            os.close(lock)


def _lock(descriptor: int) -> bool | None:
    """Try to take a lock; tell whether this process holds it now, ``None`` on a file system without locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _remove_left(prefix: str, parent: Path) -> None:
    """Remove folders that nobody holds the lock of."""
    if fcntl is None:
        return
    for entry in os.scandir(parent):
        if not entry.name.startswith(prefix):
            continue
        with suppress(OSError):
            descriptor = os.open(entry.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                if _lock(descriptor):
                    shutil.rmtree(entry.path, ignore_errors=True)
            finally:
                os.close(descriptor)


def check_folder(key: str, folder: str | Path, names: Iterable[str] = ()) -> Path:
    """Return a folder that files can be written to, existing or to be made.

    Args:
        key: name in the message.
        folder: to write to.
        names: of the files to be written there.

    Raises:
        ValueError: an empty name, a file where a folder has to be, a folder where a file has to be, or no
            permission to write; nothing is made.
    """
    path = _present(key, folder)
    shown_folder = f"{key}={shown(str(folder))}"
    try:
        there = next(each for each in (path, *path.parents) if os.path.lexists(each))
        if not there.is_dir():
            raise ValueError(f"{shown_folder}: {shown(str(there))} is a file; allowed: a folder, new or existing")
        for name in names:
            if (path / name).is_dir():
                raise ValueError(f"{shown_folder}: {name!r} in it is a folder; allowed: a folder without one")
        try:
            with scratch_folder(WRITING, there):  # what may be written only shows when it is tried
                pass
        except OSError as error:
            raise ValueError(
                f"{shown_folder}: {shown(str(there))} cannot be written to ({error.strerror}); allowed: another folder"
            ) from None
    except OSError as error:
        raise ValueError(f"{shown_folder} cannot be used ({error.strerror}); allowed: a folder") from None
    return path


def check_file(key: str, file: str | Path) -> Path:
    """Return the path of a file that can be written, existing or to be made.

    Raises:
        ValueError: an empty name, a folder of that name, or as `check_folder` about where it lies; nothing is made.
    """
    path = _present(key, file)
    try:
        if path.is_dir():
            raise ValueError(f"{key}={shown(str(file))} is a folder; allowed: the name of a file")
        check_folder(key, path.parent)
    except OSError as error:
        raise ValueError(f"{key}={shown(str(file))} cannot be used ({error.strerror}); allowed: a file") from None
    return path


def _present(key: str, path: str | Path) -> Path:
    if not isinstance(path, str | Path) or not str(path) or "\0" in str(path):
        raise ValueError(f"{key}={shown(path)} is not allowed; use the name of a folder or file")
    return Path(path)


def cache_folder() -> Path:
    """Return the folder for what can be made again: ``LI_ENV_CACHE``, or ``li-env`` where the platform has caches."""
    if named := os.environ.get(CACHE):
        return Path(named)
    home = Path.home()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "li-env"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "li-env"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "li-env"
