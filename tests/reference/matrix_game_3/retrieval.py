"""Retrieval of earlier frames exactly as the original decides (docs/spec/matrix_game_3.md, section 5).

For comparisons with the original only. Its sample points lie on the very border of the reference view, so that the
score of a view seen before is rounding noise around 0.8; the planner's rule (`li_env.accel.retrieval.slots`) has no
such border.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from li_env.worlds.matrix_game_3.time_axis import Clip, latent_of

REFERENCES = (1, 9, 17, 25, 33)
"""Frames before the end of a clip whose views look for a match, one memory slot each."""

FIRST_MEMORY = 4
"""The frame that always fills the last slot, whatever was found for it."""

NEAR, FAR = 0.1, 30.0
_WIDTH, _HEIGHT = 1280, 720  # the original's numbers, although its pictures are 704 high


@dataclass(frozen=True)
class OriginalMemory:
    """Result of the original's search for one clip.

    Attributes:
        found: the best frame for each reference, before the last one is replaced.
        scores: of these.
        references: the reference frames.
    """

    found: tuple[int, ...]
    scores: tuple[float, ...]
    references: tuple[int, ...]

    @property
    def frames(self) -> tuple[int, ...]:
        """The memory frames, the last one replaced."""
        return (*self.found[:-1], FIRST_MEMORY)

    @property
    def latents(self) -> tuple[int, ...]:
        """Latent of every memory frame."""
        return tuple(latent_of(frame) for frame in self.frames)


def original_memory(cameras: np.ndarray, clip: Clip) -> OriginalMemory:
    """Search all frames before a clip.

    Args:
        cameras: [frames, 4, 4] float64 from `kinematics.camera_to_world`, up to the end of the clip.
        clip: not the first one.
    """
    references = tuple(clip.end_frame - back for back in REFERENCES)
    found, scores = [], []
    for reference in references:
        seen = original_scores(cameras[reference], cameras[1 : clip.first_frame])
        best = int(seen.argmax())
        found.append(1 + best)
        scores.append(float(seen[best]))
    return OriginalMemory(tuple(found), tuple(scores), references)


def original_scores(reference: np.ndarray, candidates: np.ndarray) -> torch.Tensor:
    """Share of 1000 sample points of the ``reference`` view [4, 4] that each candidate [n, 4, 4] sees: [n].

    In float32 and in the original's order of operations, on which the result depends.
    """
    side, depth = torch.linspace(-1, 1, 10), torch.linspace(NEAR, FAR, 10)
    u, v, z = (axis.reshape(-1) for axis in torch.meshgrid(side, side, depth, indexing="ij"))
    pose = torch.from_numpy(np.asarray(reference)).float()
    views = torch.from_numpy(np.asarray(candidates)).float()
    world = pose[:3, :3] @ torch.stack((u * z, v * z, z)) + pose[:3, 3:]
    turned = views[:, :3, :3].transpose(1, 2)
    camera = torch.bmm(turned, world.expand(len(views), -1, -1)) + -torch.bmm(turned, views[:, :3, 3:])
    x, y, z = camera.unbind(dim=1)
    column = _WIDTH / 2 * x / z.clamp(min=1e-6) + _WIDTH / 2
    row = _HEIGHT / 2 * y / z.clamp(min=1e-6) + _HEIGHT / 2
    seen = (z > NEAR) & (z < FAR) & (column >= 0) & (column <= _WIDTH) & (row >= 0) & (row <= _HEIGHT)
    return seen.float().mean(dim=1)
