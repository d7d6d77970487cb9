"""A test world whose frames are numbered, with first chunks and frames per latent of any number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from li_env.accel.world import StartViews
from li_env.accel.world_spec import WorldSpec
from tests.analytic_world import SPEC, AnalyticWorld

SHAPES = {"freedoom": (4, 4, 1), "hy_worldplay": (4, 4, 4), "matrix_game_3": (15, 10, 4), "start alone": (1, 2, 4)}
"""Latents of the first chunk and of later ones, frames per latent."""

DECODED_START = 200
"""The start frame as the world makes it again: another picture than the one that was given."""


def film_spec(first: int, later: int, frames: int) -> WorldSpec:
    """Return the analytic world's constants with other chunks."""
    return replace(
        SPEC, name="film", first_chunk_latents=first, chunk_latents=later, latent_frames=frames,
        frame_size=(12, 16), fps=8.0,
    )  # fmt: skip


class FilmWorld(AnalyticWorld):
    """Frame n of an episode is grey n everywhere; only the start frame, given by the user, is not made here."""

    def __init__(self, first: int, later: int, frames: int) -> None:
        super().__init__(spec=film_spec(first, later, frames))
        self.start_views = StartViews(np.zeros((1, 12, 16, 3), np.uint8))

    def decode(
        self, latents: Sequence[torch.Tensor], streams: Sequence[int | None]
    ) -> tuple[list[np.ndarray], list[int | None]]:
        """Decode with the number of the coming frame as the stream."""
        frames, following = [], []
        for chunk, stream in zip(latents, streams, strict=True):
            count, begin = len(chunk) * self.spec.latent_frames, stream or 0
            numbers = np.arange(begin, begin + count)
            if stream is None:  # the first latent is one frame
                numbers = np.array([DECODED_START, *range(1, count - self.spec.latent_frames + 1)])
            frames.append(np.tile(numbers.astype(np.uint8)[:, None, None, None], (1, 12, 16, 3)))
            following.append(len(numbers) + begin)
        return frames, following
