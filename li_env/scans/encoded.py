"""Encoded views of scans: made once per world and content, shared in the process and kept on disk."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from weakref import WeakKeyDictionary, WeakValueDictionary

import numpy as np
import torch

from li_env.accel.runtime.ambient import own_torch_state
from li_env.accel.view_bank import ViewBank
from li_env.accel.world import BaseWorld
from li_env.files import cache_folder
from li_env.scans.scan import Scan
from li_env.tensor_files import open_tensors, write_tensors
from li_env.validation import shown

TOGETHER = 32
"""Views encoded in one call."""

_log = logging.getLogger(__name__)
_banks: WeakKeyDictionary[BaseWorld, WeakValueDictionary[tuple[str, str], ViewBank]] = WeakKeyDictionary()


def encoded_views(world: BaseWorld, scan: Scan, name: str = "") -> ViewBank:
    """Return the views of a scan as latents of a world.

    Episodes, forks and environments of this process share one bank per world and content, as long as somebody holds
    it. Where the world names its encoder (`BaseWorld.encoder_key`), the latents are kept on disk too; a damaged file is
    made again.

    Args:
        world: the world.
        scan: views of the world's frame size.
        name: path of the scan, empty if it has none.

    Raises:
        ValueError: the world cannot encode frames.
    """
    known = _banks.setdefault(world, WeakValueDictionary())
    key = name, scan.content_hash
    bank = known.get(key)
    if bank is None:
        same = next((each for (_, content), each in known.items() if content == scan.content_hash), None)
        latents = _latents(world, scan) if same is None else same.latents
        bank = known[key] = ViewBank(latents, scan.poses, world.spec.view_distance, name, scan.content_hash)
    return bank


def _latents(world: BaseWorld, scan: Scan) -> torch.Tensor:
    """Read the latents [n, C, h, w] from the cache, or encode and keep them."""
    key = world.encoder_key()
    if not key:
        return _encode(world, scan)
    parts = (scan.content_hash, key, world.spec.name, str(world.spec.frame_size), str(world.spec.latent_shape))
    path = cache_folder() / "scans" / f"{hashlib.sha256(' '.join(parts).encode()).hexdigest()[:40]}.safetensors"
    if path.is_file():
        try:
            return _read(path, (len(scan), *world.spec.latent_shape)).to(world.device)
        except ValueError as error:
            _log.warning("a cached scan is made again: %s", error)
    latents = _encode(world, scan)
    host = latents.cpu().contiguous()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_tensors(path, {"latents": host}, {"sha256": _digest(host)})
    except OSError as error:  # a cache is no reason to fail
        _log.warning("%s cannot be written, so the scan is encoded in every process: %s", shown(str(path)), error)
    return latents


def _read(path: Path, shape: tuple[int, ...]) -> torch.Tensor:
    """Read a cached file.

    Raises:
        ValueError: damaged, or of another scan.
    """
    file = open_tensors(path)
    if list(file.keys()) != ["latents"] or tuple(file.get_slice("latents").get_shape()) != shape:
        raise ValueError(f"{shown(str(path))} does not hold latents {list(shape)}")
    latents: torch.Tensor = file.get_tensor("latents")
    if (file.metadata() or {}).get("sha256") != _digest(latents):
        raise ValueError(f"{shown(str(path))} is damaged")
    return latents


def encode_in_parts(world: BaseWorld, images: np.ndarray, together: int = TOGETHER) -> torch.Tensor:
    """Encode views uint8 [n, H, W, 3] to latents [n, C, h, w], ``together`` in one call.

    Raises:
        ValueError: the world cannot encode frames, or makes something else than it promises.
    """
    parts = [
        world.encode_views(np.ascontiguousarray(images[start : start + together]))
        for start in range(0, len(images), together)
    ]
    latents = torch.cat(parts)
    shape = (len(images), *world.spec.latent_shape)
    if not latents.is_floating_point() or tuple(latents.shape) != shape or latents.device.type != world.device.type:
        made = f"{latents.dtype} {list(latents.shape)} on {latents.device}"
        raise ValueError(
            f"world {world.spec.name!r}: encode_views() made {made}; promised: a float tensor {list(shape)} on "
            f"{world.device}"
        )
    return latents


def _encode(world: BaseWorld, scan: Scan) -> torch.Tensor:
    with own_torch_state():
        return encode_in_parts(world, scan.images)


def _digest(latents: torch.Tensor) -> str:
    return hashlib.sha256(latents.contiguous().view(torch.uint8).numpy().data).hexdigest()
