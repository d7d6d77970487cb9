"""View bank: posed views of one place as latents, immutable, shared by every episode that is grounded in them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch

from li_env.accel.geometry.view_index import ViewIndex


class ViewBank:
    """Latents of posed views beside the history of an episode; forks and other episodes hold the same bank.

    Args:
        latents: [n, C, h, w] on the world's device; must not be changed afterwards.
        poses: [n, 4, 4] float64 camera-to-world in the unit and axes of the episode.
        view_distance: `WorldSpec.view_distance`.
        name: path of the scan that they come from, empty if it has none.
        content_hash: of the scan that they come from.

    Raises:
        ValueError: latents and poses differ in number, or there are none.
    """

    def __init__(
        self, latents: torch.Tensor, poses: np.ndarray, view_distance: float, name: str = "", content_hash: str = ""
    ) -> None:
        if len(latents) != len(poses) or not len(poses):
            raise ValueError(f"latents: {len(latents)} for {len(poses)} poses; use one per pose and at least one")
        self.latents, self.name, self.content_hash = latents, name, content_hash
        self.poses = np.array(poses, dtype=np.float64)
        self.poses.flags.writeable = False
        self.index = ViewIndex(self.poses, view_distance)

    def __len__(self) -> int:
        return len(self.poses)

    @property
    def nbytes(self) -> int:
        """Bytes of the latents."""
        return self.latents.numel() * self.latents.element_size()

    def pieces(self, indices: Sequence[int]) -> list[torch.Tensor]:
        """Return the latents of views as tensors [1, C, h, w], without a copy."""
        return [self._single[index] for index in indices]

    @cached_property
    def _single(self) -> tuple[torch.Tensor, ...]:
        return self.latents.split(1)
