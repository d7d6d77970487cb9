"""Reading published checkpoints: find the files, fit names, shapes and dtypes, check the memory; never a pickle.

Nothing large is read before names, shapes and free memory are known to fit.
"""

from __future__ import annotations

import os
import pickle
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
from torch import Tensor, nn

from li_env.errors import MissingExtraError
from li_env.files import read_json
from li_env.tensor_files import open_tensors
from li_env.validation import SHOWN, check_mapping, shortened, shown, shown_path

FLOATS = (torch.float32, torch.bfloat16, torch.float16)
SHOWN_NAMES = 3
MOST_CONFIG = 2**20
"""Bytes of a configuration file."""


@dataclass(frozen=True)
class Part:
    """One download of a checkpoint.

    Attributes:
        path: where it belongs, relative to the checkpoint folder.
        source: where it is published.
        gigabytes: its size (10^9 bytes); 0 for a small file.
        files: of these, relative to ``path``, at least one has to be there (the first is the published one); empty:
            ``path`` itself is a file.
    """

    path: str
    source: str
    gigabytes: float
    files: tuple[str, ...] = ()

    def find(self, folder: Path) -> Path | None:
        """Return the first of ``files`` that is in the checkpoint folder ``folder``, ``None`` if none is."""
        candidates = [folder / self.path / name for name in self.files] or [folder / self.path]
        return next((path for path in candidates if path.is_file()), None)

    def __str__(self) -> str:
        names = f"{self.path}/{self.files[0]}" if self.files else self.path
        return f"{names} ({f'{self.gigabytes:g} GB, ' if self.gigabytes else ''}{self.source})"


def find_folder(world: str, variable: str, weights: str | Path | None, parts: Sequence[Part]) -> Path:
    """Return the checkpoint folder: ``weights``, else the environment variable ``variable``.

    Raises:
        ValueError: neither is given, or it is no folder; says what to download, from where, how big, to which place.
    """
    given = weights if weights is not None else os.environ.get(variable)
    needed = "; ".join(str(part) for part in parts)
    if not given:
        raise ValueError(
            f"world={world!r} has no shipped weights: set weights= or {variable} to a folder with {needed}"
        )
    if not os.path.isdir(given):
        raise ValueError(f"weights={shown(str(given))} is not a folder; world {world!r} needs one with {needed}")
    return Path(given)


def find_parts(folder: Path, parts: Sequence[Part]) -> list[Path]:
    """Return the file of each part.

    Raises:
        ValueError: some are missing; names all of them, with their place, source and size.
    """
    found = [part.find(folder) for part in parts]
    if missing := [str(part) for part, path in zip(parts, found, strict=True) if path is None]:
        raise ValueError(f"{shown_path(folder)} lacks {'; '.join(missing)}")
    return [path for path in found if path is not None]


def read_config(path: Path) -> Mapping[str, Any]:
    """Read the keys and values of a checkpoint's JSON file.

    Raises:
        ValueError: not a file, not JSON, or no mapping; names the file.
    """
    return check_mapping(f"{shown_path(path)}: config", read_json(path, "config", most=MOST_CONFIG))


@contextmanager
def described_by(path: Path) -> Iterator[None]:
    """Turn errors of a library or network about sizes from ``path`` into a ``ValueError`` that names the file."""
    try:
        yield
    except (MissingExtraError, MemoryError, CheckpointError):
        raise
    except Exception as error:
        text = str(error) if isinstance(error, ValueError | OSError) else f"{type(error).__name__}: {error}"
        named = isinstance(error, ValueError) and path.name in text
        raise ValueError(text if named else f"{shown_path(path)} is damaged or not usable: {shortened(text)}") from None


class TensorFile:
    """Tensors of a checkpoint file by name; values are read one at a time, when asked for.

    ``path`` is a ``.safetensors`` file, the ``.safetensors.index.json`` of a sharded one, or a PyTorch file of plain
    tensors (``.pt``, ``.pth``, ``.bin``), which is read with ``weights_only=True``. ``rename`` maps a name in the file
    to the name here; ``None`` leaves the tensor out.

    Raises:
        ValueError: another kind of file, a damaged one, or one that holds more than tensors.
    """

    def __init__(self, path: Path, rename: Callable[[str], str | None] = str) -> None:
        self.path = path
        self._read: dict[str, Callable[[], Tensor]] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.dtypes: dict[str, str] = {}
        for stored, shape, dtype, read in _entries(path):
            if (name := rename(stored)) is not None:
                self._read[name], self.shapes[name], self.dtypes[name] = read, shape, dtype

    def replaced_by(self, other: TensorFile) -> TensorFile:
        """Return a copy in which ``other`` replaces every top-level module that it has tensors of."""
        joined = copy(self)
        modules = {name.partition(".")[0] for name in other.shapes}
        for mine, theirs in (("_read", other._read), ("shapes", other.shapes), ("dtypes", other.dtypes)):
            kept = {name: value for name, value in getattr(self, mine).items() if name.partition(".")[0] not in modules}
            setattr(joined, mine, kept | theirs)
        joined.path = other.path
        return joined

    def __contains__(self, name: str) -> bool:
        return name in self._read

    def __getitem__(self, name: str) -> Tensor:
        return self._read[name]()


def _entries(path: Path) -> Iterator[tuple[str, tuple[int, ...], str, Callable[[], Tensor]]]:
    if path.name.endswith(".safetensors.index.json"):
        index = check_mapping(shown_path(path), read_json(path, "index")).get("weight_map")
        if not isinstance(index, dict) or not index or not all(isinstance(name, str) for name in index.values()):
            raise ValueError(f"{shown_path(path)}: weight_map={shown(index)} is not usable; allowed: tensor to file")
        for shard in sorted(set(index.values())):
            # A shard is a file beside its index: an index that names itself would be read for ever.
            if Path(shard).name != shard or not shard.endswith(".safetensors"):
                raise ValueError(f"{shown_path(path)}: weight_map={shown(shard)} is no .safetensors file beside it")
            yield from _entries(path.parent / shard)
    elif path.suffix == ".safetensors":
        yield from _safetensors(path)
    elif path.suffix in (".pt", ".pth", ".bin"):
        yield from _torch_tensors(path)
    else:
        allowed = ".safetensors, .safetensors.index.json, .pt, .pth, .bin"
        raise ValueError(f"{shown_path(path)} is not a checkpoint; allowed: {allowed}")


def _safetensors(path: Path) -> Iterator[tuple[str, tuple[int, ...], str, Callable[[], Tensor]]]:
    file = open_tensors(path)
    for name in file.keys():  # noqa: SIM118 - the file is no dictionary
        entry = file.get_slice(name)
        dtype = _DTYPES.get(entry.get_dtype(), entry.get_dtype())
        yield name, tuple(entry.get_shape()), dtype, partial(file.get_tensor, name)


_DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def _torch_tensors(path: Path) -> Iterator[tuple[str, tuple[int, ...], str, Callable[[], Tensor]]]:
    if not path.is_file():
        raise ValueError(f"{shown_path(path)} is not a file; allowed: a PyTorch file of tensors")
    try:
        # Only the present file format, a zip archive, can be read in parts.
        with warnings.catch_warnings(action="ignore"):  # about a damaged file, which is refused in words
            data = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zipfile(path))
    except pickle.UnpicklingError:
        raise ValueError(
            f"{shown_path(path)} is damaged or holds more than tensors and is not opened, because that could run code; "
            f"allowed: plain tensors, or the same as .safetensors"
        ) from None
    except MemoryError:
        raise
    except Exception as error:  # a damaged file ends in any error of the library: EOFError, KeyError, ...
        said = str(error).splitlines() or [type(error).__name__]
        raise ValueError(f"{shown_path(path)} cannot be read, it is damaged: {shortened(said[0])}") from None
    # Training wrappers keep the model's tensors one level down.
    for wrapper in ("state_dict", "gen_model", "generator"):
        if isinstance(data, Mapping) and isinstance(data.get(wrapper), Mapping):
            data = data[wrapper]
    if not isinstance(data, Mapping):
        raise ValueError(f"{shown_path(path)} holds a {type(data).__name__}; allowed: a dictionary of tensors")
    for name, value in data.items():
        if isinstance(name, str) and isinstance(value, Tensor):
            yield name, tuple(value.shape), str(value.dtype).removeprefix("torch."), partial(_same, value)


def _same(value: Tensor) -> Tensor:
    return value


@dataclass(frozen=True)
class Misfit:
    """Differences between the tensors of a file and those that a model expects; all empty if they fit.

    Attributes:
        missing: names that the model has and the file has not.
        unexpected: names that the file has and the model has not.
        shapes: name -> (shape in the file, shape in the model).
        dtypes: name -> dtype in the file, where it is not a float32, bfloat16 or float16.
    """

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    shapes: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]
    dtypes: dict[str, str]

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.shapes or self.dtypes)

    def __str__(self) -> str:
        shapes = [f"{name} {list(found)} for {list(wanted)}" for name, (found, wanted) in self.shapes.items()]
        dtypes = [f"{name} {dtype}" for name, dtype in self.dtypes.items()]
        kinds = {"missing": self.missing, "unexpected": self.unexpected, "of another shape": shapes,
                 "of another dtype": dtypes}  # fmt: skip
        return "; ".join(f"{len(names)} {kind}: {_some(names)}" for kind, names in kinds.items() if names)


def _some(names: Sequence[str]) -> str:
    more = len(names) - SHOWN_NAMES
    return ", ".join(shortened(name, SHOWN) for name in names[:SHOWN_NAMES]) + (f" and {more} more" if more > 0 else "")


class CheckpointError(ValueError):
    """A checkpoint does not fit its model; ``misfit`` has the complete lists."""

    def __init__(self, path: Path, what: str, misfit: Misfit) -> None:
        super().__init__(f"{shown_path(path)} is not {what}: {misfit}")
        self.misfit = misfit


def compare(file: TensorFile, model: nn.Module) -> Misfit:
    """Compare names, shapes and dtypes of a file with the parameters and stored buffers of a model."""
    wanted = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    both = [name for name in wanted if name in file]
    return Misfit(
        missing=tuple(name for name in wanted if name not in file),
        unexpected=tuple(name for name in file.shapes if name not in wanted),
        shapes={name: (file.shapes[name], wanted[name]) for name in both if file.shapes[name] != wanted[name]},
        dtypes={name: file.dtypes[name] for name in both if f"torch.{file.dtypes[name]}" not in map(str, FLOATS)},
    )


def load_into(
    model: nn.Module,
    file: TensorFile,
    what: str,
    device: torch.device,
    dtype: torch.dtype,
    place: Callable[[str], torch.device] | None = None,
) -> None:
    """Fill a model built on the meta device, tensor by tensor, each cast and moved at once.

    Args:
        model: its parameters may be on ``torch.device("meta")``, they are replaced.
        file: where the tensors come from; has to have exactly the model's names and shapes.
        what: what the file should be, for the error.
        device: where the tensors go.
        dtype: what they are cast to.
        place: another device for some, by name.

    Raises:
        CheckpointError: names, shapes or dtypes do not fit; nothing is read then.
    """
    if misfit := compare(file, model):
        raise CheckpointError(file.path, what, misfit)
    parameters = dict(model.named_parameters(remove_duplicate=False))
    for name in model.state_dict():
        value = file[name].to(device if place is None else place(name), dtype)
        owner, _, leaf = name.rpartition(".")
        value = nn.Parameter(value, requires_grad=False) if name in parameters else value
        setattr(model.get_submodule(owner), leaf, value)


def bytes_of(models: Iterable[nn.Module], dtype: torch.dtype) -> int:
    """Return the bytes of the weights of ``models`` in ``dtype``."""
    return sum(parameter.numel() for model in models for parameter in model.parameters()) * dtype.itemsize
