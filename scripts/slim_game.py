"""Unpack a wheel of ViZDoom without what generated maps do not need, for a machine that it must be carried to.

    pip download --no-deps --only-binary=:all: --python-version 3.12 vizdoom==1.3.2
    python scripts/slim_game.py vizdoom-1.3.2-cp312-*.whl .game          39 MB become 14
    (there) mkdir /tmp/game && tar -xJf .game/vizdoom.tar.xz -C /tmp/game && export PYTHONPATH=$PWD:/tmp/game

Frames of generated maps stay equal (tests/scripts/test_slim_game.py). Freedoom's own maps, music, sounds and the
surfaces outside `li_env.doom.textures` are left out: the part ``fidelity`` of `li-env evaluate world` needs the whole
wheel.
"""

from __future__ import annotations

import argparse
import io
import re
import struct
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from li_env.doom.textures import LANDMARKS, SKIES, WALLS

WAD = "vizdoom/freedoom2.wad"

_LEFT_OUT = re.compile(r"vizdoom/(freedoom1\.wad|gymnasium_wrapper/|.*\.pyi$)")
_MAP = re.compile(r"MAP\d\d")
_OF_MAPS = {"THINGS", "LINEDEFS", "SIDEDEFS", "VERTEXES", "SEGS", "SSECTORS", "NODES", "SECTORS", "REJECT", "BLOCKMAP"}
_ENTRY = struct.Struct("<ii8s")

Lump = tuple[str, bytes]
"""Name and content of a part of a WAD file."""


def lumps(wad: bytes) -> list[Lump]:
    """Read the parts of a WAD file in their order."""
    count, start = struct.unpack_from("<ii", wad, 4)
    entries = (_ENTRY.unpack_from(wad, start + _ENTRY.size * row) for row in range(count))
    return [(name.rstrip(b"\0").decode(), wad[offset : offset + size]) for offset, size, name in entries]


def slim_wad(wad: bytes) -> bytes:
    """Return an archive of Freedoom with what generated maps show; parts that are left out keep their names, empty."""
    parts = lumps(wad)
    known = dict(parts)
    wanted = {*_patches(known), *SKIES}
    data, table = io.BytesIO(), []
    section = ""
    for name, content in parts:
        section = name if name.endswith("_START") else "" if name.endswith("_END") else section
        surface = section in ("P_START", "P1_START", "P2_START", "P3_START")
        heard = name.startswith(("D_", "DS", "DP")) and not section
        if name in _OF_MAPS or _MAP.fullmatch(name) or heard or (surface and name not in wanted):
            content = b""
        table.append((12 + data.tell(), len(content), name))
        data.write(content)
    head = struct.pack("<4sii", b"IWAD", len(table), 12 + data.tell())
    entries = b"".join(_ENTRY.pack(offset, size, name.encode()) for offset, size, name in table)
    return head + data.getvalue() + entries


def _patches(known: dict[str, bytes]) -> Iterator[str]:
    """Name the pictures that the textures of generated maps are put together from."""
    listed = known["PNAMES"]
    names = [listed[4 + 8 * row : 12 + 8 * row].rstrip(b"\0").decode().upper() for row in range((len(listed) - 4) // 8)]
    wanted = {*WALLS, *LANDMARKS, *SKIES}
    textures = known["TEXTURE1"]
    (count,) = struct.unpack_from("<i", textures)
    for offset in struct.unpack_from(f"<{count}i", textures, 4):
        name = textures[offset : offset + 8].rstrip(b"\0").decode()
        if name not in wanted:
            continue
        (used,) = struct.unpack_from("<h", textures, offset + 20)
        for row in range(used):
            yield names[struct.unpack_from("<h", textures, offset + 22 + 10 * row + 4)[0]]


def pack(wheel: Path, folder: Path) -> Path:
    """Write ``vizdoom.tar.xz`` into ``folder`` and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "vizdoom.tar.xz"
    with zipfile.ZipFile(wheel) as there, tarfile.open(path, "w:xz", preset=9) as out:
        for item in there.infolist():
            if item.is_dir() or _LEFT_OUT.match(item.filename):
                continue
            content = there.read(item)
            content = slim_wad(content) if item.filename == WAD else content
            entry = tarfile.TarInfo(item.filename)
            entry.size, entry.mode = len(content), 0o755 if item.external_attr >> 16 & 0o111 else 0o644
            out.addfile(entry, io.BytesIO(content))
    return path


def main() -> None:
    """Pack and say how large it is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path, help="wheel of vizdoom, for the Python of the other machine")
    parser.add_argument("folder", type=Path, help="where vizdoom.tar.xz is written")
    given = parser.parse_args()
    path = pack(given.wheel, given.folder)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
