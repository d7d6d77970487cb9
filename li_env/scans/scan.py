"""A scan: posed views of one place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Literal

import numpy as np

from li_env.scans.checks import check_distances, check_images, check_intrinsics, check_poses
from li_env.scans.lens import fit_views
from li_env.scans.readers import read_views
from li_env.scans.writing import write_views
from li_env.validation import MOST_SEED, check_number, check_whole

FARTHEST = 100.0
"""View distance of a scan whose world is not known, in length units: no world shows more."""


@dataclass(frozen=True, eq=False)
class Scan:
    """Posed views of one place.

    Attributes:
        images: [n, H, W, 3] uint8, RGB; n from 1 to 4,096.
        poses: [n, 4, 4] float64 camera-to-world with OpenCV axes (x right, y down, z forward) in a world whose y points
            down; lengths in the unit of the world that uses the scan (`WorldSpec.length_unit`).
        intrinsics: (fx, fy, cx, cy) in pixels, one for all views [4] or one per view [n, 4], (0, 0) being a pixel's
            corner; None for the world's own lens.
        map_seed: seed of the generated map that the views show, where it is known.

    Raises:
        ValueError: images and poses differ in number, no view or more than 4,096, poses that are not rigid or have
            other axes, or spots so far from each other that no two views overlap; names the likely cause.
    """

    images: np.ndarray
    poses: np.ndarray
    intrinsics: np.ndarray | None = None
    map_seed: int | None = None

    def __post_init__(self) -> None:
        images, poses = check_images(self.images), check_poses(self.poses)
        if len(images) != len(poses):
            raise ValueError(f"images and poses differ: {len(images)} images, {len(poses)} poses; one each is needed")
        object.__setattr__(self, "poses", poses)
        object.__setattr__(self, "intrinsics", check_intrinsics(self.intrinsics, len(images)))
        if self.map_seed is not None:
            object.__setattr__(self, "map_seed", check_whole("map_seed", self.map_seed, 0, MOST_SEED))
        check_distances(poses, FARTHEST)

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
        if self.map_seed is not None:
            digest.update(f"map {self.map_seed}".encode())
        return digest.hexdigest()

    @classmethod
    def read(
        cls,
        path: str | Path,
        *,
        scale: float = 1.0,
        axes: Literal["opencv", "opengl"] | None = None,
        every: int = 1,
        episode: int | None = None,
        upright: bool = True,
    ) -> Scan:
        """Read a scan: what `save` wrote, or Nerfstudio, COLMAP, a video with poses, a recorded rollout or dataset.

        See docs/scans.md for the files of each format. Distorted pictures are undistorted.

        Args:
            path: folder or file.
            scale: factor of all lengths, from the file's unit to the world's.
            axes: of the cameras, ``opencv`` (x right, y down, z forward) or ``opengl`` (x right, y up, z backward);
                by default those of the format: OpenGL for ``transforms.json``, else OpenCV.
            every: read the first of every ``every`` views.
            episode: the episode to read of a recorded dataset; by default all, which must show one map.
            upright: turn the axes of Nerfstudio's and COLMAP's worlds, whose up axis differs from file to file, so
                that y points down. The turn is a multiple of 90 degrees.

        Raises:
            ValueError: nothing to read, a damaged file, an unreadable image, or what the class refuses; names it.
            MissingExtraError: a dataset needs the extra ``data``.
        """
        check_number("scale", scale, 0, 1e9, above=True)
        views = read_views(Path(path), axes, every, episode, upright)
        poses = views.poses
        if scale != 1.0:
            poses = poses.copy()
            poses[:, :3, 3] *= scale
        return cls(np.asarray(views.images), poses, views.intrinsics, views.map_seed)

    def save(self, path: str | Path) -> None:
        """Write the scan: a folder with ``transforms.json`` and PNG images, or one file if ``path`` ends in ``.npz``.

        `read` gives an equal scan. It appears whole or not at all.

        Args:
            path: folder, new or empty; or file, which is replaced.

        Raises:
            ValueError: the folder is not empty, or the path cannot be written to.
        """
        write_views(Path(path), self.images, self.poses, self.intrinsics, self.map_seed)

    def fitted(self, frame_size: tuple[int, int], focal: tuple[float, float]) -> Scan:
        """Return the scan as another camera would have taken it: resized, cropped and centred.

        Without intrinsics the views have the world's lens already and are only resized.

        Args:
            frame_size: (height, width) of the world's frames in pixels.
            focal: (fx / width, fy / height) of the world.

        Raises:
            ValueError: the views show much less than the world's lens, or have another shape.
        """
        images, intrinsics = fit_views(self.images, self.intrinsics, frame_size, focal)
        return self if images is self.images else replace(self, images=images, intrinsics=intrinsics)

    @property
    def tilts(self) -> np.ndarray:
        """Degrees [n] by which each view is not level: the angle between its down axis and the world's."""
        down = self.poses[:, :3, 1]
        return np.degrees(np.arctan2(np.hypot(down[:, 0], down[:, 2]), down[:, 1]))


def check_scale(scan: Scan, view_distance: float) -> None:
    """Refuse a scan whose unit of length is not the world's.

    Args:
        scan: to check.
        view_distance: of the world (`WorldSpec.view_distance`), in its unit of length.

    Raises:
        ValueError: the spots of the scan are too far from each other for views to overlap.
    """
    check_distances(scan.poses, view_distance)
