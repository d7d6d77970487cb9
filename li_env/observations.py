"""Observed frames: their size, and colour or grey.

The same code formats arrays on the host and tensors on a device: sums of shifted pixels in float32, so that
neither the precision of matrix products nor autocast changes a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from li_env.validation import check_flag, check_whole, shown

MOST_PIXELS = 4096
"""Largest height or width of observed frames in pixels."""

MOST_VALUES = 2**24
"""Numbers in float32 that are worked on at a time: 64 MiB."""

_GREY = (0.299, 0.587, 0.114)
"""Weights of red, green and blue (ITU-R BT.601), those of OpenCV."""


class FrameFormat:
    """Size and colours of observed frames.

    A frame is resized by the mean over the area that each new pixel covers (OpenCV's ``INTER_AREA``), the picture being
    squeezed where the aspect ratio differs, and rounded. Grey is 0.299 red + 0.587 green + 0.114 blue of the resized
    frame, rounded.

    Args:
        world_size: (height, width) of the frames that the world makes.
        frame_size: (height, width) to show them in; ``None`` for the world's.
        grayscale: one channel of grey instead of red, green and blue.

    Attributes:
        size: (height, width) of observed frames.
        shape: (height, width, channels).

    Raises:
        ValueError: another value than two whole numbers from 1 to `MOST_PIXELS`, or something else than a bool.
    """

    def __init__(self, world_size: tuple[int, int], frame_size: Any = None, grayscale: Any = False) -> None:
        self.world_size = world_size
        self.grayscale = check_flag("grayscale", grayscale)
        self.size = world_size if frame_size is None else _checked_size(frame_size)
        self.shape = (*self.size, 1 if self.grayscale else 3)

    @property
    def unchanged(self) -> bool:
        """True if frames are observed as the world makes them."""
        return self.size == self.world_size and not self.grayscale

    def space(self, frames: int | None = None) -> spaces.Box:
        """Return the space of a frame, or of a number of them."""
        return spaces.Box(0, 255, self.shape if frames is None else (frames, *self.shape), np.uint8)

    def of(self, frames: Any) -> Any:
        """Format frames.

        Args:
            frames: uint8 [..., H, W, 3] of the world's size: an array, or a tensor on any device.

        Returns:
            uint8 [..., height, width, channels] of the same kind; ``frames`` themselves where nothing changes.
        """
        if self.unchanged:
            return frames
        if not isinstance(frames, torch.Tensor):
            return self.of(torch.from_numpy(np.array(frames))).numpy()  # a copy: PyTorch warns of locked arrays
        rows = frames.reshape(-1, *frames.shape[-3:])
        together = max(1, MOST_VALUES // rows[0].numel()) if len(rows) else 1
        parts = [self._formatted(part) for part in rows.split(together)]
        return torch.cat(parts).reshape(*frames.shape[:-3], *self.shape)

    def sensor_space(self, space: spaces.Space[Any]) -> spaces.Space[Any]:
        """Return the space of a sensor after `sensor`: a picture of the camera's size becomes one of this format."""
        return self.space() if self._is_picture(space) else space

    def sensors(self, spaces_: Mapping[str, spaces.Space[Any]], readings: Mapping[str, Any]) -> dict[str, Any]:
        """Format those sensors that are pictures of the camera's size; ``spaces_`` are those of the task."""
        return {
            key: self.of(reading) if self._is_picture(spaces_[key]) else reading for key, reading in readings.items()
        }

    def _is_picture(self, space: spaces.Space[Any]) -> bool:
        return isinstance(space, spaces.Box) and space.dtype == np.uint8 and space.shape[-3:] == (*self.world_size, 3)

    @torch.no_grad()
    def _formatted(self, frames: torch.Tensor) -> torch.Tensor:
        shown = frames
        if self.size != self.world_size:
            values = shown.float()
            for axis, count in ((-3, self.size[0]), (-2, self.size[1])):
                values = _resized(values, axis, count)
            shown = _rounded(values)
        if self.grayscale:
            red, green, blue = (weight * shown[..., index].float() for index, weight in enumerate(_GREY))
            shown = _rounded((red + green + blue)[..., None])
        return shown


def _checked_size(value: Any) -> tuple[int, int]:
    sizes = value.tolist() if isinstance(value, np.ndarray) else value
    if not isinstance(sizes, tuple | list) or len(sizes) != 2:
        raise ValueError(f"frame_size={shown(value)} is not allowed; use (height, width)")
    height, width = (int(size) if isinstance(size, np.integer) else size for size in sizes)
    return check_whole("frame_size[0]", height, 1, MOST_PIXELS), check_whole("frame_size[1]", width, 1, MOST_PIXELS)


@lru_cache(maxsize=32)
def _taps(old: int, new: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """List the pixels of a line of ``old`` that each of ``new`` pixels covers: (index [new], weight [new]) per tap.

    A weight is the share of the new pixel's length that lies on the old one; the last taps of some pixels are empty.
    """
    step = old / new
    starts = np.arange(new) * step
    ends = starts + step
    first = np.floor(starts + 1e-9).astype(np.int64)
    taps = []
    for offset in range(int(np.ceil(step)) + 1):
        index = first + offset
        weight = np.clip(np.minimum(ends, index + 1) - np.maximum(starts, index), 0, None) / step
        if (weight > 1e-9).any():
            taps.append((np.minimum(index, old - 1), weight.astype(np.float32)))
    return taps


def _resized(values: torch.Tensor, axis: int, count: int) -> torch.Tensor:
    if values.shape[axis] == count:
        return values
    total: torch.Tensor | None = None
    for index, weight in _taps(values.shape[axis], count):
        factors = torch.from_numpy(weight).to(values.device).reshape(-1, *[1] * (-1 - axis))
        part = values.index_select(axis, torch.from_numpy(index).to(values.device)) * factors
        total = part if total is None else total.add_(part)
    assert total is not None
    return total


def _rounded(values: torch.Tensor) -> torch.Tensor:
    return values.add(0.5).clamp(0, 255).to(torch.uint8)
