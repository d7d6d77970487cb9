"""PointGoal and ImageGoal: sensors, reward, stop and measures, on the test room and on a map with known walls."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_env_sb3

import li_env  # noqa: F401  (registers the ids)
from li_env.accel.geometry.camera import CameraMotion, follow, move
from li_env.accel.runtime.chunk import PlannedChunk
from li_env.actions import ACTION_SPACES, ActionMapper
from li_env.doom.geodesic import map_distance, metres_to_goal
from li_env.doom.known_maps import known_map
from li_env.tasks import EpisodeDataset, EpisodeRecord, NavigationRules, PointGoal
from li_env.tasks.goals import Wish
from li_env.tasks.navigation import NavigationState, pose_at
from li_env.worlds.freedoom.ground_truth import FreedoomTruth
from li_env.worlds.freedoom.start_frames import StartFrames
from li_env.worlds.freedoom.weights import packaged_folder
from tests.analytic_world import SPEC
from tests.narrow_freedoom import NAME

ID = "LightInteraction/PointGoal-v0"
FORWARD, TURN_RIGHT, STOP = 1, 6, 9
PICTURE = np.full((96, 128, 3), 9, np.uint8)


def make(task: str = "PointGoal", world: str = "analytic", **kwargs: object) -> gymnasium.Env:
    return gymnasium.make(f"LightInteraction/{task}-v0", world=world, **kwargs)


def in_known_maps(*records: EpisodeRecord) -> gymnasium.Env:
    """Make the test room, whose episodes claim to lie in generated maps."""
    truth = FreedoomTruth(StartFrames.load(packaged_folder()))
    task = PointGoal(SPEC, EpisodeDataset(records, {}), truth=truth)
    return gymnasium.make("LightInteraction/PointGoal-v0", world="analytic", task=task)


def ahead(distance: float, yaw: float = 0.0) -> dict[str, object]:
    """Reset options: a goal straight ahead or ``yaw`` degrees to the right of a start at the room's centre."""
    return {"start": 0, "goal": move(np.eye(4), CameraMotion(yaw=yaw, forward=distance))[[0, 2], 3]}


@pytest.mark.parametrize("action_space", ACTION_SPACES)
def test_passes_the_checkers(world_name, action_space):
    env = make(world=world_name, action_space=action_space, observation="frame", render_mode="rgb_array").unwrapped
    check_env(env)
    check_env_sb3(env, warn=False)


def test_passes_the_checkers_with_image_goals():
    env = make("ImageGoal", NAME, observation="frame", render_mode="rgb_array").unwrapped
    check_env(env)
    check_env_sb3(env, warn=False)


def test_the_sensor_gives_distance_and_bearing_of_the_goal():
    env = make()
    for yaw in (-170.0, -60.0, 0.0, 30.0, 135.0):
        observation, _ = env.reset(seed=0, options=ahead(3.0, yaw))
        np.testing.assert_allclose(observation["pointgoal"], [3.0, np.radians(yaw)], atol=1e-6)
    env.reset(seed=0, options=ahead(3.0))
    observation, *_ = env.step(TURN_RIGHT)  # three latents of 15 degrees: the goal is now on the left
    np.testing.assert_allclose(observation["pointgoal"], [3.0, -np.radians(45)], atol=1e-6)


def test_stop_within_the_radius_is_success_and_makes_no_chunk():
    env = make()
    env.reset(seed=0, options=ahead(3.0))
    before, reward, terminated, _, info = env.step(FORWARD)
    assert reward == pytest.approx(2.25 - 0.01)
    assert not terminated
    assert (info["success"], info["path_length"]) == (0.0, pytest.approx(2.25))
    after, reward, terminated, truncated, info = env.step(STOP)
    np.testing.assert_array_equal(before["rgb"], after["rgb"])
    assert (terminated, truncated) == (True, False)
    assert reward == pytest.approx(2.5 - 0.01)
    assert (info["success"], info["spl"], info["num_steps"], info["chunk"]) == (1.0, 1.0, 2, 1)
    assert info["soft_spl"] == pytest.approx(1 - 0.75 / 3)
    assert "accel" not in info
    with pytest.raises(ResetNeeded, match="the task has ended"):
        env.step(FORWARD)


def test_stop_too_early_and_no_stop_at_all_are_no_success():
    env = make()
    env.reset(seed=0, options=ahead(3.0))
    assert env.step(STOP)[1] == pytest.approx(-0.01)
    env.reset(seed=0, options=ahead(2.25))
    _, _, terminated, _, info = env.step(FORWARD)
    assert info["distance_to_goal"] == pytest.approx(0.0, abs=1e-9)
    assert (terminated, info["success"], info["spl"]) == (False, 0.0, 0.0)


def test_detours_lower_spl_and_walls_count_as_collisions():
    env = make()
    env.reset(seed=0, options=ahead(3.0))
    env.step(FORWARD)
    *_, info = env.step(FORWARD)  # 3 m wanted, the wall stops the body after 1.25 m
    assert info["path_length"] == pytest.approx(3.5)
    assert (info["collisions"], info["distance_to_goal"]) == (1, pytest.approx(0.5))
    *_, info = env.step(STOP)
    assert info["spl"] == pytest.approx(3.0 / 3.5)
    assert info["soft_spl"] == pytest.approx((1 - 0.5 / 3.0) * 3.0 / 3.5)


def test_a_glancing_contact_counts_once_a_step_and_rounding_does_not():
    task = PointGoal(SPEC)
    goal = task._drawn(Wish((0.0, 9.0)), np.eye(4), np.random.default_rng(0))
    asked = (CameraMotion(forward=0.75),) * 4

    def count(*real: CameraMotion) -> int:
        state = NavigationState(goal, np.eye(4), 9.0, 9.0)
        poses = follow(np.eye(4), real)
        return task.advance(state, PlannedChunk(None, poses, real, asked)).collisions

    assert count(*asked) == 0
    assert count(*[CameraMotion(forward=0.75 * (1 + 1e-7), right=1e-8)] * 4) == 0
    slid = CameraMotion(forward=0.7499, right=0.001)  # along a wall: next to nothing is lost
    assert count(asked[0], slid, asked[2], asked[3]) == count(slid, slid, slid, slid) == 1
    assert count(asked[0], asked[1], asked[2], CameraMotion(forward=0.75, right=2e-5)) == 1


def test_the_rewards_of_an_episode_add_up_to_the_way_gained():
    env = make()
    env.reset(seed=0, options=ahead(3.0, 40.0))
    outcomes = [env.step(action) for action in (TURN_RIGHT, FORWARD, 4, 2)]
    total = sum(outcome[1] for outcome in outcomes)
    assert total == pytest.approx(3.0 - outcomes[-1][4]["distance_to_goal"] - 4 * 0.01)


def test_goals_without_a_dataset_are_drawn_in_view_from_the_seed():
    env = make()
    goals = []
    for seed in range(20):
        observation, info = env.reset(seed=seed)
        again, _ = env.reset(seed=seed)
        np.testing.assert_array_equal(observation["pointgoal"], again["pointgoal"])
        distance, bearing = observation["pointgoal"]
        assert 4 <= distance <= 12
        assert abs(bearing) <= np.pi / 4 + 1e-6
        goals.append(tuple(info["goal"]))
    assert len(set(goals)) == 20


def test_explore_has_no_stop_and_goal_tasks_do():
    assert make("Explore").action_space.n == 9
    assert make().action_space.n == 10
    keys = ActionMapper("keyboard_mouse", SPEC.motion, can_stop=True)
    assert keys.to_motion([1, 0, 0, 0, 0, 0, 0.6]) is None
    assert keys.to_motion([1, 0, 0, 0, 0, 0, 0.5]) == CameraMotion(forward=0.75)
    assert ActionMapper("continuous", SPEC.motion, can_stop=True).to_motion([1, 0, 0, 1]) is None


def test_imagegoal_shows_the_goal_and_needs_one():
    env = make("ImageGoal")
    observation, _ = env.reset(seed=0, options={**ahead(3.0), "goal_image": PICTURE})
    np.testing.assert_array_equal(observation["imagegoal"], PICTURE)
    observation["imagegoal"][:] = 0
    assert env.step(FORWARD)[0]["imagegoal"].any()
    with pytest.raises(ValueError, match="imagegoal needs a picture of the goal"):
        env.reset(seed=0)
    with pytest.raises(ValueError, match="'goal' and 'goal_image' go together"):
        env.reset(seed=0, options=ahead(3.0))


@pytest.fixture(scope="module")
def corner() -> EpisodeRecord:
    """Draw an episode whose goal lies behind a wall, on a map with known walls."""
    rng = np.random.default_rng(0)
    space = known_map(2).space
    for _ in range(1000):
        goal, start = (np.array(space.sample(rng)) / 32 for _ in range(2))
        here, there = ((-p[1], p[0], 0.0) for p in (start, goal))
        geodesic = metres_to_goal(map_distance(2, *there[:2]), *here[:2])
        if 2 * np.hypot(*(goal - start)) < geodesic:
            return EpisodeRecord(start=0, pose=here, goal=there, map_seed=2)
    raise AssertionError("a maze without a corner")


def test_distances_follow_the_corridors_where_the_map_is_known(corner):
    known = in_known_maps(corner)
    _, info = known.reset(seed=0)
    np.testing.assert_allclose(info["pose"], pose_at(corner.pose))
    straight = np.hypot(corner.goal[0] - corner.pose[0], corner.goal[1] - corner.pose[1])
    assert info["distance_to_goal"] > 2 * straight
    unknown = make(dataset=EpisodeDataset((EpisodeRecord(0, corner.pose, corner.goal),), {}))
    assert unknown.reset(seed=0)[1]["distance_to_goal"] == pytest.approx(straight)


def test_a_map_that_the_world_does_not_know_is_refused(corner):
    with pytest.raises(ValueError, match="map_seed=2 is of no use to world 'analytic', which knows no maps"):
        make(dataset=EpisodeDataset((corner,), {}))


def test_a_goal_outside_the_map_is_refused(corner):
    for goal in ((500.0, 500.0, 0.0), (-1e5, 3.0, 0.0)):
        outside = EpisodeRecord(start=0, pose=corner.pose, goal=goal, map_seed=2)
        with pytest.raises(ValueError, match=r"episodes\[0\]: goal=.* is outside map 2: it lies inside a wall"):
            in_known_maps(outside).reset(seed=0)


def test_an_episode_can_be_named_and_is_drawn_otherwise():
    records = tuple(EpisodeRecord(start=k % 2, pose=(0, 0, 0), goal=(0, 1.0 + k, 0), seed=k) for k in range(5))
    env = make(dataset=EpisodeDataset(records, {}))
    _, info = env.reset(seed=0, options={"episode": 3})
    assert (info["episode_index"], info["distance_to_goal"], info["episode_seed"]) == (3, 4.0, 3)
    assert {env.reset(seed=seed)[1]["episode_index"] for seed in range(40)} == set(range(5))
    _, info = env.reset(seed=0, options=ahead(2.0))
    assert (info["episode_index"], info["distance_to_goal"]) == (-1, pytest.approx(2.0))


def test_start_frames_of_a_dataset_are_shown():
    frames = {"start": np.stack([PICTURE, PICTURE + 1]), "goal": np.stack([PICTURE + 2])}
    records = (EpisodeRecord(start=1, pose=(0, 0, 0), goal=(0, 2.0, 0), goal_frame=0),)
    observation, info = make("ImageGoal", dataset=EpisodeDataset(records, frames)).reset(seed=0)
    assert np.all(observation["rgb"] == PICTURE + 1)
    assert np.all(observation["imagegoal"] == PICTURE + 2)
    assert info["start_index"] == -1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"goal": [1, 2, 3]}, r"goal=\[1, 2, 3\] is not usable; allowed: two finite numbers"),
        ({"goal": "there"}, "goal='there' is not usable"),
        ({"goal": [np.inf, 0]}, "goal=.*inf.* is not usable"),
        ({"goal": [0.0, 1e7]}, "below 1e6"),
        ({"gaol": [1, 2]}, r"reset option key='gaol' is unknown \(did you mean 'goal'\?\)"),
        ({"episode": 0}, "reset option 'episode' needs a dataset"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        make().reset(seed=0, options=options)


@pytest.mark.parametrize("episode", [-1, 72, 0.5, True])
def test_an_episode_that_is_not_there_is_refused(episode):
    with pytest.raises(ValueError, match="is not in the dataset; allowed: 0 to 71"):
        make(world=NAME).reset(options={"episode": episode})


def test_the_episode_excludes_other_options():
    with pytest.raises(ValueError, match="reset option 'episode' excludes the others; given with it: start"):
        make(world=NAME).reset(options={"episode": 0, "start": 1})


def test_rules_are_checked_and_can_be_replaced():
    assert NavigationRules.default() == NavigationRules(1.5, 2.5, -0.01, (4.0, 12.0))
    with pytest.raises(ValueError, match="success_radius=0 is not allowed"):
        NavigationRules(0, 1, 0, (1, 2))
    with pytest.raises(ValueError, match=r"goal_distance\[1\]=2 is not allowed; use a finite number from 3 up"):
        NavigationRules(1, 1, 0, (3, 2))
    strict = PointGoal(SPEC, rules=NavigationRules(0.5, 2.5, -0.01, (1.0, 2.0)))
    env = make(task="Explore")  # a task object takes the place of the registered name
    env = gymnasium.make(ID, world="analytic", task=strict)
    env.reset(seed=0, options=ahead(3.0))
    env.step(FORWARD)
    assert env.step(STOP)[4]["success"] == 0.0


def test_a_fork_shares_nothing_that_changes():
    env = make()
    env.reset(seed=0, options=ahead(3.0))
    env.step(FORWARD)
    saved = env.unwrapped.save_state()
    ended = env.step(STOP)
    env.unwrapped.restore_state(saved)
    np.testing.assert_equal(env.step(STOP)[1:], ended[1:])
    env.unwrapped.restore_state(saved)
    assert env.step(TURN_RIGHT)[2] is False


def test_worlds_of_a_vector_environment_stop_one_by_one():
    goals = {"each": [ahead(3.0), ahead(2.0, 90.0), ahead(2.25)]}
    kwargs = {"world": "analytic", "observation": "frame", "autoreset_mode": "SameStep"}
    venv = gymnasium.make_vec(ID, 3, vectorization_mode="vector_entry_point", **kwargs)
    shown, _ = venv.reset(seed=0, options=goals)
    np.testing.assert_allclose(shown["pointgoal"][:, 0], [3.0, 2.0, 2.25], atol=1e-6)
    assert shown["rgb"].shape == (3, 96, 128, 3)
    venv.step(np.array([FORWARD, TURN_RIGHT, FORWARD]))
    after, rewards, terminations, _, infos = venv.step(np.array([STOP, TURN_RIGHT, STOP]))
    np.testing.assert_array_equal(terminations, [True, False, True])
    np.testing.assert_allclose(rewards, [2.49, -0.01, 2.49], atol=1e-9)
    np.testing.assert_array_equal(infos["final_info"]["success"], [1.0, 0.0, 1.0])
    np.testing.assert_allclose(infos["final_obs"][2]["pointgoal"][0], 0.0, atol=1e-6)
    np.testing.assert_allclose(after["pointgoal"][1], [2.0, np.radians(90 - 45 - 60)], atol=1e-6)
    assert (after["pointgoal"][[0, 2], 0] >= 4).all(), "new episodes with goals of their own"
    venv.close()
