"""Videos, contact sheets and pictures, written under a temporary name and then renamed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from li_env.files import atomic_write
from li_env.validation import check_number, shortened, shown_path


def _check_frames(frames: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    stacked = np.asarray(frames)
    if stacked.dtype != np.uint8 or stacked.ndim != 4 or stacked.shape[-1] != 3 or len(stacked) == 0:
        raise ValueError(f"frames={stacked.dtype} {list(stacked.shape)}; allowed: uint8 [n > 0, height, width, 3], RGB")
    return stacked


def write_video(path: str | Path, frames: Sequence[np.ndarray] | np.ndarray, fps: float) -> None:
    """Write an MP4 file (H.264 where PyAV has the encoder, else MPEG-4).

    Args:
        path: target; its folder is made if needed.
        frames: uint8 [n, H, W, 3], RGB. An odd height or width is padded by repeating the last row or column, which
            the encoders' halved colour planes ask for.
        fps: frames per second, above 0.

    Raises:
        ValueError: other frames or frame rate.
    """
    stacked = _check_frames(frames)
    check_number("fps", fps, 0, 1000, above=True)
    height, width = stacked.shape[1:3]
    stacked = np.pad(stacked, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    h264 = "libx264" in av.codecs_available
    rate = Fraction(fps).limit_denominator(1000)
    with _written(path) as container:
        stream = container.add_stream("libx264" if h264 else "mpeg4", rate=rate)
        stream.height, stream.width = stacked.shape[1:3]
        stream.pix_fmt = "yuv420p"
        if h264:
            stream.options = {"crf": "16"}
        else:
            stream.bit_rate = 8_000_000
        for frame in stacked:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode())


@contextmanager
def _written(path: str | Path) -> Iterator[av.container.OutputContainer]:
    """Open a container that becomes the file ``path`` if the block succeeds."""
    with atomic_write(path) as temporary:
        try:
            with av.open(str(temporary), "w", format="mp4") as container:
                yield container
        except av.FFmpegError as error:
            if isinstance(error, OSError):
                raise
            raise OSError(f"{shown_path(path)} cannot be written: {shortened(error)}") from None


def read_video(path: str | Path) -> np.ndarray:
    """Read all frames of a video file: uint8 [n, H, W, 3], RGB. Errors as `video_frames`."""
    return np.stack(list(video_frames(path)))


def video_frames(path: str | Path) -> Iterator[np.ndarray]:
    """Yield the frames of a video one by one, uint8 [H, W, 3], turned as the file says that they are shown.

    Raises:
        ValueError: a damaged file; names file and frame.
    """
    index = 0
    try:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                image = frame.to_ndarray(format="rgb24")
                quarters = frame.rotation // 90 % 4  # phones store upright films lying on their side
                yield np.ascontiguousarray(np.rot90(image, quarters)) if quarters else image
                index += 1
    except (av.FFmpegError, IndexError) as error:
        raise ValueError(f"{shown_path(path)}: frame {index} cannot be decoded: {shortened(error)}") from None


def write_png(path: str | Path, image: np.ndarray) -> None:
    """Write uint8 [H, W, 3], RGB, as PNG."""
    data = encode_png(image)
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)


def encode_png(image: np.ndarray) -> bytes:
    """Return the bytes of a PNG file that shows uint8 [H, W, 3], RGB."""
    _check_frames(image[None])
    encoded: bytes = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()
    return encoded


def contact_sheet(frames: Sequence[np.ndarray] | np.ndarray, columns: int, gap: int = 2) -> np.ndarray:
    """Lay frames side by side, row by row, on white: uint8 [rows * (H + gap) + gap, columns * (W + gap) + gap, 3].

    Args:
        frames: uint8 [n, H, W, 3].
        columns: frames per row, at least 1.
        gap: white pixels between and around frames.
    """
    stacked = _check_frames(frames)
    if columns < 1:
        raise ValueError(f"columns={columns}; allowed: 1 or more")
    count, height, width = stacked.shape[:3]
    columns = min(columns, count)
    rows = -(-count // columns)
    sheet = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, 3), 255, dtype=np.uint8)
    for index, frame in enumerate(stacked):
        top = gap + index // columns * (height + gap)
        left = gap + index % columns * (width + gap)
        sheet[top : top + height, left : left + width] = frame
    return sheet
