from __future__ import annotations

import gymnasium
import numpy as np
import pytest

import li_env  # noqa: F401
from li_env.env import LightInteractionEnv
from li_env.episodes import EpisodeRunner, open_episodes
from li_env.rollouts import View, play_episodes
from li_env.tasks import EpisodeDataset, EpisodeRecord, NavigationRules, PointGoal
from li_env.vector_env import LightInteractionVectorEnv
from tests.analytic_world import SPEC, AnalyticWorld


def point_goals() -> PointGoal:
    goals = [(0.5, 2.0), (-1.0, 1.0), (1.0, -2.0), (-1.5, -1.5), (0.0, 3.0), (2.0, 0.0), (-2.0, 0.5)]
    records = [EpisodeRecord(0, (0.0, 0.0, 0.0), (*goal, 0.0)) for goal in goals]
    return PointGoal(SPEC, EpisodeDataset(tuple(records), {}), NavigationRules(0.8, 2.5, -0.01, (1.0, 3.0)))


@pytest.fixture
def runner() -> EpisodeRunner:
    return open_episodes(AnalyticWorld(), action_space="continuous", observation="chunk", task=point_goals())


OPTIONS = [{"episode": index} for index in range(7)]


class Drunkard:
    """Draws its moves, remembers how many it made, and stops at random: episodes of 1 to 6 steps."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []

    def act(self, views):
        self.calls.append([view.info["episode_index"] for view in views])
        actions = []
        for view in views:
            stop = view.generator.random() < 0.25
            actions.append(np.array([*view.generator.uniform(-1, 1, 3), float(stop)], np.float32))
        return actions, [(view.memory or 0) + 1 for view in views]


def summary(episode) -> tuple:
    frames = np.concatenate([observation["rgb"] for observation in episode.observations])
    poses = np.stack([info["pose"] for info in episode.infos])
    return (
        *(episode.number, episode.terminated, episode.truncated, sorted(episode.measures.items())),
        *(np.array(episode.actions).tobytes(), episode.rewards.tobytes(), frames.tobytes(), poses.tobytes()),
    )


def played(runner, options=OPTIONS, **arguments) -> dict[int, tuple]:
    arguments = {"max_steps": 6, "observations": True, **arguments}
    return {episode.number: summary(episode) for episode in play_episodes(runner, Drunkard().act, options, **arguments)}


def test_batch_and_order_and_company_change_nothing(runner):
    alone = played(runner, batch=1)
    assert len(alone) == 7
    assert len({value[4] for value in alone.values()}) == 7, "every episode draws by itself"
    for batch in (2, 3, 16):
        assert played(runner, batch=batch) == alone
    assert played(runner, OPTIONS[::-1], batch=3) == alone
    assert played(runner, OPTIONS[2:4]) == {number: alone[number] for number in (2, 3)}


def test_both_seeds_count(runner):
    def difference(**other) -> list[str]:
        before, after = played(runner, OPTIONS[:1], seed=5), played(runner, OPTIONS[:1], **other)
        (first,), (second,) = before.values(), after.values()
        return [name for name, item in (("actions", 4), ("frames", 6)) if first[item] != second[item]]

    assert difference(seed=5) == []
    assert "actions" in difference(seed=5, agent_seed=1)
    assert difference(seed=6) == ["frames"]


def test_no_step_is_computed_for_an_episode_that_is_over_and_rows_are_filled_at_once(runner):
    stepped = []
    inner = runner.step

    def step(states, actions):
        stepped.append(len(states))
        assert not any(runner.terminated(state) for state in states)
        return inner(states, actions)

    runner.step = step
    policy = Drunkard()
    episodes = list(play_episodes(runner, policy.act, OPTIONS, max_steps=6, batch=3))
    assert sum(stepped) == sum(len(episode.actions) for episode in episodes)
    begun: set[int] = set()
    for call in policy.calls:
        begun |= set(call)
        assert len(call) == 3 or len(begun) == 7, "a row stays empty only when no episode is left"
    assert len(policy.calls[-1]) < 3


def test_episodes_come_as_they_end_or_in_order(runner):
    orders = {}
    for in_order in (False, True):
        episodes = list(play_episodes(runner, Drunkard().act, OPTIONS, max_steps=6, batch=7, in_order=in_order))
        orders[in_order] = [episode.index for episode in episodes]
        lengths = [len(episode.actions) for episode in episodes]
        assert in_order or lengths == sorted(lengths)
    assert orders[True] == list(range(7)) == sorted(orders[False]) != orders[False]


def test_it_is_lazy(runner):
    asked = []

    def options():
        for index in range(1000):
            asked.append(index)
            yield {"episode": index % 7}

    episodes = play_episodes(runner, Drunkard().act, options(), max_steps=6, batch=2)
    first = next(episodes)
    assert first.index in (0, 1)
    assert len(asked) <= 2 + 6


def test_an_episode_is_what_the_environment_plays(runner):
    """Compare with the environment by itself: same start and actions, same observations, rewards, infos and end."""
    (episode,) = play_episodes(runner, Drunkard().act, [{"episode": 4}], max_steps=6, observations=True)
    env = LightInteractionEnv(runner.world, "off", "continuous", "chunk", task=point_goals())
    env.np_random = np.random.default_rng([0, 4])
    observation, info = env.reset(options={"episode": 4})
    for step, action in enumerate(episode.actions):
        np.testing.assert_array_equal(episode.observations[step]["rgb"], observation["rgb"])
        np.testing.assert_array_equal(episode.infos[step]["pose"], info["pose"])
        observation, reward, terminated, _, info = env.step(action)
        assert episode.rewards[step] == reward
    np.testing.assert_array_equal(episode.observations[-1]["rgb"], observation["rgb"])
    assert episode.terminated == terminated
    assert len(episode.observations) == len(episode.infos) == len(episode.actions) + 1
    assert episode.measures["success"] == info["success"]
    assert episode.measures["path_length"] == pytest.approx(info["path_length"])


def test_episodes_are_cut_at_the_limit(runner):
    ahead = np.array([1, 0, 0, 0], np.float32)
    episodes = list(
        play_episodes(runner, lambda views: ([ahead] * len(views), None), OPTIONS[:3], max_steps=4, batch=2)
    )
    assert [len(episode.actions) for episode in episodes] == [4, 4, 4]
    assert all(episode.truncated and not episode.terminated for episode in episodes)
    assert episodes[0].observations is None


def test_environments_of_every_kind(runner):
    gymnasium.register("Test/Point-v0", LightInteractionEnv, max_episode_steps=3)
    arguments = {"world": runner.world, "preset": "off", "action_space": "continuous", "task": point_goals()}
    single = gymnasium.make("Test/Point-v0", **arguments)
    many = LightInteractionVectorEnv(2, max_episode_steps=3, **arguments)
    expected = played(runner, max_steps=3)
    assert played(single, max_steps=None) == expected
    assert played(many, max_steps=None, batch=2) == expected
    gymnasium.registry.pop("Test/Point-v0")
    with pytest.raises(ValueError, match="env=TransformReward cannot be played here; allowed: an environment of this"):
        play_episodes(gymnasium.wrappers.TransformReward(single, abs), Drunkard().act, 1)
    with pytest.raises(ValueError, match="max_steps=None needs an environment with a time limit"):
        play_episodes(runner, Drunkard().act, 1)


def test_a_number_of_episodes_draws_their_starts(runner):
    first, again = (
        [
            episode.infos[0]["episode_index"]
            for episode in play_episodes(runner, Drunkard().act, 12, max_steps=1, batch=b)
        ]
        for b in (1, 12)
    )
    assert first == again
    assert len(set(first)) > 3


def test_repetitions_differ_and_numbers_name_episodes(runner):
    both = list(play_episodes(runner, Drunkard().act, [{"episode": 3}] * 2, max_steps=6, batch=1))
    assert [episode.number for episode in both] == [3, 3]
    assert both[0].infos[0]["episode_seed"] != both[1].infos[0]["episode_seed"]
    whole = played(runner, 5)
    assert played(runner, 2, numbers=[3, 1]) == {number: whole[number] for number in (1, 3)}
    with pytest.raises(ValueError, match="numbers: 1 given for more episodes; one per episode is needed"):
        list(play_episodes(runner, Drunkard().act, 2, max_steps=1, numbers=[0]))


def test_an_episode_may_begin_at_a_saved_state(runner):
    (before,) = play_episodes(runner, lambda views: ([np.zeros(4, np.float32)], None), OPTIONS[:1], max_steps=2)
    (after,) = play_episodes(runner, Drunkard().act, [{"state": before.last}], max_steps=1)
    assert after.infos[0]["chunk"] == 2
    assert after.infos[1]["chunk"] in (2, 3)


def test_a_view_built_by_hand_has_a_generator_of_its_own():
    first, second = View({}, {}, None), View({}, {}, None)
    assert first.generator.random() != second.generator.random()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"options": -1}, "options=-1 is not allowed"),
        ({"options": [{"episode": 0}, {"start_": 1}]}, "reset option key='start_' is unknown"),
        ({"batch": 0}, "batch=0 is not allowed; use a whole number from 1 up"),
        ({"seed": -1}, "seed=-1 is not allowed; use a whole number from 0 up"),
        ({"agent_seed": 1.5}, "agent_seed=1.5 is not allowed"),
        ({"options": [{"episode": "first"}]}, "reset option episode='first' is not allowed"),
        ({"max_steps": 0}, "max_steps=0 is not allowed"),
        ({"env": object()}, "env=object cannot be played here"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_played(runner, wrong, message):
    arguments = {"env": runner, "options": 1, "max_steps": 1, **wrong}
    with pytest.raises(ValueError, match=message):
        play_episodes(act=lambda views: pytest.fail("played"), **arguments)


def test_a_policy_that_forgets_views_is_refused(runner):
    with pytest.raises(ValueError, match="actions: the policy gave 0 for 2 views; one per view is needed"):
        next(play_episodes(runner, lambda views: ([], None), OPTIONS, max_steps=1, batch=2))
    still = np.zeros(4, np.float32)
    with pytest.raises(ValueError, match="memories: the policy gave 1 for 2 views"):
        next(play_episodes(runner, lambda views: ([still] * 2, [None]), OPTIONS, max_steps=1, batch=2))


def test_the_preset_is_that_of_the_environment_now():
    def forth_and_back(views):
        return [5 if len(view.info) and view.info["chunk"] % 2 else 6 for view in views], None

    def cheapest(env, options=1) -> int:
        (episode,) = play_episodes(env, forth_and_back, options, max_steps=7)
        return min(info["denoising_steps"] for info in episode.infos[1:])

    env = LightInteractionEnv(AnalyticWorld(), preset="all")
    many = LightInteractionVectorEnv(2, world=AnalyticWorld(), preset="all")
    for each in (env, many):
        assert cheapest(each) < 4
        each.preset = "off"
        assert cheapest(each) == 4
        assert cheapest(each, [{"preset": "all"}]) < 4
    many.preset = ["off", "all"]
    with pytest.raises(ValueError, match="preset: the environments have .'all', 'off'.; allowed: one for all"):
        cheapest(many)
