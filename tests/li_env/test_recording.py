from __future__ import annotations

import cv2
import numpy as np
import pytest

from li_env.recording import contact_sheet, read_video, video_frames, write_png, write_video


def moving_bar(count: int, height: int = 96, width: int = 128) -> np.ndarray:
    frames = np.full((count, height, width, 3), 40, np.uint8)
    for index in range(count):
        frames[index, :, 8 * index : 8 * index + 16] = (200, 120, 60)
    return frames


def test_a_video_holds_the_frames_in_order_at_the_given_rate(tmp_path):
    import av

    frames = moving_bar(10)
    write_video(tmp_path / "new" / "video.mp4", frames, fps=8.75)
    read = read_video(tmp_path / "new" / "video.mp4")
    assert read.shape == frames.shape
    assert np.abs(read.astype(int) - frames).mean() < 4
    with av.open(str(tmp_path / "new" / "video.mp4")) as container:
        assert float(container.streams.video[0].average_rate) == pytest.approx(8.75)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["video.mp4"]


def test_a_damaged_video_is_named_with_its_frame(tmp_path):
    path = tmp_path / "video.mp4"
    write_video(path, moving_bar(10), fps=8)
    frames = video_frames(path)
    np.testing.assert_array_equal(next(frames), read_video(path)[0])
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(ValueError, match=r"video\.mp4: frame 0 cannot be decoded"):
        read_video(path)


def test_odd_sizes_are_padded(tmp_path):
    write_video(tmp_path / "video.mp4", moving_bar(3, 95, 127), fps=10)
    assert read_video(tmp_path / "video.mp4").shape == (3, 96, 128, 3)


@pytest.mark.parametrize(
    "frames", [np.zeros((0, 4, 4, 3), np.uint8), np.zeros((2, 4, 4, 3)), np.zeros((4, 4, 3), np.uint8)]
)
def test_other_arrays_are_refused_and_nothing_is_written(tmp_path, frames):
    with pytest.raises(ValueError, match=r"frames=.*; allowed: uint8 \[n > 0, height, width, 3\]"):
        write_video(tmp_path / "video.mp4", frames, fps=10)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf"), "8", None, True, 10**400])
def test_a_frame_rate_above_zero_is_needed(tmp_path, fps):
    with pytest.raises(ValueError, match="fps=.* is not allowed; use a number above 0 and at most 1000"):
        write_video(tmp_path / "video.mp4", moving_bar(1), fps=fps)
    assert list(tmp_path.iterdir()) == []


def test_png_is_lossless_rgb(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    write_png(tmp_path / "image.png", image)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "image.png"))[..., ::-1], image)


def test_the_contact_sheet_puts_frames_row_by_row():
    frames = np.stack([np.full((4, 6, 3), value, np.uint8) for value in (10, 20, 30, 40, 50)])
    sheet = contact_sheet(frames, columns=3, gap=2)
    assert sheet.shape == (2 * 6 + 2, 3 * 8 + 2, 3)
    for index, value in enumerate((10, 20, 30, 40, 50)):
        top, left = 2 + 6 * (index // 3), 2 + 8 * (index % 3)
        assert (sheet[top : top + 4, left : left + 6] == value).all()
    assert (sheet[8:12, 18:24] == 255).all(), "the missing sixth frame stays white"
    assert contact_sheet(frames[:2], columns=6).shape == (4 + 4, 2 * 8 + 2, 3), "no empty columns"
    with pytest.raises(ValueError, match="columns=0; allowed: 1 or more"):
        contact_sheet(frames, columns=0)
