"""Video frames, latents and clips (docs/spec/matrix_game_3.md, section 2).

Frame 0 is latent 0; latent j >= 1 covers frames 4 j - 3 to 4 j and has the pose of frame 4 j. An episode begins with a
long clip; every later one repeats the last latents of the clip before it in front of its new ones.
"""

from __future__ import annotations

from dataclasses import dataclass

LATENT_FRAMES = 4
PAST_LATENTS = 4
"""Latents of the clip before that every later clip begins with."""

FIRST_CLIP_FRAMES = 57
CLIP_FRAMES = 40
"""Frames of the first clip and new frames of every later one, as the published model was trained."""


def latent_of(frame: int) -> int:
    """Return the latent that covers a video frame."""
    return 0 if frame == 0 else (frame - 1) // LATENT_FRAMES + 1


def pose_frame(latent: int) -> int:
    """Return the frame whose pose a latent has."""
    return LATENT_FRAMES * latent


@dataclass(frozen=True)
class Clip:
    """Frames and latents of one clip.

    Attributes:
        first_frame, end_frame: the frames [first, end) that the model sees as one sequence.
        first_latent, end_latent: their latents.
        known: latents at the front that are given: the start image, or the last ones of the clip before.
    """

    first_frame: int
    end_frame: int
    first_latent: int
    end_latent: int
    known: int

    @property
    def latents(self) -> int:
        """Latents of the sequence, the given ones included."""
        return self.end_latent - self.first_latent

    @property
    def frames(self) -> int:
        """Frames of the sequence, the given ones included."""
        return self.end_frame - self.first_frame


@dataclass(frozen=True)
class ClipSizes:
    """Frames per clip.

    Attributes:
        first: frames of the first clip, 4 n + 1.
        later: new frames of every later clip, 4 n; as many latents at least as the next clip begins with.

    Raises:
        ValueError: numbers of frames that the model cannot make.
    """

    first: int = FIRST_CLIP_FRAMES
    later: int = CLIP_FRAMES

    def __post_init__(self) -> None:
        least = LATENT_FRAMES * PAST_LATENTS
        for key, value, low, high, rest in (
            ("first_clip_frames", self.first, least + 1, FIRST_CLIP_FRAMES, 1),
            ("clip_frames", self.later, least, CLIP_FRAMES, 0),
        ):
            whole = isinstance(value, int) and not isinstance(value, bool)
            if not whole or not low <= value <= high or value % LATENT_FRAMES != rest:
                raise ValueError(
                    f"{key}={value!r} is not possible: the model makes {low}, {low + LATENT_FRAMES}, ... {high} frames"
                )

    @property
    def first_latents(self) -> int:
        """Latents of the first clip, the start image included."""
        return latent_of(self.first - 1) + 1

    @property
    def later_latents(self) -> int:
        """New latents of every later clip."""
        return self.later // LATENT_FRAMES

    def clip(self, number: int) -> Clip:
        """Return clip ``number`` of an episode, from 0."""
        if number == 0:
            return Clip(0, self.first, 0, self.first_latents, 1)
        end = self.first + self.later * number
        start = end - self.later - LATENT_FRAMES * PAST_LATENTS
        return Clip(start, end, latent_of(start), latent_of(end - 1) + 1, PAST_LATENTS)
