"""Safetensors files from outside: headers first, one ``ValueError`` for every kind of damage; whole files or none."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from li_env.files import atomic_write
from li_env.validation import shortened, shown, shown_path

MOST_HEADER = 16 * 2**20
"""Bytes of a header; a model of 5,000 tensors has half a megabyte."""

FLOATS = ("F64", "F32", "F16", "BF16")
"""Kinds of numbers that weights are stored in."""


def open_tensors(path: str | Path, framework: str = "pt", device: str = "cpu") -> Any:
    """Open a safetensors file after a look at its header.

    Args:
        path: of the file.
        framework: ``pt`` for torch tensors, ``np`` for arrays.
        device: where tensors are read to.

    Returns:
        the handle of ``safetensors.safe_open``; values are read when asked for.

    Raises:
        ValueError: not a file, a damaged one, or one of another kind; names it.
    """
    name = shown_path(path)
    try:
        # Looked at before it is opened: a pipe would wait for ever.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ValueError(f"{name} is not a file; allowed: a safetensors file")
        with open(path, "rb") as file:
            begin, size = file.read(8), os.fstat(file.fileno()).st_size
        header = int.from_bytes(begin, "little")
        if len(begin) < 8 or header < 2 or header > size - 8:
            raise ValueError(f"{name} is damaged or no safetensors file: its header does not fit into {size:,} bytes")
        if header > MOST_HEADER:
            raise ValueError(f"{name} has a header of {header:,} bytes; allowed: at most {MOST_HEADER:,}")
        return safe_open(path, framework=framework, device=device)
    except OSError as error:
        raise ValueError(f"{name} cannot be read ({error.strerror or error}); allowed: a safetensors file") from None
    except SafetensorError as error:
        raise ValueError(f"{name} is damaged or no safetensors file: {shortened(error)}") from None


def check_tensors(
    path: str | Path,
    shapes: Mapping[str, tuple[int, ...]] | None,
    what: str,
    device: str = "cpu",
    kinds: Sequence[str] = FLOATS,
) -> Any:
    """Look at names, shapes and ``kinds`` of numbers of a file of weights; arguments and errors as `read_tensors`.

    Returns:
        the handle of ``safetensors.safe_open``.
    """
    file = open_tensors(path, device=device)
    found: dict[str, tuple[int, ...]] = {}
    for name in file.keys():  # noqa: SIM118 - the file is no dictionary
        entry = file.get_slice(name)
        if entry.get_dtype() not in kinds:
            raise ValueError(
                f"{shown_path(path)} holds {shown(name)} as {entry.get_dtype()}; allowed: {', '.join(kinds)}"
            )
        found[name] = tuple(entry.get_shape())
    if shapes is None:
        shapes = found
    if odd := sorted(name for name in {*shapes, *found} if shapes.get(name) != found.get(name)):
        there, wanted = found.get(odd[0], "missing"), shapes.get(odd[0], "nothing")
        raise ValueError(
            f"{shown_path(path)} does not fit {what}: {shown_path(odd[0])} is {there}, expected {wanted} "
            f"({len(odd)} such tensors)"
        )
    return file


def read_tensors(
    path: str | Path, shapes: Mapping[str, tuple[int, ...]] | None = None, what: str = "", device: str = "cpu"
) -> dict[str, Any]:
    """Read torch tensors by name, after names and shapes are known to be exactly ``shapes``.

    Args:
        path: of a safetensors file.
        shapes: name -> shape that the file has to have; ``None`` takes whatever it has.
        what: what the file has to fit, for the message.
        device: where the tensors go.

    Raises:
        ValueError: damaged, or other names, shapes or kinds of numbers; nothing is read then.
    """
    file = check_tensors(path, shapes, what, device)
    return {name: file.get_tensor(name) for name in list(file.keys())}


def write_tensors(path: str | Path, tensors: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> None:
    """Write arrays, or torch tensors, as safetensors; the file appears whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    library = "torch" if any(hasattr(value, "detach") for value in tensors.values()) else "numpy"
    save_file = import_module(f"safetensors.{library}").save_file
    with atomic_write(path) as temporary:
        temporary.touch()
        mode = temporary.stat().st_mode
        try:
            save_file(dict(tensors), temporary, metadata=None if metadata is None else dict(metadata))
            temporary.chmod(mode)  # the library makes files that nobody else may read
        except SafetensorError as error:
            raise OSError(f"{shown_path(path)} cannot be written: {shortened(error)}") from None
