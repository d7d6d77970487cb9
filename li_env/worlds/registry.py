"""Registry of worlds: their names, and loading each once.

Built-in worlds are described by ``configs/worlds/*.yaml``; `register_world` adds others. Code and weights of a world
are loaded only when it is asked for. Loaded worlds are shared as long as someone holds them: two environments on the
same world use the same weights, and never share an episode, because worlds keep none.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, fields
from importlib import resources
from inspect import Parameter, signature
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from li_env.validation import check_choice, check_keys
from li_env.yaml_text import parse_yaml

if TYPE_CHECKING:
    from li_env.accel.world import BaseWorld

Loader = Callable[..., "BaseWorld"]
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class WorldEntry:
    """Description of a world before it is loaded.

    Attributes:
        name: the name for ``load_world`` and ``gymnasium.make(..., world=name)``.
        loader: a callable ``load(device, weights, **kwargs) -> BaseWorld``, or ``"module:callable"``.
        description: one line.
        licence: licence of the weights.
        frame_size: (height, width) in pixels, if fixed.
        weights: glob of the weight files inside the installed package; ``None`` for a world without shipped weights.
    """

    name: str
    loader: Loader | str
    description: str
    licence: str = "unknown"
    frame_size: tuple[int, int] | None = None
    weights: str | None = None

    def weight_files(self) -> list[Path]:
        """Return the shipped weight files that are present."""
        if self.weights is None:
            return []
        return sorted(Path(str(resources.files("li_env"))).glob(self.weights))

    def resolve(self) -> Loader:
        """Return the loader, imported if it was given by name."""
        if not isinstance(self.loader, str):
            return self.loader
        module, _, attribute = self.loader.partition(":")
        loader: Loader = getattr(importlib.import_module(module), attribute)
        return loader


_registered: dict[str, WorldEntry] = {}
_loaded: WeakValueDictionary[tuple[Any, ...], BaseWorld] = WeakValueDictionary()


def _entries() -> dict[str, WorldEntry]:
    if not _registered:
        folder = resources.files("li_env.configs") / "worlds"
        for file in sorted(folder.iterdir(), key=lambda item: item.name):
            if file.name.endswith(".yaml"):
                data = parse_yaml(file.read_text(encoding="utf-8"), file.name)
                check_keys(f"{file.name}:", data, [item.name for item in fields(WorldEntry)])
                size = data.pop("frame_size", None)
                entry = WorldEntry(frame_size=tuple(size) if size else None, **data)
                _registered[entry.name] = entry
    return _registered


def world_names() -> list[str]:
    """Return the names that `load_world` accepts, sorted."""
    return sorted(_entries())


def world_entry(name: str) -> WorldEntry:
    """Return the description of a world.

    Raises:
        ValueError: unknown name; the message lists the known ones.
    """
    return _entries()[check_choice("world", name, world_names())]


def register_world(
    name: str, loader: Loader | str, description: str, licence: str = "unknown", weights: str | None = None
) -> None:
    """Add a world, or replace the one of that name. Arguments as in `WorldEntry`.

    Worlds that are already loaded stay with those who hold them; the next ``load_world`` uses the new loader.
    """
    _entries()[name] = WorldEntry(name, loader, description, licence, weights=weights)
    for key in [key for key in _loaded if key[0] == name]:
        del _loaded[key]


def resolve_device(device: str) -> str:
    """Resolve ``auto`` to ``cuda`` where PyTorch sees a GPU, else ``cpu``; return the others unchanged.

    Raises:
        ValueError: an unknown device, or ``cuda`` without a GPU.
    """
    import torch

    check_choice("device", device, DEVICES)
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device='cuda' is not available: PyTorch sees no GPU; allowed here: auto, cpu")
    return device


def load_world(name: str, device: str = "auto", weights: str | Path | None = None, **kwargs: Any) -> BaseWorld:
    """Load a world, or return the loaded one that somebody still holds.

    Args:
        name: one of `world_names`.
        device: ``auto``, ``cpu`` or ``cuda``.
        weights: folder with the weights; ``None`` takes the shipped ones.
        **kwargs: further arguments of that world's loader.

    The constants of the world (`BaseWorld.spec`) take the numbers that ``li-env calibrate`` has measured.

    Raises:
        ValueError: unknown world or device, an argument that its loader does not take, what the loader says about the
            weights, or a damaged file of measured numbers.
    """
    entry = world_entry(name)
    where = resolve_device(device)
    folder = None if weights is None else str(weights)
    key = (name, where, folder, tuple(sorted(kwargs.items())))
    world = _loaded.get(key)
    if world is None:
        loader = entry.resolve()
        for argument in kwargs:
            if not _takes(loader, argument):
                raise ValueError(f"{argument}={kwargs[argument]!r} is not an argument of world {name!r}")
        from li_env.accel.runtime.ambient import own_torch_state  # torch takes seconds: only where a world is loaded

        with own_torch_state():  # the defaults that a user has set for his own networks are not the world's
            world = loader(device=where, weights=folder, **kwargs)
            _calibrate(name, world)
        _loaded[key] = world
    return world


def _calibrate(name: str, world: BaseWorld) -> None:
    """Give a world the numbers that were measured for it, on this device where that matters."""
    from li_env.accel.world import BaseWorld as AnyWorld
    from li_env.worlds.calibration import calibration, cost_name

    if isinstance(world, AnyWorld):  # anything else is refused where it is used
        known = calibration(name)
        world.spec, world.costs = known.applied(world.spec, world.device), known.costs.get(cost_name(world))


def _takes(loader: Loader, argument: str) -> bool:
    parameters = signature(loader).parameters.values()
    return any(each.name == argument or each.kind is Parameter.VAR_KEYWORD for each in parameters)
