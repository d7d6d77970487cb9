"""Weight files of the freedoom world: packed safetensors with a manifest of checksums beside them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from li_env.files import atomic_folder, file_sha256, read_json, write_json
from li_env.tensor_files import read_tensors, write_tensors
from li_env.validation import SHOWN, check_mapping, shortened, shown, shown_path
from li_env.worlds.freedoom.packed import pack, read_packed
from li_env.worlds.freedoom.sizes import SIZES, SMALL, Size

MANIFEST = "weights.json"
FILES = ("autoencoder", "dynamics", "motion")


def packaged_folder() -> Path:
    """Return the folder of what is shipped of the small size."""
    return SMALL.data


def shipped_weights(size: Size) -> Path:
    """Return the folder of the weights of a size that are shipped with the package.

    Raises:
        ValueError: none are; names the command that makes them.
    """
    if not (size.data / MANIFEST).is_file():
        raise ValueError(
            f"weights=None is not usable: world {size.world!r} comes without weights; allowed: the folder DIR/weights "
            f"that `li-env train world --config configs/train/{size.world}.yaml --out DIR` writes, here or in "
            f"{size.variable}"
        )
    return size.data


def weights_folder(size: Size, weights: str | Path | None) -> Path:
    """Return the folder ``weights``; if it is None the one that the size's environment variable names, or the shipped.

    Raises:
        ValueError: as `shipped_weights`.
    """
    named = weights or os.environ.get(size.variable)
    return Path(named) if named else shipped_weights(size)


def starting_weights(start: str) -> Path:
    """Return the folder of weights that ``start`` means: the name of a size whose weights are shipped, or a folder.

    Raises:
        ValueError: a size without shipped weights.
    """
    return shipped_weights(SIZES[start]) if start in SIZES else Path(start)


def load_weights(models: dict[str, nn.Module], folder: Path) -> None:
    """Load ``<name>.safetensors`` into each model (keys of ``models`` are `FILES`), checksums first.

    Raises:
        ValueError: the folder, the manifest or a file is missing, damaged or of another shape; says which and what is
            expected.
    """
    manifest = read_manifest(folder)
    for name, model in models.items():
        file = f"{name}.safetensors"
        if file not in manifest:
            raise ValueError(f"{folder / MANIFEST} does not list {file}; expected: {', '.join(FILES)}")
        path = checked(folder / file, manifest[file]["sha256"])
        wanted = {key: tuple(value.shape) for key, value in model.state_dict().items()}
        model.load_state_dict(read_packed(path, wanted, "this model"))


def read_manifest(folder: Path) -> Mapping[str, Any]:
    """Read the manifest {file: {"sha256", "bytes"}} of a weight folder.

    Raises:
        ValueError: it is missing, damaged or of another form.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise ValueError(
            f"no weights in {folder}: {MANIFEST} is missing; expected a folder written by `li-env train world` "
            f"or none at all for the shipped weights"
        )
    manifest = check_mapping(f"{shown_path(path)}: manifest", read_json(path, "weights"))
    for file, entry in manifest.items():
        if not isinstance(entry, dict) or not isinstance(entry.get("sha256"), str):
            raise ValueError(
                f"{shown_path(path)}: {shown(file)}={shown(entry)} is not usable; "
                "allowed: a mapping of sha256 and bytes, as li-env train world writes it"
            )
    return manifest


def checked(path: Path, expected: str) -> Path:
    """Return ``path`` if its SHA-256 is ``expected``, else raise a ValueError that names both."""
    if not path.is_file():
        raise ValueError(f"weight file {shown_path(path)} is missing; expected sha256 {shortened(expected, SHOWN)}")
    found = file_sha256(path)
    if found != expected:
        raise ValueError(
            f"weight file {shown_path(path)} is damaged: sha256 {found}, expected {shortened(expected, SHOWN)}"
        )
    return path


def export_weights(run: Path, folder: Path) -> None:
    """Write what a training run left in ``run`` as shippable weights (packed, with a manifest) into ``folder``.

    The sharpened autoencoder and the refined dynamics are taken where the run has them.
    """
    sharpened, refined = run / "sharp_autoencoder.safetensors", run / "refine.safetensors"
    autoencoder = read_tensors(sharpened if sharpened.exists() else run / "autoencoder.safetensors")
    dynamics = read_tensors(refined if refined.exists() else run / "dynamics.safetensors")
    motion = read_tensors(run / "motion.safetensors")
    write_weights(folder, dict(zip(FILES, (autoencoder, dynamics, motion), strict=True)))


def write_weights(folder: Path, models: Mapping[str, Mapping[str, torch.Tensor]]) -> None:
    """Write the weights of models by name, packed (`packed.pack`) and with a manifest, into ``folder``."""
    manifest = {}
    with atomic_folder(folder) as temporary:
        for name, tensors in models.items():
            file = temporary / f"{name}.safetensors"
            write_tensors(file, pack(tensors))
            manifest[file.name] = {"sha256": file_sha256(file), "bytes": file.stat().st_size}
        write_json(temporary / MANIFEST, manifest)
