"""A scan: posed views of one place."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

import numpy as np

MAX_VIEWS = 4096
"""Most views of a scan."""


@dataclass(frozen=True, eq=False)
class Scan:
    """Posed views of one place.

    Attributes:
        images: [n, H, W, 3] uint8, RGB.
        poses: [n, 4, 4] float64 camera-to-world with OpenCV axes (x right, y down, z forward); lengths in the unit of
            the world that uses the scan (`WorldSpec.length_unit`).
        intrinsics: (fx, fy, cx, cy) in pixels, one for all views [4] or one per view [n, 4]; None for the world's own.

    Raises:
        ValueError: images and poses differ in number, more than `MAX_VIEWS` views, or poses that are not rigid.
    """

    images: np.ndarray
    poses: np.ndarray
    intrinsics: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.poses)

    @cached_property
    def content_hash(self) -> str:
        """The SHA-256 of everything in the scan."""
        digest = sha256()
        for array in (self.images, self.poses, self.intrinsics):
            if array is not None:
                digest.update(f"{array.dtype.str}{array.shape}".encode())
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()
