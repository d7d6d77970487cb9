import struct

import pytest

from li_env.doom import textures


def test_no_name_twice_and_landmarks_are_not_walls():
    for names in (textures.WALLS, textures.LANDMARKS, textures.FLATS, textures.CEILING_LIGHTS):
        assert len(set(names)) == len(names)
    assert not set(textures.WALLS) & set(textures.LANDMARKS)
    assert not set(textures.FLATS) & set(textures.CEILING_LIGHTS)


def _lumps(data):
    _, count, where = struct.unpack("<4sii", data[:12])
    for i in range(count):
        start, size, name = struct.unpack_from("<ii8s", data, where + 16 * i)
        yield name.rstrip(b"\0").decode().upper(), data[start : start + size]


def test_every_texture_exists_and_tiles():
    pytest.importorskip("vizdoom")
    from li_env.doom.renderer import vizdoom_file

    lumps = list(_lumps(vizdoom_file("freedoom2.wad").read_bytes()))
    table = dict(lumps)["TEXTURE1"]
    sizes = {}
    for i in range(struct.unpack_from("<i", table)[0]):
        name, _, width, height = struct.unpack_from("<8sIHH", table, struct.unpack_from("<i", table, 4 + 4 * i)[0])
        sizes[name.rstrip(b"\0").decode().upper()] = (width, height)
    for name in textures.WALLS + textures.LANDMARKS:
        assert sizes[name][0] in (64, 128, 256) and sizes[name][1] == 128, name
    assert all(name in sizes for name in textures.SKIES)
    flats = {name for name, data in lumps if len(data) == 4096}
    assert set(textures.FLATS + textures.CEILING_LIGHTS) <= flats
