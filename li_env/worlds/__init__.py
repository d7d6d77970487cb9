"""World models and the registry that finds them by name."""

from li_env.worlds.registry import (
    WorldEntry,
    load_world,
    register_world,
    resolve_device,
    world_entry,
    world_names,
)

__all__ = ["WorldEntry", "load_world", "register_world", "resolve_device", "world_entry", "world_names"]
