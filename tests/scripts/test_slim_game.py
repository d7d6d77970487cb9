"""Generated maps look the same with the small archive."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from li_env.doom import renderer
from li_env.doom.known_maps import known_map
from li_env.doom.maps import write_wad
from li_env.doom.scan_poses import scan_poses, scan_spots
from tests.scripts.loading import load

SEEDS = (5, 9_000_000, 20_000_003)


def test_frames_of_generated_maps_stay_equal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("vizdoom")
    slim, whole = load("slim_game"), renderer.vizdoom_file("freedoom2.wad")
    small = tmp_path / "freedoom2.wad"
    small.write_bytes(slim.slim_wad(whole.read_bytes()))
    assert small.stat().st_size < whole.stat().st_size / 3
    assert [name for name, _ in slim.lumps(small.read_bytes())] == [name for name, _ in slim.lumps(whole.read_bytes())]
    maps = [known_map(seed) for seed in SEEDS]
    write_wad(maps, tmp_path / "maps.wad")
    poses = [renderer.renderable_poses(scan_poses(scan_spots(each.space, 6.0)[:12], 4)) for each in maps]
    shown = []
    for archive in (whole, small):
        monkeypatch.setattr(renderer, "vizdoom_file", lambda name, archive=archive: archive)
        with renderer.DoomRenderer(tmp_path / "maps.wad") as game:
            shown.append(np.concatenate([game.render(row, each) for row, each in enumerate(poses)]))
    assert np.array_equal(*shown)
