import re
import struct

import numpy as np
import pytest

from li_env.doom import textures
from li_env.doom.maps import generate_map, map_name, write_wad


def test_same_seed_same_map_and_other_seed_another():
    first, again, other = generate_map(3), generate_map(3), generate_map(4)
    assert first.udmf == again.udmf and first.sky == again.sky
    np.testing.assert_array_equal(first.segments, again.segments)
    assert first.udmf != other.udmf


@pytest.mark.parametrize("seed", range(8))
def test_text_is_consistent(seed):
    world = generate_map(seed)
    counts = {kind: len(re.findall(rf"^{kind}\{{", world.udmf, re.M)) for kind in ("vertex", "sidedef", "sector")}
    for key, kind in (("v1", "vertex"), ("v2", "vertex"), ("sidefront", "sidedef"), ("sideback", "sidedef")):
        used = [int(n) for n in re.findall(rf"{key}=(\d+)", world.udmf)]
        assert all(n < counts[kind] for n in used)
    assert all(int(n) < counts["sector"] for n in re.findall(r"[{;]sector=(\d+)", world.udmf))
    assert set(re.findall(r"heightfloor=(-?\d+)", world.udmf)) == {"0"}
    assert all(96 <= int(n) <= 192 for n in re.findall(r"heightceiling=(\d+)", world.udmf))
    names = set(re.findall(r'texture(?:middle|top)="([^"]+)"', world.udmf))
    assert names <= set(textures.WALLS + textures.LANDMARKS)
    flats = set(re.findall(r'texture(?:floor|ceiling)="([^"]+)"', world.udmf))
    assert flats <= {*textures.FLATS, *textures.CEILING_LIGHTS, "F_SKY1"}


@pytest.mark.parametrize("seed", range(8))
def test_one_sided_lines_are_the_walls(seed):
    world = generate_map(seed)
    points = [tuple(map(float, p)) for p in re.findall(r"vertex\{x=([-\d.]+);y=([-\d.]+);\}", world.udmf)]
    lines = re.findall(r"linedef\{v1=(\d+);v2=(\d+);sidefront=\d+;blocking=true", world.udmf)
    walls = {(*points[int(a)], *points[int(b)]) for a, b in lines}
    assert walls <= {tuple(segment) for segment in world.segments.tolist()}
    assert len(walls) >= 8


def test_most_of_a_map_is_reachable_and_families_occur():
    families = set()
    for seed in range(40):
        world = generate_map(seed)
        families.add(world.family)
        assert world.space.area > 150_000
    assert families == {"maze", "rooms", "hall", "cave"}


def test_wad_directory(tmp_path):
    worlds = [generate_map(1), generate_map(2)]
    path = tmp_path / "two.wad"
    write_wad(worlds, path)
    data = path.read_bytes()
    kind, count, where = struct.unpack("<4sii", data[:12])
    assert kind == b"PWAD" and list(tmp_path.iterdir()) == [path]
    entries = [struct.unpack_from("<ii8s", data, where + 16 * i) for i in range(count)]
    names = [name.rstrip(b"\0").decode() for _, _, name in entries]
    assert names == ["ZMAPINFO", map_name(0), "TEXTMAP", "ENDMAP", map_name(1), "TEXTMAP", "ENDMAP"]
    start, size, _ = entries[5]
    assert data[start : start + size].decode() == worlds[1].udmf
