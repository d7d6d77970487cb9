"""Rows of one episode as they are written, without what plays it: an encoding process needs no more."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Column:
    """A column of the rows.

    Attributes:
        dtype: as NumPy and LeRobot name it.
        names: of the numbers of a vector; ``None`` for a scalar.
    """

    dtype: str
    names: tuple[str, ...] | None = None

    @property
    def size(self) -> int:
        """Numbers per row."""
        return 1 if self.names is None else len(self.names)


@dataclass(frozen=True, eq=False)
class EpisodeRows:
    """An episode as it is written.

    Attributes:
        number: of the episode.
        task: instruction.
        frames: uint8 [F, H, W, 3]: every frame of the episode, once and in order.
        poses: float64 [F, 4, 4], camera-to-world.
        rows: column -> [R] or [R, n]; R is F - 1, and one more where the episode ends by ``stop``.
        actions: float32 [n, k], per step.
        rewards: float64 [n], per step.
        ends: int64 [n + 1]: index of the last frame of every state.
        sensors: sensor -> [n + 1, ...], per state.
        infos: `INFOS` of the ``n + 1`` states.
        goal: uint8 [H, W, 3]: the picture of the goal; ``None`` for a task without one.
        record: numbers that describe the episode, for JSON.
    """

    number: int
    task: str
    frames: np.ndarray
    poses: np.ndarray
    rows: dict[str, np.ndarray]
    actions: np.ndarray
    rewards: np.ndarray
    ends: np.ndarray
    sensors: dict[str, np.ndarray]
    infos: list[dict[str, Any]]
    goal: np.ndarray | None
    record: dict[str, Any]

    @property
    def count(self) -> int:
        """Number of rows."""
        return len(self.rows["action"])


@dataclass(frozen=True)
class SharedFrames:
    """Frames of an episode in memory that another process may read for as long as their owner keeps them.

    Attributes:
        path: of the memory, for a process of the same user.
        offset: of the first frame, in bytes.
        shape: of the frames.
    """

    path: str
    offset: int
    shape: tuple[int, ...]

    def joined(self, rows: EpisodeRows) -> EpisodeRows:
        """Return the rows with these frames, which must not be changed.

        Raises:
            OSError: the memory is not there any more.
        """
        frames = np.memmap(self.path, np.uint8, "r", self.offset, self.shape)
        return replace(rows, frames=np.asarray(frames))


INFOS = ("episode_seed", "new_frames", "blocked", "regime", "denoising_steps", "chunk", "degenerated", "pose")
"""Keys of an environment's info that are stored."""


def checked_record(rows: EpisodeRows) -> dict[str, Any]:
    """Return the description of an episode with the checksums of its frames and rows."""
    checks = {
        "frames_sha256": hashlib.sha256(rows.frames.data).hexdigest(),
        "row_checks": row_checks(rows.rows, rows.goal),
    }
    return {**rows.record, **checks}


def row_checks(rows: dict[str, np.ndarray], goal: np.ndarray | None = None) -> str:
    """Return the checksums (CRC-32, eight hexadecimal digits) of all rows, joined; the goal's picture is in each."""
    seed = 0 if goal is None else zlib.crc32(goal.tobytes())
    parts = [np.ascontiguousarray(rows[name]).reshape(len(rows[name]), -1).view(np.uint8) for name in sorted(rows)]
    return "".join(f"{zlib.crc32(row.tobytes(), seed):08x}" for row in np.concatenate(parts, 1))
