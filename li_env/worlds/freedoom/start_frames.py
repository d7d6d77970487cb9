"""Start frames from held-out maps, shipped with the package as one PNG sheet and a JSON table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from li_env.files import read_json
from li_env.images import read_image
from li_env.validation import MOST_SEED, check_mapping, check_number, check_whole, shown, shown_path
from li_env.worlds.freedoom.sizes import SMALL

COLUMNS = 8


@dataclass(frozen=True, eq=False)
class StartFrames:
    """Frames and poses at which episodes may begin.

    Attributes:
        frames: uint8 [n, H, W, 3] RGB.
        map_seeds: [n] int64, seeds of the generated maps (all held out: see `doom.splits`).
        map_poses: [n, 3] float64, (x right, z forward in metres, yaw in degrees) of the camera in its map. Episodes
            themselves start at the identity pose.
    """

    frames: np.ndarray
    map_seeds: np.ndarray
    map_poses: np.ndarray

    @classmethod
    def load(cls, folder: Path, frame_size: tuple[int, int] = SMALL.frame_size) -> StartFrames:
        """Read frames of ``frame_size`` (H, W) from ``start_states.png`` and ``start_states.json`` in ``folder``.

        Raises:
            ValueError: a file is missing or damaged, or the two do not fit.
        """
        table_path, sheet_path = folder / "start_states.json", folder / "start_states.png"
        for path in (table_path, sheet_path):
            if not path.is_file():
                raise ValueError(f"start states: {shown_path(path)} is missing; expected beside the weights")
        rows = _rows(table_path)
        sheet = read_image(sheet_path)
        height, width = frame_size
        if sheet.shape[:2] != (height * -(-len(rows) // COLUMNS), width * COLUMNS):
            raise ValueError(
                f"start states: {shown_path(sheet_path)} does not hold {len(rows)} frames of {height}x{width}"
            )
        tiles = sheet.reshape(-1, height, COLUMNS, width, 3).transpose(0, 2, 1, 3, 4).reshape(-1, height, width, 3)
        return cls(
            frames=np.ascontiguousarray(tiles[: len(rows)]),
            map_seeds=np.array([row["map_seed"] for row in rows], dtype=np.int64),
            map_poses=np.array([row["pose"] for row in rows], dtype=np.float64),
        )


def _rows(path: Path) -> list[dict[str, Any]]:
    """Read the checked rows of the table."""
    rows = read_json(path, "start states")
    if not isinstance(rows, list) or not rows:
        raise ValueError(f"{shown_path(path)}: {shown(rows)} is not usable; allowed: a list of start states")
    for index, row in enumerate(rows):
        where = f"{shown_path(path)}: row {index}"
        pose = check_mapping(where, row).get("pose")
        check_whole(f"{where}: map_seed", row.get("map_seed"), 0, MOST_SEED)
        if not isinstance(pose, list) or len(pose) != 3:
            raise ValueError(f"{where}: pose={shown(pose)} is not allowed; use three numbers x, z, yaw")
        for number in pose:
            check_number(f"{where}: pose", number, -1e6, 1e6)
    return rows
