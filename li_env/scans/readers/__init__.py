"""Readers of scans, one module per format; `read_views` finds out which one a path needs."""

from __future__ import annotations

from pathlib import Path

from li_env.scans.readers import arrays, colmap, dataset, transforms, video
from li_env.scans.views import Views
from li_env.validation import check_choice, check_whole, shown

AXES = ("opencv", "opengl")

LOOKED_FOR = (
    "transforms.json (Nerfstudio, instant-ngp, li-env scan), cameras.txt and images.txt (COLMAP, also in sparse/0), "
    "a video with poses.npz, .csv or .json, a recorded dataset"
)


def read_views(path: Path, axes: str | None, every: int, episode: int | None, upright: bool) -> Views:
    """Read posed pictures; arguments and errors as `li_env.scans.scan.Scan.read`."""
    check_whole("every", every, 1)
    if axes is not None:
        check_choice("axes", axes, AXES)
    if episode is not None:
        check_whole("episode", episode)
    name = f"scan={shown(str(path))}"
    if not path.exists():
        raise ValueError(f"{name} does not exist; allowed: a folder or file of a scan")
    found = dataset.find(path)
    if found is not None:
        return dataset.read(path, found, axes, every, episode)
    if episode is not None:
        raise ValueError(f"episode={episode} is of use with a recorded dataset only; {name} is none")
    if path.is_file():
        if path.suffix == ".npz":
            return arrays.read(path, axes, every)
        if path.suffix == ".json":
            return transforms.read(path, axes, every, upright)
        if path.suffix.lower() in video.SUFFIXES:
            return video.read(path, axes, every)
        raise ValueError(f"{name} is no scan; allowed: a folder, .npz, transforms.json, or a video with poses")
    if (path / transforms.NAME).is_file():
        return transforms.read(path / transforms.NAME, axes, every, upright)
    model = colmap.find(path)
    if model is not None:
        return colmap.read(path, model, axes, every, upright)
    film = video.find(path)
    if film is not None:
        return video.read(film, axes, every)
    raise ValueError(f"{name} holds no poses; looked for: {LOOKED_FOR}{colmap.hint(path)}")


def map_of(path: Path) -> int | None:
    """Read which generated map a saved scan shows, without its pictures; ``None`` where the scan does not say it.

    Raises:
        ValueError: a damaged file.
    """
    if path.suffix == ".npz":
        return arrays.map_of(path)
    file = path / transforms.NAME
    return transforms.map_of(file) if file.is_file() else None
