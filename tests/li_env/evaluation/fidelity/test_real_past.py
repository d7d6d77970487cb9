import numpy as np
import torch

from li_env.accel.geometry.camera import CameraMotion
from li_env.evaluation.fidelity.real_past import Player, RealPast, chunk_motions, decode, encode, variant_spec
from tests.li_env.evaluation.fidelity.photographic_world import PhotographicWorld, videos

STEP, TURN = CameraMotion(forward=0.75), CameraMotion(yaw=15.0)
VIDEOS = videos([STEP, TURN, STEP] + [STEP, TURN, STEP, STEP] * 6)


def run(player: Player, chunks: int):
    states = player.engine.start(list(VIDEOS.frames[:, 0]), [""] * 2, [0, 1], list(VIDEOS.poses[:, 0]))
    for chunk in range(chunks):
        states, results = player.step(states, [chunk_motions(poses, chunk) for poses in VIDEOS.poses])
    return states, results


def test_the_camera_follows_the_game_exactly_whatever_the_world_thinks_of_walls():
    world = PhotographicWorld()
    states, _ = run(Player(world, "off", 4, memory=True), 7)
    for state, poses in zip(states, VIDEOS.poses, strict=True):
        np.testing.assert_allclose(state.history.poses, poses, atol=1e-9)


def test_steps_and_memory_are_what_was_asked_for():
    world = PhotographicWorld()
    for steps, memory in ((4, True), (16, False)):
        _, results = run(Player(world, "off", steps, memory), 7)
        for result in results:
            assert result.plan.steps == steps
            assert len(result.plan.temporal) == 12
            assert bool(result.plan.memory) == memory
    assert variant_spec(world.spec, 4, True).sigmas == world.spec.sigmas
    assert variant_spec(world.spec, 16, True).sigmas[:3] == (1.0, 0.9375, 0.875)


def test_a_real_past_holds_the_game_s_own_latents():
    world = PhotographicWorld()
    latents = encode(world, VIDEOS.frames)
    assert latents.shape == (2, 28, 768, 6, 8)
    np.testing.assert_array_equal(decode(world, latents[:, :4]), VIDEOS.frames[:, :4])
    past = RealPast(world, VIDEOS.frames[1], latents[1], VIDEOS.poses[1])
    for chunk in (6, 2):
        state = past.state(chunk, seed=3)
        assert (state.chunk, state.seed, len(state.history)) == (chunk, 3, 4 * chunk)
        torch.testing.assert_close(state.history.latents(range(4 * chunk)), latents[1, : 4 * chunk], rtol=0, atol=0)
        np.testing.assert_array_equal(state.history.poses, VIDEOS.poses[1, : 4 * chunk])
        np.testing.assert_array_equal(state.pose, VIDEOS.poses[1, 4 * chunk - 1])


def test_large_batches_are_cut(monkeypatch):
    monkeypatch.setattr("li_env.evaluation.fidelity.real_past.BATCH", 1)
    sizes = []
    world = PhotographicWorld()
    generate = world.generate
    world.generate = lambda requests: sizes.append(len(requests)) or generate(requests)
    states, results = run(Player(world, "off", 4, memory=True), 1)
    assert sizes == [1, 1] and len(states) == len(results) == 2
