"""The freedoom world in a scan: first chunks from views, mixed batches, motions (narrow model, CPU)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from li_env.accel.config import AccelConfig
from li_env.accel.geometry.camera import CameraMotion, follow
from li_env.accel.runtime.contexts import chunk_requests, motion_requests
from li_env.accel.runtime.engine import Engine
from li_env.env import LightInteractionEnv
from li_env.scans.encoded import encoded_views
from li_env.scans.scan import Scan
from li_env.vector_env import LightInteractionVectorEnv
from li_env.worlds.common.encoder_key import weights_key
from li_env.worlds.freedoom.spec import SPEC
from li_env.worlds.freedoom.world import FreedoomScene, FreedoomWorld, load
from tests.narrow_freedoom import narrow_freedoom
from tests.room_scan import room_poses

AHEAD = (CameraMotion(forward=0.25),) * 4


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("LI_ENV_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield Path()


@pytest.fixture(scope="module")
def world() -> Iterator[FreedoomWorld]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield narrow_freedoom("fused")
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def scan(world: FreedoomWorld) -> Scan:
    """Twelve of the world's start frames, as if they were views of one room."""
    return Scan(world.start_views.images[:12], room_poses()[::6])


def test_views_and_pictures_have_the_same_latents(world: FreedoomWorld, scan: Scan) -> None:
    bank = encoded_views(world, scan)
    (scene,) = world.start([scan.images[3]], [""])
    torch.testing.assert_close(bank.latents[3], scene.start, atol=1e-4, rtol=0)


def test_an_episode_goes_from_a_view_or_from_a_bare_pose(world: FreedoomWorld, scan: Scan) -> None:
    env = LightInteractionEnv(world, observation="frame", scan=scan)
    for options in ({"view": 3}, {"pose": follow(scan.poses[3], AHEAD)[-1]}):
        frame, _ = env.reset(seed=1, options=options)
        steps = [env.step(action) for action in (1, 6)]
        assert frame.std() > 5 and all(step[4]["scan_views"] == 8 for step in steps)
        again, _ = env.reset(seed=1, options=options)
        np.testing.assert_array_equal(again, frame)
        for action, (expected, *_) in zip((1, 6), steps, strict=True):
            np.testing.assert_array_equal(env.step(action)[0], expected)


def test_chunks_of_every_kind_share_a_call_and_stay_what_they_are(world: FreedoomWorld, scan: Scan) -> None:
    engine = Engine(world, AccelConfig.preset("off"))
    bank = encoded_views(world, scan)
    frames, poses = list(scan.images[:3]), list(scan.poses[:3])
    states = engine.start(frames, [""] * 3, [0, 1, 2], poses, banks=[bank, bank, None])
    [moved], _ = engine.step(states[:1], [AHEAD[:3]])
    states = [moved, states[1], states[2], replace(states[1], scene=FreedoomScene(None))]
    motions = [AHEAD, *[AHEAD[:3]] * 3]
    _, results = engine.step(states, motions)
    assert [len(each.plan.views) for each in results] == [8, 8, 0, 8]
    for row, state in enumerate(states):
        _, (alone,) = engine.step([state], [motions[row]])
        assert torch.equal(alone.latents, results[row].latents)
    known = world.start([frames[1]], [""])[0].start
    assert torch.equal(results[1].latents[0], known), "a picture is kept"
    assert not torch.equal(results[3].latents[0], known), "a bare pose is generated"
    assert not torch.equal(results[1].latents[1:], results[3].latents[1:])


def test_the_motion_head_sees_views_and_at_first_the_start_frame(world: FreedoomWorld, scan: Scan) -> None:
    engine = Engine(world, AccelConfig.preset("off"))
    bank = encoded_views(world, scan)
    (begun,) = engine.start([scan.images[0]], [""], [0], [scan.poses[0]], banks=[bank])
    (request,) = motion_requests(world, [begun], [AHEAD[:3]], [follow(begun.pose, AHEAD)[-1]])
    assert request.views == len(request.recent) == 4
    seen = []
    head = world.motion.realised

    def listen(latents: torch.Tensor, planar: torch.Tensor, commands: torch.Tensor) -> torch.Tensor:
        seen.append((latents, planar))
        return head(latents, planar, commands)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(world.motion, "realised", listen)
        world.feasible_motions([request])
        (later,), _ = engine.step([begun], [AHEAD[:3]])
        seen.clear()
        (request,) = motion_requests(world, [later], [AHEAD], [follow(later.pose, AHEAD)[-1]])
        world.feasible_motions([request])
        assert len(request.recent) == 8 and request.views == 4
    ((latents, planar),) = seen
    assert latents.shape[1] == planar.shape[1] == 8
    np.testing.assert_allclose(planar[0, -1], 0.0, atol=1e-6)


def test_the_start_is_the_last_that_the_motion_head_sees_in_the_first_chunk(world: FreedoomWorld, scan: Scan) -> None:
    engine = Engine(world, AccelConfig.preset("off"))
    (begun,) = engine.start([scan.images[0]], [""], [0], [scan.poses[0]], banks=[encoded_views(world, scan)])
    (request,) = motion_requests(world, [begun], [AHEAD[:3]], [follow(begun.pose, AHEAD)[-1]])
    (bare,) = [replace(request, recent=request.recent[:0], recent_poses=request.recent_poses[:0], views=0)]
    for asked, count in ((request, 5), (bare, 1)):
        with pytest.MonkeyPatch.context() as patched:
            shapes = []
            head = world.motion.realised

            def listen(latents, planar, commands, head=head, shapes=shapes):
                shapes.append(latents.shape[1])
                np.testing.assert_allclose(planar[0, -1], 0.0, atol=1e-6)
                return head(latents, planar, commands)

            patched.setattr(world.motion, "realised", listen)
            world.feasible_motions([asked])
        assert shapes == [count]


def test_views_stand_in_front_and_stand_still(world: FreedoomWorld, scan: Scan) -> None:
    engine = Engine(world, AccelConfig.preset("off"))
    bank = encoded_views(world, scan)
    (state,) = engine.start([scan.images[0]], [""], [0], [scan.poses[0]], banks=[bank])
    for chunk in range(2):
        (state,), (result,) = engine.step([state], [AHEAD[:3] if chunk == 0 else AHEAD])
    coming = follow(state.pose, AHEAD)
    plan = engine.planner.plan([state.history], [coming], [bank])[0]
    chunk = replace(result, plan=plan, poses=coming)
    (request,) = chunk_requests(world, [state], [chunk], [torch.zeros(4, *SPEC.latent_shape)])
    count = len(plan.views)
    assert torch.equal(request.context[:count], bank.latents[list(plan.views)])
    assert torch.equal(request.context[count:], state.history.latents(plan.context))
    np.testing.assert_array_equal(request.context_poses[:count], bank.poses[list(plan.views)])
    np.testing.assert_array_equal(request.context_poses[count:], state.history.poses[list(plan.context)])
    assert request.context_motions[: count + 1] == (CameraMotion(),) * (count + 1)
    assert len(request.context_motions) == len(request.context) == plan.context_latents


def test_a_batch_with_and_without_scans(world: FreedoomWorld, scan: Scan) -> None:
    many = LightInteractionVectorEnv(3, world=world, observation="frame")
    each = [{"scan": scan, "view": 1}, {"start": 2}, {"scan": scan, "pose": follow(scan.poses[5], AHEAD)[-1]}]
    frames, _ = many.reset(seed=0, options={"each": each})
    after = many.step(np.array([1, 1, 1]))[0]
    for index, options in enumerate(each):
        env = LightInteractionEnv(world, observation="frame")
        np.testing.assert_array_equal(env.reset(seed=index, options=options)[0], frames[index])
        np.testing.assert_array_equal(env.step(1)[0], after[index])


def test_the_key_names_weights_and_machine(world: FreedoomWorld) -> None:
    key = world.encoder_key()
    assert key == weights_key(world.autoencoder.encoder) and len(key) == 64
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        assert world.encoder_key() != key
    finally:
        torch.set_num_threads(before)
    changed = load("cpu", execution="fused")
    with torch.no_grad():
        changed.autoencoder.encoder.stem.weight[0, 0, 0, 0] += 1
    assert changed.encoder_key() != key
