"""Scans fitted to a world: checked, in the world's frame size, with their views as latents."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

import numpy as np

from li_env.accel.view_bank import ViewBank
from li_env.accel.world import BaseWorld
from li_env.scans.encoded import encoded_views
from li_env.scans.scan import Scan, check_scale
from li_env.validation import shown

LEVEL_DEGREES = 5.0
"""Largest tilt of a view in worlds whose cameras are level."""

KEPT = 8
"""Scans of reset options that a cache holds; those of the environment's own arguments stay."""

_fitted: WeakKeyDictionary[BaseWorld, WeakValueDictionary[Any, FittedScan]] = WeakKeyDictionary()
"""Scans that were read from a path, as long as somebody holds them: environments of a process read them once."""

READERS = 8
"""Threads that read the scans of an environment."""


@dataclass(frozen=True, eq=False)
class FittedScan:
    """Scan as one world uses it.

    Attributes:
        scan: views of the world's frame size.
        bank: their latents.
        content_hash: of the scan before it was fitted, as its file has it; empty where there is none.
    """

    scan: Scan
    bank: ViewBank
    content_hash: str = ""


ScanSource = Scan | FittedScan | str | Path
"""A scan, the path of one, or one that another environment on the same world has fitted (`ScanCache.own`)."""


def fit_scan(world: BaseWorld, scan: Scan, name: str) -> FittedScan:
    """Check a scan for a world, and encode it.

    Args:
        world: the world.
        scan: views of any size.
        name: path of the scan, empty if it has none.

    Raises:
        ValueError: the world cannot encode frames or cannot use the views' shape, lengths of another unit, or views
            that are not level in a world of level cameras; names the scan.
    """
    fitted = usable_views(world, scan, name)
    with _named(name):
        return FittedScan(fitted, encoded_views(world, fitted, name), scan.content_hash)


def usable_views(world: BaseWorld, scan: Scan, name: str) -> Scan:
    """Return the views of a scan as the world's camera would have taken them, if the world can use them.

    Args:
        world: the world.
        scan: views of any size.
        name: path of the scan, empty if it has none.

    Raises:
        ValueError: as `fit_scan`, which encodes them, too.
    """
    spec = world.spec
    with _named(name):
        fitted = scan.fitted(spec.frame_size, spec.focal)
        check_scale(fitted, spec.view_distance)
        if not spec.motion.pitch and fitted.tilts.max() > LEVEL_DEGREES:
            view = int(fitted.tilts.argmax())
            raise ValueError(
                f"view {view} is tilted by {fitted.tilts[view]:.1f} degrees, and cameras of world {spec.name!r} are "
                f"level; allowed: at most {LEVEL_DEGREES:g} degrees"
            )
    return fitted


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Put the scan's name in front of what a ValueError says."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"scan={shown(name) if name else 'a Scan'}: {error}") from None


def known_scan(world: BaseWorld, path: Path) -> FittedScan | None:
    """Return the scan at a path if somebody in this process holds it and its files have not changed."""
    return _fitted.get(world, WeakValueDictionary()).get((str(path), _key(path)))


def read_scan(world: BaseWorld, path: Path, read: Scan | None = None) -> FittedScan:
    """Read and fit a scan, or return the one that somebody in this process holds.

    Args:
        world: the world.
        path: of the scan.
        read: what has been read there just now.

    Raises:
        ValueError: see `fit_scan`, or the scan cannot be read.
    """
    found = known_scan(world, path)
    if found is None:
        found = fit_scan(world, Scan.read(path) if read is None else read, str(path))
        _fitted.setdefault(world, WeakValueDictionary())[str(path), _key(path)] = found
    return found


class MapScans(Mapping[int, FittedScan]):
    """Scans by their maps: read where an episode needs one, the ones used last kept.

    Args:
        world: the world.
        paths: of the scans, by map.
        kept: most scans that stay in memory.
    """

    def __init__(self, world: BaseWorld, paths: Mapping[int, Path], kept: int = 32) -> None:
        self.world, self.paths, self.kept = world, dict(paths), kept
        self._held: OrderedDict[int, FittedScan] = OrderedDict()

    def __getitem__(self, map_seed: int) -> FittedScan:
        found = self._held.get(map_seed)
        if found is None:
            found = self._held[map_seed] = read_scan(self.world, self.paths[map_seed])
            while len(self._held) > self.kept:
                self._held.popitem(last=False)
        self._held.move_to_end(map_seed)
        return found

    def __iter__(self) -> Iterator[int]:
        return iter(self.paths)

    def __len__(self) -> int:
        return len(self.paths)


class ScanCache:
    """Cache of the scans that an environment's episodes take place in.

    Args:
        world: the world.
        own: scans of the environment's arguments, one of which every episode draws; they are fitted at once. Those that
            name their map are in ``by_map``.

    Raises:
        ValueError: see `fit_scan`.
    """

    def __init__(self, world: BaseWorld, own: Sequence[ScanSource] = ()) -> None:
        self._world = world
        self._kept: OrderedDict[Any, FittedScan] = OrderedDict()
        self.own = self._all_made(own)
        self.by_map: Mapping[int, FittedScan] = {
            each.scan.map_seed: each for each in self.own if each.scan.map_seed is not None
        }

    def choose(self, options: Mapping[str, Any], generator: np.random.Generator) -> FittedScan | None:
        """Return the scan that the reset options name, else one of the environment's own, drawn if there are several.

        Raises:
            ValueError: see `find`.
        """
        if "scan" in options:
            return None if options["scan"] is None else self.find(options["scan"])
        if not self.own:
            return None
        return self.own[int(generator.integers(len(self.own))) if len(self.own) > 1 else 0]

    def find(self, source: Any) -> FittedScan:
        """Return a scan given as reset option: fitted before, or now.

        Raises:
            ValueError: neither a scan nor the path of one, or see `fit_scan`.
        """
        if isinstance(source, FittedScan):
            return source
        key = _key(source)
        found = self._kept.get(key)
        if found is None:
            found = self._kept[key] = self._made(source)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return found

    def _all_made(self, sources: Sequence[Any]) -> tuple[FittedScan, ...]:
        """Fit scans, of which there may be hundreds: threads read ahead."""
        with ThreadPoolExecutor(READERS) as pool:
            read = pool.map(self._read, sources) if len(sources) > 1 else map(self._read, sources)
            return tuple(self._made(source, scan) for source, scan in zip(sources, read, strict=True))

    def _made(self, source: Any, read: Scan | None = None) -> FittedScan:
        if isinstance(source, FittedScan):
            return source
        if isinstance(source, Scan):
            return fit_scan(self._world, source, "")
        return read_scan(self._world, _path(source), read)

    def _read(self, source: Any) -> Scan | None:
        """Read a scan and compute its hash; ``None`` where there is nothing to read."""
        if isinstance(source, Scan | FittedScan) or known_scan(self._world, _path(source)) is not None:
            return None
        scan = Scan.read(_path(source))
        assert scan.content_hash  # computed here, in a thread
        return scan


def scan_sources(scan: ScanSource | None, scans: Sequence[ScanSource] | str | Path | None) -> Sequence[ScanSource]:
    """Return the scans that the arguments ``scan`` and ``scans`` of an environment name.

    Raises:
        ValueError: both, or neither a list of scans nor a folder with some.
    """
    if scans is None:
        return () if scan is None else (scan,)
    if scan is not None:
        raise ValueError("scan and scans exclude each other; allowed: one scan, or a list to draw from")
    if isinstance(scans, str | Path):
        folder = Path(scans)
        inside = sorted(folder.iterdir()) if folder.is_dir() else []
        found = [each for each in inside if each.suffix == ".npz" or (each / "transforms.json").is_file()]
        if not found:
            raise ValueError(
                f"scans={shown(str(scans))} is no folder with scans; allowed: a list of scans or of their paths, "
                "or a folder"
            )
        return found
    if not isinstance(scans, list | tuple) or not scans:
        raise ValueError(f"scans={shown(scans)} is not usable; allowed: a list of scans or of their paths, or a folder")
    return scans


def _path(source: Any) -> Path:
    if not isinstance(source, str | Path) or not str(source):
        raise ValueError(f"scan={type(source).__name__} is not usable; allowed: a Scan, or the path of a scan")
    return Path(source)


def _key(source: Any) -> Any:
    """Return what is equal for the same scan: the object, or a path with the times at which its files changed."""
    if isinstance(source, Scan):
        return source
    path = _path(source).absolute()
    try:
        files = [path, *sorted(path.iterdir())] if path.is_dir() else [path]
        return str(path), tuple((file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in files)
    except OSError:  # reading it says what is wrong
        return str(path), ()


def nearest_view(poses: np.ndarray, pose: np.ndarray) -> tuple[int, float]:
    """Return the view whose camera is nearest to ``pose`` [4, 4], and its distance.

    Of views at one position the view with the most similar direction counts.
    """
    distance = np.linalg.norm(poses[:, :3, 3] - pose[:3, 3], axis=-1)
    alike = poses[:, :3, 2] @ pose[:3, 2]
    best = int(np.lexsort((-alike, (distance / max(1e-9, float(distance.max()))).round(6)))[0])
    return best, float(distance[best])
