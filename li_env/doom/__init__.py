"""Simulator: random Doom maps with Freedoom textures, their walls, explorers, renderer and shards of posed frames.

Needs ViZDoom (``pip install "li-env[doom]"``) only where frames are rendered.
"""

from __future__ import annotations

from li_env.doom.explorers import KINDS
from li_env.doom.maps import DoomMap, generate_map, write_wad
from li_env.doom.renderer import DoomRenderer
from li_env.doom.shards import load_shard, render_dataset, render_shard
from li_env.doom.trajectories import DEFAULT_KINDS, simulate, world_poses

__all__ = [
    "DEFAULT_KINDS",
    "KINDS",
    "DoomMap",
    "DoomRenderer",
    "generate_map",
    "load_shard",
    "render_dataset",
    "render_shard",
    "simulate",
    "world_poses",
    "write_wad",
]
