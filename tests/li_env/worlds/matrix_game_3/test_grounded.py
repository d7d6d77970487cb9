"""Matrix-Game-3.0 in a scan: views as memory latents (random weights)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from li_env.accel.budget import memory_latents
from li_env.accel.config import AccelConfig, preset_names
from li_env.accel.geometry.camera import CameraMotion
from li_env.accel.runtime.engine import Engine
from li_env.env import LightInteractionEnv
from li_env.scans.encoded import encoded_views
from li_env.scans.scan import Scan
from li_env.worlds.matrix_game_3.build import random_world
from li_env.worlds.matrix_game_3.controls import MOTION
from li_env.worlds.matrix_game_3.loader import load_parts
from li_env.worlds.matrix_game_3.time_axis import ClipSizes
from li_env.worlds.matrix_game_3.world import VIEW_TIME, MatrixGame3World, _Clip
from tests.li_env.worlds.matrix_game_3.test_world import SMALL
from tests.li_env.worlds.matrix_game_3.tiny_checkpoint import write_checkpoint
from tests.room_scan import room_poses

AHEAD = (CameraMotion(forward=MOTION.translation),) * 10


@pytest.fixture(scope="module")
def world() -> MatrixGame3World:
    return random_world(torch.device("cpu"), SMALL, (4, 8), ClipSizes(25, 16))


@pytest.fixture(scope="module")
def scan(world: MatrixGame3World) -> Scan:
    images = np.random.default_rng(0).integers(0, 256, (72, *world.spec.frame_size, 3), np.uint8)
    return Scan(images, room_poses())


@pytest.mark.parametrize("preset", preset_names())
def test_every_preset_has_views_in_its_slots(world: MatrixGame3World, scan: Scan, preset: str) -> None:
    env = LightInteractionEnv(world, preset, observation="frame", scan=scan, plan_info=True)
    env.reset(seed=0, options={"view": 9})
    config = AccelConfig.preset(preset).in_world(world.spec.name)
    later = memory_latents(world.spec, config)
    for chunk in range(5):
        _, _, _, _, info = env.step(1 if chunk < 2 else 6)
        assert info["scan_views"] >= 1
        assert info["scan_views"] + info["retrieved_latents"] == (5 if chunk < config.warmup_chunks else later)
        assert 0 not in info["plan"]["memory"] and not info["degenerated"]


def test_the_views_change_what_is_generated(world: MatrixGame3World, scan: Scan) -> None:
    engine = Engine(world, AccelConfig.preset("off"))
    bank = encoded_views(world, scan)
    states = engine.start([scan.images[9]] * 2, [""] * 2, [0, 0], [scan.poses[9]] * 2, banks=[bank, None])
    for _ in range(2):
        motions = [AHEAD[: world.spec.new_latents(state.chunk)] for state in states]
        together, (seen, blind) = engine.step(states, motions)
        assert seen.latents.shape == blind.latents.shape and not torch.equal(seen.latents, blind.latents)
        _, (result,) = engine.step(states[:1], motions[:1])
        torch.testing.assert_close(result.latents, seen.latents, atol=2e-5, rtol=0)
        states = together
    assert len(states[0].history) == len(states[1].history)


def test_views_come_first_with_their_own_time(world: MatrixGame3World, scan: Scan) -> None:
    engine = Engine(world, AccelConfig.preset("off"))
    bank = encoded_views(world, scan)
    (state,) = engine.start([scan.images[9]], [""], [0], [scan.poses[9]], banks=[bank])
    clips = []
    build = _Clip.of.__func__  # type: ignore[attr-defined]

    def listen(cls, request, memory):
        clips.append((request, build(cls, request, memory)))
        return clips[-1][1]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(_Clip, "of", classmethod(listen))
        for _ in range(2):
            (state,), _ = engine.step([state], [AHEAD[: world.spec.new_latents(state.chunk)]])
    for (request, clip), own in zip(clips, (0, state.history.poses.shape[0] - 4 - 4), strict=True):
        count = len(request.plan.views)
        assert count == 5 and clip.latents[:count] == [VIEW_TIME] * count and clip.latents[count] == own
        assert torch.equal(clip.known[:count], bank.latents[list(request.plan.views)])
        assert len(clip.poses) == len(clip.latents)
    assert torch.equal(clips[0][1].known[-1], clips[0][0].scene.image)
    assert torch.equal(clips[1][1].known[5:], state.history.latents(range(3, 7)))


def test_a_view_is_a_still_clip_for_the_autoencoder(tmp_path: Path) -> None:
    write_checkpoint(tmp_path)
    vae = load_parts(tmp_path, torch.device("cpu"), "full", lambda config: 0).vae
    image = np.random.default_rng(1).integers(0, 256, (32, 48, 3), np.uint8)
    video = torch.from_numpy(image).float().permute(2, 0, 1)[None, :, None] / 127.5 - 1
    still = vae.encode_still(image)
    torch.testing.assert_close(still, vae.encode_video(video.repeat(1, 1, 9, 1, 1))[0, :, 1], atol=1e-4, rtol=1e-4)
    assert not torch.allclose(still, vae.encode_image(image), atol=1e-3)
    assert len(vae.encoder_key()) == 64
