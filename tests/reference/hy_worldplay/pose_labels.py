"""Action labels of whole pose sequences, as the original computes them."""

from __future__ import annotations

import numpy as np

from li_env.accel.geometry.camera import inverse
from li_env.worlds.hy_worldplay.labels import step_label


def pose_labels(poses: np.ndarray) -> list[int]:
    """Labels of camera-to-world poses [n, 4, 4] in a row; the first has 0."""
    return [0, *(step_label(step) for step in inverse(poses[:-1]) @ poses[1:])]
