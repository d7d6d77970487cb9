import os
import sys

import numpy as np
import pytest

from li_env.doom.maps import generate_map, write_wad
from li_env.doom.renderer import DoomRenderer, angle_units, renderable_poses, require_vizdoom


def test_missing_vizdoom_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "vizdoom", None)
    with pytest.raises(ImportError, match=r'pip install "li-env\[doom\]"'):
        require_vizdoom()


def test_renderable_poses():
    pose = renderable_poses(np.array([[10.4, -3.6, -0.001]]))[0]
    assert pose[0] == 10.0 and pose[1] == -4.0
    assert pose[2] * 65536 / 360 == pytest.approx(round(pose[2] * 65536 / 360), abs=1e-9)
    assert angle_units(np.array([360.0, -90.0, 359.9999])).tolist() == [0, 49152, 0]


pytest.importorskip("vizdoom")

WORLDS = [generate_map(seed) for seed in (20_000_000, 20_000_004)]


@pytest.fixture(scope="module")
def renderer(tmp_path_factory):
    path = tmp_path_factory.mktemp("wad") / "maps.wad"
    write_wad(WORLDS, path)
    with DoomRenderer(path, depth=True) as engine:
        yield engine


def _poses(world, count, seed=0):
    rng = np.random.default_rng(seed)
    return renderable_poses(np.array([[*world.sample_free_position(rng), rng.uniform(0, 360)] for _ in range(count)]))


def test_frames_and_depth(renderer):
    frames, depth = renderer.render(0, _poses(WORLDS[0], 12))
    assert frames.shape == (12, 96, 128, 3) and frames.dtype == np.uint8
    assert depth.shape == (12, 96, 128) and depth.dtype == np.float32
    assert (frames.reshape(12, -1).std(1) > 5).all()
    assert len(np.unique(frames.reshape(12, -1), axis=0)) == 12


def test_one_pose_one_picture_whatever_came_before(renderer):
    poses = _poses(WORLDS[0], 40)
    first, _ = renderer.render(0, poses)
    renderer.render(1, _poses(WORLDS[1], 70))
    order = np.random.default_rng(0).permutation(40)
    again, _ = renderer.render(0, poses[order])
    np.testing.assert_array_equal(first[order], again)


def test_depth_matches_the_walls_ahead(renderer):
    poses = _poses(WORLDS[0], 60)
    _, depth = renderer.render(0, poses)
    segments = WORLDS[0].segments
    errors = []
    for pose, image in zip(poses, depth, strict=True):
        heading = np.radians(pose[2])
        direction, start = np.array([np.cos(heading), np.sin(heading)]), segments[:, :2] - pose[:2]
        along = segments[:, 2:] - segments[:, :2]
        cross = direction[0] * along[:, 1] - direction[1] * along[:, 0] + 1e-12
        ahead = (start[:, 0] * along[:, 1] - start[:, 1] * along[:, 0]) / cross
        share = (start[:, 0] * direction[1] - start[:, 1] * direction[0]) / cross
        ahead = ahead[(ahead > 0) & (share >= 0) & (share <= 1)].min() / 32
        errors.append(abs(image[47, 64] - ahead) if ahead < 30 else 0.0)
    # the line of view may just pass a corner or meet a slim decoration, so most and not all
    assert np.mean(np.array(errors) < 0.2) > 0.85


def test_turning_right_moves_the_picture_left(renderer):
    pose = _poses(WORLDS[1], 1, seed=5)
    turned = renderable_poses(pose - [0.0, 0.0, np.degrees(np.arctan(16 / 64))])
    (before, after), _ = renderer.render(1, np.concatenate([pose, turned]))
    # what stood 16 pixels right of the centre is in the centre now
    row = slice(40, 48)
    right = np.abs(before[row, 72:88].astype(int) - after[row, 56:72]).mean()
    left = np.abs(before[row, 40:56].astype(int) - after[row, 56:72]).mean()
    assert right < left


def test_poses_off_the_grid_are_refused(renderer):
    with pytest.raises(ValueError, match="not renderable; allowed"):
        renderer.render(0, np.array([[100.5, 100.0, 0.0]]))
    with pytest.raises(ValueError, match=r"shape \(3,\); allowed"):
        renderer.render(0, np.zeros(3))


def test_a_place_that_the_game_cannot_reach_is_an_error_not_a_wrong_frame(renderer):
    with pytest.raises(RuntimeError, match="asked for"):
        renderer.render(0, np.array([[40000.0, 100.0, 0.0]]))  # beyond the game's 16-bit coordinates


def test_large_frames_show_the_same_in_more_pixels(renderer, tmp_path):
    write_wad(WORLDS[:1], tmp_path / "one.wad")
    poses = _poses(WORLDS[0], 12)
    small, small_depth = renderer.render(0, poses)
    with DoomRenderer(tmp_path / "one.wad", depth=True, frame_size=(192, 256)) as engine:
        large, depth = engine.render(0, poses)
    assert large.shape == (12, 192, 256, 3) and depth.shape == (12, 192, 256)
    shrunk = large.reshape(12, 96, 2, 128, 2, 3).mean((2, 4))
    assert np.abs(shrunk - small).mean() < 3  # levels of 255
    assert np.median(np.abs(depth[:, ::2, ::2] - small_depth)) < 0.25
    with pytest.raises(ValueError, match=r"frame_size=\[100, 130\] is not allowed; the game has no 260x200 pixels"):
        DoomRenderer(tmp_path / "one.wad", frame_size=(100, 130))


def test_nothing_is_left_in_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_wad(WORLDS[:1], tmp_path / "one.wad")
    with DoomRenderer("one.wad") as engine:
        assert engine.render(0, _poses(WORLDS[0], 2)).shape == (2, 96, 128, 3)
    assert os.listdir(tmp_path) == ["one.wad"]


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no WAD file"):
        DoomRenderer(tmp_path / "none.wad")
