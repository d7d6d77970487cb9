"""Weight files of the freedoom world: bf16 safetensors with a manifest of checksums beside them."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

MANIFEST = "weights.json"
FILES = ("autoencoder", "dynamics", "motion")


def packaged_folder() -> Path:
    """The folder of the weights that are shipped with the package."""
    return Path(__file__).parent / "data"


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
        expected = manifest[file]["sha256"]
        tensors = load_file(checked(folder / file, expected))
        wanted = {key: tuple(value.shape) for key, value in model.state_dict().items()}
        found = {key: tuple(value.shape) for key, value in tensors.items()}
        if wanted != found:
            odd = sorted(key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key))
            raise ValueError(
                f"{folder / file} does not fit this model: {odd[0]} is {found.get(odd[0], 'missing')}, expected "
                f"{wanted.get(odd[0], 'nothing')} ({len(odd)} such tensors)"
            )
        model.load_state_dict(tensors)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest {file: {"sha256", "bytes"}} of a weight folder."""
    path = folder / MANIFEST
    if not path.is_file():
        raise ValueError(
            f"no weights in {folder}: {MANIFEST} is missing; expected a folder written by `li-env train world` "
            f"or none at all for the shipped weights"
        )
    manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return manifest


def checked(path: Path, expected: str) -> Path:
    """``path`` if its SHA-256 is ``expected``, else a ValueError that names both."""
    if not path.is_file():
        raise ValueError(f"weight file {path} is missing; expected sha256 {expected}")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != expected:
        raise ValueError(f"weight file {path} is damaged: sha256 {found}, expected {expected}")
    return path


def export_weights(run: Path, folder: Path) -> None:
    """Write what a training run left in ``run`` as shippable weights (bf16, manifest last) into ``folder``.

    The refined dynamics are taken where the run has them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    refined = run / "refine.safetensors"
    autoencoder = load_file(run / "autoencoder.safetensors")
    dynamics = load_file(refined if refined.exists() else run / "dynamics.safetensors")
    motion = load_file(run / "motion.safetensors")
    manifest = {}
    for name, tensors in zip(FILES, (autoencoder, dynamics, motion), strict=True):
        file = folder / f"{name}.safetensors"
        temporary = file.with_suffix(".tmp")
        save_file({key: value.to(torch.bfloat16).contiguous() for key, value in tensors.items()}, temporary)
        os.replace(temporary, file)
        data = file.read_bytes()
        manifest[file.name] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    temporary = folder / "weights.tmp"
    temporary.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    os.replace(temporary, folder / MANIFEST)
