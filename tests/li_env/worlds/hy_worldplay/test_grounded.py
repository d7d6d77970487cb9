"""HY-WorldPlay in a scan: views as still clips in the memory (random weights)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from li_env.accel.config import AccelConfig, preset_names
from li_env.accel.geometry.camera import CameraMotion, follow
from li_env.accel.runtime.engine import Engine
from li_env.env import LightInteractionEnv
from li_env.scans.encoded import encoded_views
from li_env.scans.scan import Scan
from li_env.worlds.hy_worldplay.build import random_world
from li_env.worlds.hy_worldplay.loader import load_parts
from li_env.worlds.hy_worldplay.world import HYWorldPlayWorld
from tests.li_env.worlds.hy_worldplay.test_world import SMALL
from tests.li_env.worlds.hy_worldplay.tiny_checkpoint import write_checkpoint
from tests.room_scan import room_poses

FORWARD = CameraMotion(forward=0.08)


@pytest.fixture(scope="module")
def world() -> Iterator[HYWorldPlayWorld]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield random_world(SMALL, torch.device("cpu"), (6, 8))
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def scan(world: HYWorldPlayWorld) -> Scan:
    images = np.random.default_rng(0).integers(0, 256, (72, *world.spec.frame_size, 3), np.uint8)
    return Scan(images, room_poses())


@pytest.mark.parametrize("preset", preset_names())
def test_every_preset_has_views_in_its_context(world: HYWorldPlayWorld, scan: Scan, preset: str) -> None:
    env = LightInteractionEnv(world, preset, observation="frame", scan=scan)
    env.reset(seed=0, options={"view": 9})
    for chunk in range(5):
        _, _, _, _, info = env.step(1 if chunk < 3 else 6)
        assert info["scan_views"] + info["retrieved_latents"] == 8
        assert info["scan_views"] >= 4 and not info["degenerated"]


def test_the_views_change_what_is_generated(world: HYWorldPlayWorld, scan: Scan) -> None:
    engine = Engine(world, AccelConfig.preset("off"))
    bank = encoded_views(world, scan)
    states = engine.start([scan.images[9]] * 2, ["a room"] * 2, [0, 0], [scan.poses[9]] * 2, banks=[bank, None])
    for chunk in range(2):
        motions = [(FORWARD,) * (4 if chunk else 3)] * 2
        together, (seen, blind) = engine.step(states, motions)
        assert not torch.equal(seen.latents, blind.latents)
        _, (result,) = engine.step(states[:1], motions[:1])
        assert torch.equal(result.latents, seen.latents)
        states = together


def test_the_start_image_stays_marked_behind_the_views(world: HYWorldPlayWorld, scan: Scan) -> None:
    engine = Engine(world, AccelConfig.preset("off"))
    bank = encoded_views(world, scan)
    (state,) = engine.start([scan.images[9]], [""], [0], [scan.poses[9]], banks=[bank])
    (state,), _ = engine.step([state], [(FORWARD,) * 3])
    marked = []
    known = world._known

    def listen(scene, count, start):
        marked.append((count, start))
        return known(scene, count, start)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(world, "_known", listen)
        engine.step([state], [(FORWARD,) * 4])
    assert marked == [(12, 8), (4, None)]


def test_a_bare_pose_starts_at_the_nearest_view_or_is_refused(world: HYWorldPlayWorld, scan: Scan) -> None:
    env = LightInteractionEnv(world, observation="frame", scan=scan)
    frame, info = env.reset(options={"pose": follow(scan.poses[9], [FORWARD])[0]})
    np.testing.assert_array_equal(frame, scan.images[9])
    np.testing.assert_array_equal(info["pose"], scan.poses[9])
    assert env.image_note is not None and "view 9, 0.08 units" in env.image_note
    with pytest.raises(ValueError, match=r"3 units and .* from the nearest view, and world 'hy_worldplay' starts from"):
        env.reset(options={"pose": follow(scan.poses[0], [CameraMotion(right=-3.0)])[0]})


def test_a_view_is_a_still_clip_for_the_autoencoder(tmp_path: Path) -> None:
    written = write_checkpoint(tmp_path)
    vae = load_parts(tmp_path, torch.device("cpu"), lambda config: 0).vae
    image = np.random.default_rng(1).integers(0, 256, (32, 48, 3), np.uint8)
    video = torch.from_numpy(image).float().permute(2, 0, 1)[None, :, None] / 127.5 - 1
    with torch.no_grad():
        whole = written["vae"].encode(video.repeat(1, 1, 9, 1, 1)).latent_dist.mode()[0] * vae.vae.config.scaling_factor
    still = vae.encode_still(image)
    torch.testing.assert_close(still, whole[:, 1], atol=1e-4, rtol=1e-4)
    assert not torch.allclose(still, vae.encode_image(image), atol=1e-3)
    assert len(vae.encoder_key()) == 64
