"""The worlds of `frame_cases`: two with shipped weights, two published models with tiny random checkpoints."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import pkgutil
import sys
from copy import deepcopy
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

PUBLISHED_GRID, SMALL_GRID = (30, 52), (4, 8)
"""Latents of a HY-WorldPlay frame as published, and here."""

FRAME_SIZES = {"hy_worldplay": (64, 128), "matrix_game_3": (64, 96)}
"""(height, width) in pixels of the worlds that would take minutes per step at their own size."""


@cache  # a world stays loaded between cases
def world(name: str, checkpoints: Path) -> Any:
    """Load a world; the two published ones from ``checkpoints`` and with small frames.

    Raises:
        RuntimeError: HY-WorldPlay kept its own frame size.
    """
    from li_env.worlds import load_world

    if name not in FRAME_SIZES:
        return load_world(name, device="cpu")
    if name == "matrix_game_3":
        return load_world(name, device="cpu", weights=checkpoints / name, frame_size=FRAME_SIZES[name])
    _shrink_grid()
    loaded = load_world(name, device="cpu", weights=checkpoints / name)
    if tuple(loaded.spec.frame_size) != FRAME_SIZES[name]:
        raise RuntimeError(f"{name} makes frames of {loaded.spec.frame_size}: see _shrink_grid in {__file__}")
    return loaded


def _shrink_grid() -> None:
    """Replace the grid of HY-WorldPlay, for which its loader has no argument, wherever a module holds it."""
    package = importlib.import_module("li_env.worlds.hy_worldplay")
    for entry in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        module = importlib.import_module(entry.name)
        for key, value in list(vars(module).items()):
            if isinstance(value, tuple) and value == PUBLISHED_GRID:
                setattr(module, key, SMALL_GRID)


def start_options(name: str) -> dict[str, Any]:
    """Return the reset options that a world without start frames needs."""
    if name not in FRAME_SIZES:
        return {}
    image = np.random.default_rng(7).integers(0, 256, (8, 13, 3), dtype=np.uint8)
    return {"image": image, "prompt": 'a room, and a sign that says "OUT"'}


def goal_options(name: str) -> dict[str, Any]:
    """Return the reset options that an image goal needs in a world without episodes of its own."""
    if name not in FRAME_SIZES:
        return {}
    picture = np.random.default_rng(8).integers(0, 256, (*FRAME_SIZES[name], 3), dtype=np.uint8)
    return {"goal": (0.5, 1.0), "goal_image": picture}


def write_checkpoint(name: str, maker: Path, folder: Path) -> None:
    """Write a tiny random checkpoint with attention heads wide enough (32) for block-sparse attention.

    Args:
        name: of the world.
        maker: the module ``tiny_checkpoint.py`` in that world's tests.
        folder: to make.
    """
    folder.mkdir()
    module = _load_file(maker)
    if name == "hy_worldplay":
        sizes = dataclasses.replace(module.TINY, hidden_size=64, rope_dims=(8, 12, 12))
        module.write_checkpoint(folder, module.TinySizes(transformer=sizes))
    else:
        config = deepcopy(module.CONFIG)
        config["dim"] = config["action_config"]["img_hidden_size"] = 64
        module.write_checkpoint(folder, config)


def _load_file(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"maker_of_{file.parent.name}", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their own module up
    spec.loader.exec_module(module)
    return module
