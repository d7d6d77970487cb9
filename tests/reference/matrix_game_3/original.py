"""The original's rollout, quirks included: order of operations, poses, memory and, optionally, the release's shortcuts.

For comparisons. The environment goes through the engine instead, where the planner decides and the quirks that do no
good are mended: a world of any length, headings across 180 degrees, views from one place, robust view scores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from li_env.accel.plan import AttentionPlan
from li_env.worlds.matrix_game_3.camera_map import camera_values, clip_poses, memory_pose
from li_env.worlds.matrix_game_3.clip import generate_clip
from li_env.worlds.matrix_game_3.kinematics import KEYS, MOUSE, camera_to_world, follow_rows
from li_env.worlds.matrix_game_3.layout import TILE_SHAPE, ClipShape, TokenLayout, token_layout
from li_env.worlds.matrix_game_3.model import PATCH, ClipConditions, MatrixGame3Model
from li_env.worlds.matrix_game_3.sampler import noise_levels, sample, timestep_of
from li_env.worlds.matrix_game_3.time_axis import Clip, ClipSizes, latent_of, pose_frame
from tests.reference.matrix_game_3.retrieval import OriginalMemory, original_memory

STEPS = 3
MOUSE_TOKENS = {"i": (MOUSE, 0.0), "k": (-MOUSE, 0.0), "j": (0.0, -MOUSE), "l": (0.0, MOUSE), "u": (0.0, 0.0)}
"""Mouse row of the original's camera keys: up, down, left, right, none."""

KEY_TOKENS = {"w": 0, "s": 1, "a": 2, "d": 3, "q": None}
"""Column of the original's movement keys; q is none."""


def rows_of(mouse: str, key: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Mouse and keyboard rows [count, 2] and [count, 6] float32 of two of the original's keys, held."""
    keyboard = np.zeros((count, len(KEYS)), dtype=np.float32)
    if KEY_TOKENS[key] is not None:
        keyboard[:, KEY_TOKENS[key]] = 1
    return np.tile(np.array(MOUSE_TOKENS[mouse], dtype=np.float32), (count, 1)), keyboard


@dataclass(frozen=True)
class ReleaseGate:
    """The shortcuts of the Light Interaction release (docs/spec/matrix_game_3.md, section 12.1).

    Attributes:
        prune: memory slots whose score stays below ``threshold`` are left out, but for the last one.
        shorten: the middle step is left out where every score reaches ``threshold``.
        threshold: 0.45 in the release.
    """

    prune: bool = False
    shorten: bool = False
    threshold: float = 0.45

    def kept(self, memory: OriginalMemory) -> list[int]:
        """Slots that stay. The score of the last one is that of the frame it had before it was replaced."""
        last = len(memory.frames) - 1
        return [slot for slot in range(last + 1) if slot == last or not self.prune or self._passes(memory.scores[slot])]

    def sigmas(self, memory: OriginalMemory | None) -> tuple[float, ...]:
        """Noise levels of a clip."""
        levels = noise_levels(STEPS)
        short = self.shorten and memory is not None and all(self._passes(score) for score in memory.scores)
        return (levels[0], *levels[-2:]) if short else levels

    def _passes(self, score: float) -> bool:
        return score >= self.threshold


Velocity = Callable[[torch.Tensor, float, ClipConditions, TokenLayout], torch.Tensor]
"""Model call on latents [1, T, C, h, w] at a timestep; its result ends with the velocity of the new latents."""


@dataclass(frozen=True, eq=False)
class OriginalClip:
    """A finished clip: new latents [n, C, h, w] (the image's in front in the first clip), and how it was made."""

    latents: torch.Tensor
    clip: Clip
    memory: OriginalMemory | None
    memory_latents: tuple[int, ...]
    sigmas: tuple[float, ...]
    mouse: np.ndarray
    keyboard: np.ndarray
    camera: torch.Tensor


class OriginalRollout:
    """One episode as the original makes it, clip by clip.

    Args:
        model: the transformer, on the CPU.
        image: [C, h, w], latent of the start image.
        text: [n, text_dim] text states.
        seed: of the noise.
        gate: the release's shortcuts.
        velocity: another model call than ours.
    """

    def __init__(
        self,
        model: MatrixGame3Model,
        image: torch.Tensor,
        text: torch.Tensor,
        seed: int,
        gate: ReleaseGate | None = None,
        velocity: Velocity | None = None,
    ) -> None:
        self._model, self._gate, self._velocity = model, gate or ReleaseGate(), velocity
        self._text = model.embed_text(text[None])
        self._generator = torch.Generator().manual_seed(seed)
        self._latents = image[None]
        self._mouse, self._keyboard = np.zeros((0, 2), np.float32), np.zeros((0, len(KEYS)), np.float32)
        self._poses, self._next = np.zeros((0, 5)), np.zeros(5)
        self._clips = 0

    def step(self, mouse: np.ndarray, keyboard: np.ndarray) -> OriginalClip:
        """Generate the next clip.

        Args:
            mouse, keyboard: rows of its new frames, [57 or 40, 2] and [57 or 40, 6].
        """
        clip = ClipSizes().clip(self._clips)
        self._walk(mouse, keyboard)
        cameras = camera_to_world(self._poses)
        memory = original_memory(cameras, clip) if self._clips else None
        slots = self._gate.kept(memory) if memory is not None else []
        latents, poses = self._views(clip, cameras, memory, slots)
        height, width = self._latents.shape[-2:]
        grid = height // PATCH, width // PATCH
        camera = camera_values(poses, grid, torch.device("cpu"))
        frames = slice(clip.first_frame, clip.end_frame)
        rows = self._mouse[frames], self._keyboard[frames]
        conditions = ClipConditions(
            torch.tensor([[*latents, *range(clip.first_latent, clip.end_latent)]]),
            camera,
            torch.arange(len(camera))[None],
            torch.from_numpy(rows[0])[None],
            torch.from_numpy(rows[1])[None],
            self._text,
        )
        noise = torch.randn((1, self._latents.shape[1], clip.latents, height, width), generator=self._generator)
        known = torch.cat((self._latents[latents], self._latents[-clip.known :]))[None]
        shape = ClipShape(grid, len(latents), clip.known, clip.latents - clip.known)
        layout = token_layout(
            shape, shape.memory + shape.given, AttentionPlan(), TILE_SHAPE, 1, torch.device("cpu")
        )  # fmt: skip
        sigmas = self._gate.sigmas(memory)
        start = noise[:, :, clip.known :].transpose(1, 2)
        if self._velocity is None:
            new = generate_clip(self._model, conditions, layout, known, start, sigmas)[0]
        else:
            call = self._velocity
            new = sample(
                lambda x, sigma: call(
                    torch.cat((known, x), dim=1), timestep_of(sigma, x.dtype), conditions, layout
                )[:, -x.shape[1] :],
                start,
                sigmas,
            )[0]  # fmt: skip
        self._latents = torch.cat((self._latents, new))
        made = new if self._clips else self._latents
        self._clips += 1
        return OriginalClip(made, clip, memory, tuple(latents), sigmas, *rows, camera)

    def _walk(self, mouse: np.ndarray, keyboard: np.ndarray) -> None:
        poses, self._next = follow_rows(self._next, mouse, keyboard, original=True)
        self._poses = np.concatenate((self._poses, poses))
        self._mouse = np.concatenate((self._mouse, mouse))
        self._keyboard = np.concatenate((self._keyboard, keyboard))

    def _views(
        self, clip: Clip, cameras: np.ndarray, memory: OriginalMemory | None, slots: Sequence[int]
    ) -> tuple[list[int], np.ndarray]:
        """Memory latents, and relative poses [T, 4, 4] of the whole sequence."""
        latents = range(clip.first_latent, clip.end_latent)
        own = clip_poses(cameras[[pose_frame(latent) for latent in latents]], original=True)
        if memory is None:
            return [], own
        found = [latent_of(memory.frames[slot]) for slot in slots]
        seen = [
            memory_pose(cameras[pose_frame(latent)], cameras[memory.references[slot]], original=True)
            for latent, slot in zip(found, slots, strict=True)
        ]
        return found, np.concatenate((np.stack(seen), own))
