from __future__ import annotations

import numpy as np
import pytest

import li_env
from li_env.scans.scan import Scan
from tests.li_env.scans.room import level, noise

POSES = np.stack([level(0.5 * index, 0, 10 * index) for index in range(3)])


def test_the_class_is_public_and_keeps_what_it_is_given():
    images, lens = noise(3), np.array([4.0, 4, 4, 3])
    scan = li_env.Scan(images, POSES.tolist(), lens.tolist(), 5)
    assert scan.images is images and len(scan) == 3 and scan.map_seed == 5
    assert scan.poses.dtype == scan.intrinsics.dtype == np.float64
    np.testing.assert_array_equal(scan.poses, POSES)
    np.testing.assert_array_equal(scan.intrinsics, lens)


def test_the_hash_depends_on_everything():
    images = noise(3)
    other = images.copy()
    other[0, 0, 0, 0] += 1
    moved = POSES.copy()
    moved[1, 0, 3] += 1e-9
    lens = np.array([4.0, 4, 4, 3])
    scans = [Scan(images, POSES), Scan(other, POSES), Scan(images, moved), Scan(images, POSES, lens),
             Scan(images, POSES, np.tile(lens, (3, 1))), Scan(images, POSES, None, 1)]  # fmt: skip
    assert len({scan.content_hash for scan in scans}) == len(scans)
    assert scans[0].content_hash == Scan(images.copy(), POSES.copy()).content_hash


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (noise(2), "images and poses differ: 2 images, 3 poses; one each is needed"),
        (noise(3)[..., :2], "images=uint8 [3, 6, 8, 2] is not usable; allowed: a numpy array uint8 [n, height, width"),
        (noise(3)[0], "images=uint8 [6, 8, 3] is not usable"),
        (noise(3).astype(np.float32), "images=float32 [3, 6, 8, 3] is not usable"),
        (noise(3).tolist(), "images=list is not usable"),
        (noise(3)[:0], "images=[0, 6, 8, 3] are empty; allowed: 1 to 4,096 views"),
        (noise(3)[:, :0], "are empty"),
        (np.zeros((4097, 1, 1, 3), np.uint8), "images: 4,097 views; allowed: 1 to 4,096; leave some out (every=2)"),
    ],
)
def test_other_images_are_refused(images, message):
    with pytest.raises(ValueError) as caught:
        Scan(images, POSES)
    assert message in str(caught.value)


@pytest.mark.parametrize("seed", [-1, 1.5, True, "7"])
def test_other_map_seeds_are_refused(seed):
    with pytest.raises(ValueError, match="map_seed="):
        Scan(noise(3), POSES, None, seed)


def test_tilts_count_pitch_and_roll():
    pitch, roll = np.eye(4), np.eye(4)
    c, s = np.cos(np.radians(20)), np.sin(np.radians(20))
    pitch[1:3, 1:3] = [[c, -s], [s, c]]
    roll[:2, :2] = [[c, -s], [s, c]]
    scan = Scan(noise(4), np.stack([level(0, 0, 77), pitch, roll, pitch @ roll]))
    both = np.degrees(np.arccos(c * c))
    np.testing.assert_allclose(scan.tilts, [0, 20, 20, both], atol=1e-6)


def test_4096_views_are_checked_at_once():
    poses = np.tile(np.eye(4), (4096, 1, 1))
    poses[:, :3, 3] = np.random.default_rng(0).uniform(0, 60, (4096, 3))
    assert len(Scan(np.zeros((4096, 1, 1, 3), np.uint8), poses)) == 4096
