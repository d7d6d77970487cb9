"""NumPy arrays out of Arrow columns and into files of equal bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


def array_of(column: Any) -> np.ndarray:
    """Read a column of a table: [R] for scalars, [R, n] for lists of n numbers."""
    joined = column.combine_chunks()
    if hasattr(joined.type, "list_size"):
        return joined.flatten().to_numpy(zero_copy_only=False).reshape(len(joined), -1)
    return joined.to_numpy(zero_copy_only=False)


def save_arrays(path: Path, **arrays: np.ndarray) -> None:
    """Write an uncompressed ``.npz`` file; its dates are fixed, so that equal arrays make equal files."""
    with open(path, "wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
