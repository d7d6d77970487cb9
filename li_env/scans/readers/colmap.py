"""COLMAP's text model: ``cameras.txt`` and ``images.txt``.

A line of ``images.txt`` holds ``IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME``, the transform from the world to the
camera; the line after it lists points and may be empty. Views come in the order of the file.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from li_env.accel.geometry.camera import inverse
from li_env.files import read_text
from li_env.scans.axes import other_cameras, upright
from li_env.scans.views import Lens, Views, check_count, load
from li_env.validation import shown

_FOLDERS = ("", "sparse/0", "sparse", "colmap/sparse/0", "colmap/text", "text", "0", "model")
_PICTURES = ("", "images", "../images", "../../images", "../../../images", "..", "../..")
_MOST = 2**29  # bytes; lines of points are long

# (places of fx, fy, cx, cy) and of k1, k2, p1, p2 among the parameters
_MODELS: dict[str, tuple[tuple[int, int, int, int], tuple[int, ...]]] = {
    "SIMPLE_PINHOLE": ((0, 0, 1, 2), ()),
    "PINHOLE": ((0, 1, 2, 3), ()),
    "SIMPLE_RADIAL": ((0, 0, 1, 2), (3,)),
    "RADIAL": ((0, 0, 1, 2), (3, 4)),
    "OPENCV": ((0, 1, 2, 3), (4, 5, 6, 7)),
}


def find(path: Path) -> Path | None:
    """Return the folder of a text model in or below a scan's folder."""
    for name in _FOLDERS:
        if all((path / name / file).is_file() for file in ("cameras.txt", "images.txt")):
            return path / name
    return None


def hint(path: Path) -> str:
    """Return what to do about a binary model, for a message."""
    if any((path / name / "images.bin").is_file() for name in _FOLDERS):
        return "; images.bin is COLMAP's binary model: colmap model_converter --output_type TXT writes text"
    return ""


def read(path: Path, model: Path, axes: str | None, every: int, turn_upright: bool) -> Views:
    """Read a model.

    Args:
        path: folder of the scan, in or below which the pictures lie.
        model: folder of the text files.
        axes: of the cameras, OpenCV by default.
        every: read the first of every ``every`` views.
        turn_upright: turn the world so that y points down.

    Raises:
        ValueError: a damaged file, a lens that is not supported, or a picture that is missing or unreadable.
    """
    cameras = _cameras(model / "cameras.txt")
    images = _images(model / "images.txt")
    check_count(len(images), every, "images.txt")
    images = images[::every]
    poses = inverse(np.stack([transform for _, transform, _ in images]))
    if axes == "opengl":
        poses = other_cameras(poses)
    if turn_upright:
        poses = upright(poses)
    for name, _, camera in images:
        if camera not in cameras:
            raise ValueError(f"images.txt: {name!r} has camera {camera}, cameras.txt has none of that number")
    used = [cameras[camera] for _, _, camera in images]
    one = len({camera for _, _, camera in images}) == 1
    pictures, intrinsics = load(_pictures(path, model, [name for name, _, _ in images]), used[0] if one else used)
    return Views(pictures, poses, intrinsics)


def _lines(file: Path) -> list[tuple[int, str]]:
    """Return the lines of a file with their numbers, without comments; empty lines are kept."""
    text = read_text(file, "scan", _MOST, "a file of COLMAP's text model")
    return [
        (number, line.strip())
        for number, line in enumerate(text.splitlines(), start=1)
        if not line.lstrip().startswith("#")
    ]


def _cameras(file: Path) -> dict[int, Lens]:
    """Read ``CAMERA_ID MODEL WIDTH HEIGHT PARAMS...`` of every camera."""
    cameras = {}
    for number, line in _lines(file):
        if not line:
            continue
        words = line.split()
        try:
            identity, model, width, height = int(words[0]), words[1], int(words[2]), int(words[3])
            values = [float(word) for word in words[4:]]
        except (ValueError, IndexError):
            raise ValueError(f"cameras.txt:{number}: no camera; allowed: ID MODEL WIDTH HEIGHT PARAMETERS") from None
        if model not in _MODELS:
            raise ValueError(
                f"cameras.txt:{number}: lens {shown(model)} is not supported; allowed: {', '.join(_MODELS)}; COLMAP's "
                "image_undistorter makes PINHOLE of others"
            )
        lens, bends = _MODELS[model]
        if len(values) != max((*lens, *bends)) + 1 or not np.isfinite(values).all() or min(width, height) < 1:
            raise ValueError(
                f"cameras.txt:{number}: {model} needs a size and {max((*lens, *bends)) + 1} finite numbers"
            )
        fx, fy, cx, cy = (values[place] for place in lens)
        if min(fx, fy) <= 0:
            raise ValueError(f"cameras.txt:{number}: a focal length of {min(fx, fy):g} is not allowed; use one above 0")
        bent = [values[place] for place in bends]
        distortion = (*bent, *[0.0] * (5 - len(bent)))
        cameras[identity] = Lens((fx, fy, cx, cy), (width, height), distortion)
    if not cameras:
        raise ValueError("cameras.txt holds no camera; allowed: a line per camera")
    return cameras


def _images(file: Path) -> list[tuple[str, np.ndarray, int]]:
    """Read name, world-to-camera transform [4, 4] and camera of every image."""
    images = []
    points = False  # the line after an image's lists its points
    for number, line in _lines(file):
        words = line.split()
        if points and (not words or _are_points(words)):
            points = False
            continue
        if not words:
            continue
        try:
            int(words[0])
            numbers = [float(word) for word in words[1:8]]
            camera, name = int(words[8]), line.split(maxsplit=9)[9]
        except (ValueError, IndexError):
            raise ValueError(f"images.txt:{number}: no image; allowed: ID QW QX QY QZ TX TY TZ CAMERA NAME") from None
        if not np.isfinite(numbers).all() or abs(np.linalg.norm(numbers[:4]) - 1) > 0.01:
            raise ValueError(
                f"images.txt:{number}: no unit quaternion and finite position; allowed: QW QX QY QZ TX TY TZ"
            )
        transform = np.eye(4)
        transform[:3, :3] = rotation_of(np.array(numbers[:4]))
        transform[:3, 3] = numbers[4:]
        images.append((name, transform, camera))
        points = True
    return images


def _are_points(words: list[str]) -> bool:
    """Tell whether words are ``X Y POINT3D_ID`` of points rather than the next image."""
    if len(words) % 3:
        return False
    try:
        _ = [float(word) for word in words]
    except ValueError:
        return False
    return True


def rotation_of(quaternion: np.ndarray) -> np.ndarray:
    """Return the rotation [3, 3] of a quaternion (w, x, y, z) of about unit length."""
    w, x, y, z = quaternion / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def _pictures(path: Path, model: Path, names: list[str]) -> list[Path]:
    """Return the files of pictures, from the first folder that holds the first of them."""
    roots = [path / "images", path, *(model / name for name in _PICTURES)]
    root = next((each for each in roots if (each / names[0]).is_file()), None)
    if root is None:
        raise ValueError(f"images.txt: picture {names[0]!r} is not there; looked in images/ of the scan and beside it")
    for name in names:
        if not (root / name).is_file():
            raise ValueError(f"images.txt: picture {name!r} is not there; allowed: one file per image")
    return [root / name for name in names]
