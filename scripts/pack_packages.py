"""Pack Python packages into one archive for a machine that reaches no package index.

    python scripts/pack_packages.py gymnasium Farama-Notifications tyro --python 3.12 --out site.tar.xz
    python scripts/pack_packages.py vizdoom --without 'vizdoom/freedoom1.wad' 'vizdoom/scenarios/*' --out doom.tar.xz
    PYTHONPATH=. python scripts/pack_packages.py vizdoom --slim-game --without 'vizdoom/freedoom1.wad' --out doom.tar.xz

There, `mkdir -p site && tar xf site.tar.xz -C site && export PYTHONPATH=$PWD/site`. Versions are those of
constraints.txt. Needs of a package are not packed: name them too. A folder that ``--without`` empties stays.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
Change = Callable[[bytes], bytes]

GLIBC = (17, 24, 27, 28, 31, 34, 35)
"""Versions of glibc 2 whose wheels are looked for."""


def pinned(names: Sequence[str]) -> list[str]:
    """Return ``NAME==VERSION`` for each name, as constraints.txt has it.

    Raises:
        ValueError: constraints.txt lacks a name.
    """
    lines = [line.strip() for line in (ROOT / "constraints.txt").read_text().splitlines()]
    known = {plain(line.split("==")[0]): line for line in lines if "==" in line and not line.startswith("#")}
    for name in names:
        if plain(name) not in known:
            raise ValueError(f"package {name!r} is not in constraints.txt")
    return [known[plain(name)] for name in names]


def plain(name: str) -> str:
    """Return a package's name as indexes compare it."""
    return name.lower().replace("_", "-").replace(".", "-")


def download(wanted: Sequence[str], python: str, folder: Path, more: Sequence[str] = ()) -> list[Path]:
    """Download one wheel per package for Linux on x86-64; ``more`` are further words for pip."""
    platforms = [f"--platform=manylinux_2_{minor}_x86_64" for minor in GLIBC]
    platforms += ["--platform=manylinux2014_x86_64", "--platform=manylinux1_x86_64"]
    words = ["--no-deps", "--only-binary=:all:", f"--python-version={python}", "--implementation=cp", *platforms]
    command = [sys.executable, "-m", "pip", "download", "--quiet", *words, *more, f"--dest={folder}", *wanted]
    subprocess.run(command, check=True)
    return sorted(folder.glob("*.whl"))


def pack(wheels: Sequence[Path], without: Sequence[str], out: Path, changed: Mapping[str, Change] | None = None) -> int:
    """Write the content of wheels as a tar archive compressed with xz; return its size in bytes.

    Args:
        wheels: to unpack.
        without: patterns of files to leave out.
        out: the archive.
        changed: what makes the content that a file gets from its own, by its path.
    """
    with tempfile.TemporaryDirectory() as name:
        site = Path(name)
        for wheel in wheels:
            with zipfile.ZipFile(wheel) as archive:
                for entry in archive.infolist():
                    path = Path(archive.extract(entry, site))
                    # Unpacking leaves out the mode, and a package may hold programs: without theirs none starts.
                    if entry.external_attr >> 16 & 0o111 and path.is_file():
                        path.chmod(0o755)
        for file in [path for path in site.rglob("*") if path.is_file()]:
            if any(fnmatch(file.relative_to(site).as_posix(), pattern) for pattern in without):
                file.unlink()
        for path, change in (changed or {}).items():
            (site / path).write_bytes(change((site / path).read_bytes()))
        with tarfile.open(out, "w:xz") as archive:
            for path in sorted(site.iterdir()):
                archive.add(path, path.name)
    return out.stat().st_size


def main(argv: Sequence[str] | None = None) -> None:
    """Download, leave out, pack."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("packages", nargs="+", help="names in constraints.txt")
    parser.add_argument("--python", default="3.12", help="version there")
    parser.add_argument("--without", nargs="*", default=[], help="files to leave out, as patterns")
    parser.add_argument(
        "--slim-game", action="store_true", help="leave out what generated maps do not show (slim_game.py)"
    )
    parser.add_argument("--out", type=Path, required=True, help="archive to write, .tar.xz")
    parser.add_argument("--wheels", help="folder of wheels to take instead of asking the index")
    chosen = parser.parse_args(argv)
    try:
        wanted = pinned(chosen.packages)
    except ValueError as error:
        sys.exit(str(error))
    changed = {}
    if chosen.slim_game:
        from slim_game import WAD, slim_wad  # needs the package; the rest of this script does not

        changed[WAD] = slim_wad
    more = ["--no-index", f"--find-links={chosen.wheels}"] if chosen.wheels else []
    with tempfile.TemporaryDirectory() as folder:
        wheels = download(wanted, chosen.python, Path(folder), more)
        size = pack(wheels, chosen.without, chosen.out, changed)
    print(f"{chosen.out}: {len(wheels)} packages, {size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
