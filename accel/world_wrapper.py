"""A world around another one, for worlds that change a part of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from li_env.accel.geometry.camera import CameraMotion
from li_env.accel.world import ChunkRequest, DecodeStream, MotionRequest, Scene, WorldModel

_FASTER = {"generate_stream": "generate", "decode_on_device": "decode"}
"""Optional methods of a world that do the same as one of the contract, by name."""


class WorldWrapper:
    """Hands everything on to the world inside, the optional parts included.

    A subclass overrides what it changes. Whatever it does not define is the inner world's, such as ``follow``,
    ``view_overlap``, ``start_frames`` or a part that is invented later. A faster form of a method that a subclass
    overrides is hidden, so that nobody goes round the change.

    Args:
        world: the world inside.
    """

    def __init__(self, world: WorldModel) -> None:
        self.world, self.spec, self.device = world, world.spec, world.device

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "world":  # not yet there while a copy is made
            raise AttributeError(name)
        contract = _FASTER.get(name)
        if contract is not None and getattr(type(self), contract) is not getattr(WorldWrapper, contract):
            raise AttributeError(f"{type(self).__name__} has a {contract} of its own and no {name}")
        return getattr(self.world, name)

    def start(self, images: Sequence[np.ndarray], prompts: Sequence[str]) -> list[Scene]:
        return self.world.start(images, prompts)

    def feasible_motions(self, requests: Sequence[MotionRequest]) -> list[tuple[CameraMotion, ...]]:
        return self.world.feasible_motions(requests)

    def generate(self, requests: Sequence[ChunkRequest]) -> list[torch.Tensor]:
        return self.world.generate(requests)

    def decode(
        self, latents: Sequence[torch.Tensor], streams: Sequence[DecodeStream]
    ) -> tuple[list[np.ndarray], list[DecodeStream]]:
        return self.world.decode(latents, streams)
