"""Archive of Freedoom with nothing but what generated maps show, for `pack_packages.py --slim-game`.

Frames of generated maps stay equal (tests/scripts/test_slim_game.py). Freedoom's own maps, music, sounds and the
surfaces outside `li_env.doom.textures` are left out: the part ``fidelity`` of `li-env evaluate world` needs the whole
archive.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator

from li_env.doom.textures import LANDMARKS, SKIES, WALLS

WAD = "vizdoom/freedoom2.wad"

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
