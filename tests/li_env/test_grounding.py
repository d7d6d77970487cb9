"""Episodes in a scanned place: where they begin, what they keep, and what is refused."""

from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from li_env.accel.geometry.camera import CameraMotion, move
from li_env.accel.micro_batch import expected_episodes
from li_env.accel.planning.validate import stored_plans
from li_env.accel.runtime.engine import Engine
from li_env.env import LightInteractionEnv
from li_env.evaluation.drive import begin, roll_out
from li_env.scans import encoded
from li_env.scans.scan import Scan
from li_env.testing import check_world
from li_env.vector_env import LightInteractionVectorEnv
from tests.accel.level import level
from tests.analytic_world import SPEC, AnalyticWorld
from tests.film_world import FilmWorld
from tests.room_scan import room_scan

STILL, FORWARD, TURN = 0, 1, 6


@pytest.fixture(scope="module")
def world() -> AnalyticWorld:
    return AnalyticWorld()


@pytest.fixture(scope="module")
def scan(world: AnalyticWorld) -> Scan:
    return room_scan(world)


@pytest.fixture(scope="module")
def path(scan: Scan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("scans") / "room.npz"
    np.savez(file, images=scan.images, poses=scan.poses)
    return file


def shifted(scan: Scan, metres: float) -> Scan:
    poses = scan.poses.copy()
    poses[:, 0, 3] += metres
    return replace(scan, poses=poses)


def walk(env: Any, actions: tuple[int, ...] = (FORWARD, TURN, TURN, FORWARD, FORWARD)) -> np.ndarray:
    return np.stack([env.step(action)[0] for action in actions])


# Starts


def test_a_view_brings_picture_and_pose(world: AnalyticWorld, scan: Scan) -> None:
    env = LightInteractionEnv(world, observation="frame", plan_info=True)
    frame, info = env.reset(seed=0, options={"scan": scan, "view": 13})
    np.testing.assert_array_equal(frame, scan.images[13])
    np.testing.assert_array_equal(info["pose"], scan.poses[13])
    assert info["start_index"] == -1 and info["scan_views"] == 0
    for chunk in range(6):
        _, _, _, _, info = env.step(TURN)
        assert info["scan_views"] == len(info["plan"]["views"]) == 8
        recent = min(4 * chunk, info["recent_latents"])
        assert info["context_latents"] == recent + 8 + info["retrieved_latents"]
    assert info["regime"] == 2, "the scan shows what comes"


def test_without_a_view_the_seed_draws_one(world: AnalyticWorld, scan: Scan) -> None:
    env = LightInteractionEnv(world, observation="frame", scan=scan)
    poses = [env.reset(seed=seed)[1]["pose"] for seed in range(6)]
    assert len({pose.tobytes() for pose in poses}) > 3
    assert all(any(np.array_equal(pose, view) for view in scan.poses) for pose in poses)
    np.testing.assert_array_equal(env.reset(seed=0)[1]["pose"], poses[0])


def test_a_pose_without_a_picture_is_generated_from_the_views(world: AnalyticWorld, scan: Scan) -> None:
    env = LightInteractionEnv(world, observation="frame", scan=scan)
    pose = level(np.array(0.7), np.array(-1.1), np.array(0.4))
    frame, info = env.reset(seed=0, options={"pose": pose})
    np.testing.assert_array_equal(info["pose"], pose)
    assert np.abs(frame.astype(int) - world.render(pose)).mean() < 16
    again, _ = env.reset(seed=0, options={"pose": pose})
    np.testing.assert_array_equal(again, frame)
    assert not np.array_equal(env.reset(seed=1, options={"pose": pose})[0], frame)
    np.testing.assert_array_equal(env.reset(options={"pose": scan.poses[5]})[0], scan.images[5])


class PictureWorld(AnalyticWorld):
    """A world that needs a start frame."""

    needs_start_frame = True


def test_start_frames_are_made_a_few_at_a_time_in_large_environments_too(scan: Scan) -> None:
    calls: list[tuple[int, int]] = []

    class Counting(AnalyticWorld):
        def generate(self, requests: Any) -> list[torch.Tensor]:
            calls.append((len(requests), expected_episodes(len(requests))))
            return super().generate(requests)

    poses = [level(np.array([0.1 * (k + 1)]), np.zeros(1), np.zeros(1))[0] for k in range(9)]
    env = LightInteractionVectorEnv(9, world=Counting(), scan=scan)
    many, _ = env.reset(seed=3, options={"each": [{"pose": pose} for pose in poses]})
    assert calls == [(8, 8), (1, 8)]
    alone = LightInteractionVectorEnv(1, world=AnalyticWorld(), scan=scan)
    one, _ = alone.reset(seed=11, options={"pose": poses[8]})
    np.testing.assert_array_equal(many[8], one[0])


def test_a_world_that_needs_a_picture_starts_at_the_nearest_view_or_says_how_far_that_is(scan: Scan) -> None:
    env = LightInteractionEnv(PictureWorld(), observation="frame", scan=scan)
    near = move(scan.poses[13], CameraMotion(yaw=8.0, forward=0.4))
    frame, info = env.reset(options={"pose": near})
    np.testing.assert_array_equal(info["pose"], scan.poses[13])
    np.testing.assert_array_equal(frame, scan.images[13])
    assert env.image_note is not None and "view 13, 0.4 metres from the pose" in env.image_note
    env.reset(options={"view": 3})
    assert env.image_note is None
    with pytest.raises(ValueError, match=r"pose is 3.2\d* metres and \d+ degrees from the nearest view.*at most 2 and"):
        env.reset(options={"pose": level(np.array(4.3), np.array(4.3), np.array(0.0))})


def test_a_picture_of_ones_own_goes_with_its_pose(world: AnalyticWorld, scan: Scan) -> None:
    env = LightInteractionEnv(world, observation="frame", scan=scan)
    image = np.full((*SPEC.frame_size, 3), 77, np.uint8)
    frame, info = env.reset(options={"image": image, "pose": scan.poses[4]})
    np.testing.assert_array_equal(frame, image)
    np.testing.assert_array_equal(info["pose"], scan.poses[4])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"view": 72}, r"view=72 is not allowed; use a whole number from 0 to 71"),
        ({"view": -1}, r"view=-1 is not allowed; use a whole number from 0 to 71"),
        ({"view": 1.5}, r"view=1.5 is not allowed"),
        ({"view": 3, "pose": np.eye(4)}, r"'view' excludes pose: the view brings"),
        ({"view": 3, "start": 0}, r"'view' excludes start"),
        ({"start": 0}, r"'scan' and 'start' need 'pose'"),
        ({"image": np.zeros((9, 9, 3), np.uint8)}, r"'scan' and 'image' need 'pose'"),
        (
            {"pose": level(np.array(50.0), np.array(0.0), np.array(0.0))},
            r"is 48 metres from the nearest view.*at most 8",
        ),
        ({"pose": np.zeros((4, 4))}, r"pose="),
        ({"scan": 3}, r"scan=int is not usable; allowed: a Scan, or the path of a scan"),
        ({"scan": "nowhere.npz"}, r"scan='nowhere.npz'"),
    ],
)
def test_bad_options_get_one_line(world: AnalyticWorld, scan: Scan, options: dict[str, Any], message: str) -> None:
    env = LightInteractionEnv(world, observation="frame")
    many = LightInteractionVectorEnv(2, world=world, observation="frame", scan=scan)
    env.reset(seed=0)
    many.reset(seed=0)
    before, others = env.save_state(), many.save_state()
    for call in (lambda: env.reset(options={"scan": scan, **options}), lambda: many.reset(options=options)):
        with pytest.raises(ValueError, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)
    assert env.save_state() is before and many.save_state() == others


def test_a_view_needs_a_scan(world: AnalyticWorld, scan: Scan) -> None:
    with pytest.raises(ValueError, match="'view' needs a scan"):
        LightInteractionEnv(world).reset(options={"view": 3})
    with pytest.raises(ValueError, match="'view' needs a scan"):
        LightInteractionEnv(world, scan=scan).reset(options={"scan": None, "view": 3})


# Scans that do not fit


def test_scans_that_do_not_fit_the_world_get_one_line(world: AnalyticWorld, scan: Scan) -> None:
    class Blind(AnalyticWorld):
        def encode(self, frames: np.ndarray) -> torch.Tensor:
            return super(AnalyticWorld, self).encode(frames)

    tilted = scan.poses.copy()
    tilted[7] = move(tilted[7], CameraMotion(pitch=12.0))
    apart = replace(scan, poses=level(40.0 * np.arange(72.0), np.zeros(72), np.zeros(72)))
    for own, given, message in (
        (world, replace(scan, poses=tilted), r"scan=a Scan: view 7 is tilted by 12.0 degrees.*'analytic' are level"),
        (world, replace(scan, images=scan.images[:, :, :40]), r"scan=a Scan: .*allowed"),
        (world, apart, r"scan=a Scan: "),
        (Blind(), scan, r"scan=a Scan: world='analytic' cannot encode frames"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            LightInteractionEnv(own, scan=given)
        assert "\n" not in str(caught.value)


def test_one_scan_or_several(world: AnalyticWorld, scan: Scan) -> None:
    with pytest.raises(ValueError, match="scan and scans exclude each other"):
        LightInteractionEnv(world, scan=scan, scans=[scan])
    for bad in ([], scan, "room.npz"):
        with pytest.raises(ValueError, match=r"scans=.*allowed: a list of scans"):
            LightInteractionEnv(world, scans=bad)


# Episodes


def test_a_path_is_read_once_and_again_where_it_changed(world: AnalyticWorld, scan: Scan, tmp_path: Path) -> None:
    file = tmp_path / "room.npz"
    np.savez(file, images=scan.images, poses=scan.poses)
    env = gymnasium.make("LightInteraction/Explore-v0", world=world, observation="frame", scan=file).unwrapped
    env.reset(seed=0)
    bank = env.save_state().episode.bank
    assert bank.name == str(file) and bank.content_hash == scan.content_hash
    env.reset(options={"scan": str(file)})
    first = env.save_state().episode.bank
    env.reset(options={"scan": str(file)})
    assert env.save_state().episode.bank is first and first.latents is bank.latents
    other = shifted(scan, 1.0)
    np.savez(file, images=other.images, poses=other.poses)
    env.reset(options={"scan": str(file), "view": 0})
    assert env.save_state().episode.bank.content_hash == other.content_hash


def test_environments_that_live_together_read_a_path_once(world: AnalyticWorld, scan: Scan, tmp_path: Path) -> None:
    for seed in (7, 8):
        replace(scan, map_seed=seed).save(tmp_path / f"map_{seed}.npz")
    one, two = (LightInteractionEnv(world, scans=tmp_path) for _ in range(2))
    assert [each.scan.map_seed for each in one.runner.scans.own] == [7, 8], "in the order of the names"
    for mine, other in zip(one.runner.scans.own, two.runner.scans.own, strict=True):
        assert mine is other
    replace(scan, map_seed=9).save(tmp_path / "map_8.npz")
    three = LightInteractionEnv(world, scans=tmp_path)
    assert three.runner.scans.own[0] is one.runner.scans.own[0]
    assert [each.scan.map_seed for each in three.runner.scans.own] == [7, 9]


def test_the_scan_changes_the_frames_and_no_scan_changes_nothing(world: AnalyticWorld, scan: Scan) -> None:
    start = {"image": scan.images[13], "pose": scan.poses[13]}
    plain, scanned = (LightInteractionEnv(world, observation="frame", **each) for each in ({}, {"scan": scan}))
    plain.reset(seed=3, options=start)
    expected = walk(plain)
    scanned.reset(seed=3, options=start)
    assert not np.array_equal(walk(scanned), expected)
    scanned.reset(seed=3, options={**start, "scan": None})
    np.testing.assert_array_equal(walk(scanned), expected)


def test_saved_states_forks_and_what_ifs_stay_in_the_scan(world: AnalyticWorld, scan: Scan) -> None:
    env = LightInteractionEnv(world, observation="frame")
    env.reset(seed=0, options={"scan": scan, "view": 13})
    walk(env, (FORWARD, TURN))
    state = env.save_state()
    expected = walk(env)
    env.restore_state(state)
    np.testing.assert_array_equal(walk(env), expected)
    other = LightInteractionEnv(world, observation="frame")
    other.reset(options={"state": state})
    np.testing.assert_array_equal(walk(other), expected)
    (after,), *_ = other.simulate([state], [FORWARD])
    np.testing.assert_array_equal(after.frames[-1], expected[0])
    assert after.episode.bank is state.episode.bank
    many = LightInteractionVectorEnv(3, world=world, observation="frame")
    many.reset(seed=5)
    many.restore_state([state], [1])
    many.fork(1, 2)
    for step, action in enumerate((FORWARD, TURN, TURN, FORWARD, FORWARD)):
        frames = many.step(np.array([STILL, action, action]))[0]
        np.testing.assert_array_equal(frames[1], expected[step])
        np.testing.assert_array_equal(frames[2], expected[step])
    assert many.save_state()[0].episode.bank is None


def test_a_report_names_the_views_and_its_plans_run_again(world: AnalyticWorld, scan: Scan) -> None:
    engine = Engine(world, LightInteractionEnv(world).preset)
    (begun,) = begin(engine, [4], [{"scan": scan, "view": 20}])
    motions = [CameraMotion(forward=0.2), CameraMotion(yaw=9.0)] * 12
    report = roll_out(world, engine.config, begun, motions, 4).report
    assert report["scan"] == {"path": "", "sha256": scan.content_hash, "views": 72}
    assert all(len(chunk["views"]) + len(chunk["memory"]) == 8 for chunk in report["chunks"])
    assert report["chunks"][0]["context_latents"] == 8
    plans, states = stored_plans(report), [begun.episode]
    again = []
    for index, plan in enumerate(plans):
        count = 3 if index == 0 else 4
        start = 0 if index == 0 else 4 * index - 1
        commands = [*motions, *[CameraMotion()] * 8][start : start + count]
        states, (result,) = engine.step(states, [commands], [plan])
        again.append(result.plan)
    assert again == plans
    with pytest.raises(ValueError, match=r"plans\[0\].views: .* use none, the episode has no scan"):
        bare = replace(begun.episode, bank=None)
        engine.step([bare], [[CameraMotion()] * 3], [plans[0]])
    with pytest.raises(ValueError, match=r"plans\[0\].views: .* use different views from 0 to 71"):
        engine.step([begun.episode], [[CameraMotion()] * 3], [replace(plans[0], views=(1, 72))])


def test_the_bench_drives_the_path_that_the_environment_takes(world: AnalyticWorld, scan: Scan) -> None:
    env = LightInteractionEnv(world, observation="chunk", scan=scan)
    env.reset(seed=7, options={"view": 30})
    engine = Engine(world, env.preset)
    (begun,) = begin(engine, [7], [{"scan": scan, "view": 30}])
    frames, motions = [], []
    for action in (FORWARD, TURN, FORWARD, FORWARD, FORWARD):
        observation, _, _, _, info = env.step(action)
        frames.append(observation[-info["new_frames"] :])
        motions += [CameraMotion(*row) for row in info["motion"][-info["new_latents"] :].tolist()]
    made = roll_out(world, env.preset, begun, motions, 7)
    np.testing.assert_array_equal(made.frames[1:], np.concatenate(frames))


# Many episodes


def test_environments_of_a_batch_equal_single_ones(world: AnalyticWorld, scan: Scan) -> None:
    scans = [scan, shifted(scan, 3.0), shifted(scan, -3.0)]
    many = LightInteractionVectorEnv(6, world=world, observation="frame", scans=scans)
    frames, infos = many.reset(seed=10)
    after = many.step(np.full(6, TURN))[0]
    assert len({state.episode.bank.content_hash for state in many.save_state()}) > 1
    for index in range(6):
        env = LightInteractionEnv(world, observation="frame", scans=scans)
        frame, info = env.reset(seed=10 + index)
        np.testing.assert_array_equal(frame, frames[index])
        np.testing.assert_array_equal(info["pose"], infos["pose"][index])
        np.testing.assert_array_equal(env.step(TURN)[0], after[index])


def test_every_environment_takes_its_own_options(world: AnalyticWorld, scan: Scan) -> None:
    many = LightInteractionVectorEnv(4, world=world, observation="frame")
    pose = level(np.array(0.5), np.array(0.5), np.array(1.0))
    frames, infos = many.reset(
        seed=0, options={"each": [{"scan": scan, "view": 9}, {}, {"scan": scan, "pose": pose}, {"scan": scan}]}
    )
    np.testing.assert_array_equal(frames[0], scan.images[9])
    np.testing.assert_array_equal(infos["pose"][2], pose)
    env = LightInteractionEnv(world, observation="frame")
    np.testing.assert_array_equal(frames[1], env.reset(seed=1)[0])
    np.testing.assert_array_equal(frames[2], env.reset(seed=2, options={"scan": scan, "pose": pose})[0])
    after = many.step(np.full(4, FORWARD))
    np.testing.assert_array_equal(after[0][2], env.step(FORWARD)[0])
    assert after[4]["scan_views"].tolist() == [8, 0, 8, 8]


def test_latents_of_a_scan_are_there_once(scan: Scan) -> None:
    world = AnalyticWorld()
    many = LightInteractionVectorEnv(64, world=world, observation="frame", scans=[scan, shifted(scan, 1.0)])
    many.reset(seed=0)
    env = LightInteractionEnv(world, scan=scan)
    env.reset(seed=0)
    banks = [state.episode.bank for state in (*many.save_state(), env.save_state())]
    assert len({id(bank.latents) for bank in banks}) == 2
    del many, env, banks
    gc.collect()
    assert len(encoded._banks[world]) == 0


def test_first_chunks_of_other_worlds_are_grounded_too(scan: Scan) -> None:
    film = FilmWorld(15, 10, 4)
    small = Scan(np.zeros((72, 12, 16, 3), np.uint8), scan.poses)
    env = LightInteractionEnv(film, observation="frame", scan=small)
    env.reset(seed=0, options={"view": 0})
    for _ in range(3):
        assert env.step(TURN)[4]["scan_views"] == 8


def test_the_world_still_keeps_its_contract(world: AnalyticWorld) -> None:
    check_world(world)
