"""Frames, latents and clips, as in the table of docs/spec/matrix_game_3.md, section 2."""

from __future__ import annotations

import pytest

from li_env.worlds.matrix_game_3.time_axis import Clip, ClipSizes, latent_of, pose_frame


def test_clips_of_the_published_model() -> None:
    sizes = ClipSizes()
    assert sizes.clip(0) == Clip(0, 57, 0, 15, 1)
    assert sizes.clip(1) == Clip(41, 97, 11, 25, 4)
    for number in range(1, 300):
        clip, before = sizes.clip(number), sizes.clip(number - 1)
        assert clip.first_latent == 1 + 10 * number and clip.end_latent == 15 + 10 * number
        assert clip.first_latent == before.end_latent - clip.known
        assert (clip.frames, clip.latents) == (56, 14)


def test_frames_and_latents() -> None:
    assert [latent_of(frame) for frame in (0, 1, 4, 5, 8, 9)] == [0, 1, 1, 2, 2, 3]
    assert all(latent_of(pose_frame(latent)) == latent for latent in range(50))


@pytest.mark.parametrize("value", [38, 41, 0, 12, 44, 16.0, True, -4])
def test_frames_that_cannot_be_made(value: object) -> None:
    with pytest.raises(
        ValueError, match=f"clip_frames={value!r} is not possible: the model makes 16, 20, ... 40 frames"
    ):
        ClipSizes(later=value)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [56, 61, 13, 57.0])
def test_first_frames_that_cannot_be_made(value: object) -> None:
    with pytest.raises(
        ValueError, match=f"first_clip_frames={value!r} is not possible: the model makes 17, 21, ... 57"
    ):
        ClipSizes(first=value)  # type: ignore[arg-type]


def test_shorter_clips() -> None:
    sizes = ClipSizes(first=25, later=16)
    assert (sizes.first_latents, sizes.later_latents) == (7, 4)
    assert sizes.clip(0) == Clip(0, 25, 0, 7, 1)
    assert sizes.clip(1) == Clip(9, 41, 3, 11, 4)
