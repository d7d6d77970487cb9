from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from li_env.agents.config import read_config
from li_env.agents.macro_actions import MACRO_ACTIONS, MacroActions, macro_action_towards
from li_env.agents.mapper.agent import Mapper
from li_env.agents.mapper.config import MapperConfig
from li_env.agents.mapper.free_space_net import REACH, FreeSpaceNet, ray_angles
from li_env.agents.mapper.train import WEIGHTS
from li_env.agents.ppo.config import PPOConfig
from li_env.agents.registry import make_agent, train
from li_env.episodes import open_episodes
from li_env.rollouts import View
from li_env.tasks import EpisodeDataset, NavigationRules
from li_env.worlds.freedoom.ground_truth import FreedoomTruth
from li_env.worlds.freedoom.start_frames import StartFrames
from li_env.worlds.freedoom.weights import packaged_folder

CONFIG = MapperConfig(world="freedoom_game", steps=32, worlds=4, rounds=2, updates=4, batch_size=8)


TRUTH = FreedoomTruth(StartFrames.load(packaged_folder()))


class MapNet(FreeSpaceNet):
    """Network that knows the map: a mapper with perfect clearances."""

    def __init__(self, dataset: EpisodeDataset) -> None:
        super().__init__((96, 128))
        self.dataset, self.views = dataset, []

    def predict(self, frames: np.ndarray) -> torch.Tensor:
        assert len(frames) == len(self.views)
        maps = [self.dataset.episodes[view.info["episode_index"]].map_seed for view in self.views]
        pairs = zip(maps, self.views, strict=True)
        return torch.tensor(
            np.concatenate(
                [TRUTH.clearance(seed, view.info["pose"][None], ray_angles(90.0), REACH) for seed, view in pairs]
            ),
            dtype=torch.float32,
        )


@pytest.fixture(scope="module")
def blocked() -> EpisodeDataset:
    """Episodes whose goals lie behind walls."""
    pytest.importorskip("vizdoom")
    from li_env.worlds.freedoom.build_episodes import build_episodes

    rules = replace(NavigationRules.default(), goal_distance=(6.0, 14.0))
    return build_episodes(range(10_000_100, 10_000_112), 1, 2, 0, rules, detour=1.3)


@pytest.fixture(scope="module")
def trained(blocked, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mapper")
    entries = []
    train(CONFIG, folder, blocked, device="cpu", on_update=entries.append)
    return folder, entries


def test_a_mapper_with_perfect_clearances_gets_round_walls(blocked):
    runner = open_episodes("freedoom_game", "off", "continuous", "frame", task="pointgoal", dataset=blocked)
    net, count = MapNet(blocked), len(blocked.episodes)
    agent = Mapper(net, MacroActions(runner.actions.space, True), 90.0, 1.2)
    states = runner.start([np.random.default_rng(k) for k in range(count)], [{"episode": k} for k in range(count)])
    memories, going = [None] * count, list(range(count))
    for _ in range(32):
        net.views = [View(runner.observation(states[k]), runner.info(states[k]), states[k], memories[k]) for k in going]
        actions, kept = agent.act(net.views)
        for k, state, memory in zip(going, runner.step([states[k] for k in going], actions), kept, strict=True):
            states[k], memories[k] = state, memory
        going = [k for k in going if not runner.terminated(states[k])]
        if not going:
            break
    success = np.mean([runner.info(state)["success"] for state in states])
    runner.world.close()
    assert success >= 0.75


def test_a_training_leaves_a_network_a_log_and_snapshots(trained):
    folder, entries = trained
    assert entries == [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    steps = [entry["steps"] for entry in entries]
    assert 16 <= steps[0] <= 16 + 4 * 3 and 32 <= steps[1] <= 32 + 4 * 3
    assert [entry["frames"] for entry in entries] == [4 * count for count in steps]
    assert {"loss", "error", "seconds"} <= entries[0].keys()
    assert json.loads((folder / "agent.json").read_text())["agent"] == "mapper"
    names = [path.name for path in sorted((folder / "snapshots").iterdir())]
    assert names == [f"{count:09d}.safetensors" for count in steps]
    assert not list(folder.glob("**/*.tmp"))


def test_a_complete_training_is_not_repeated_and_another_one_refused(trained, blocked):
    folder, _ = trained
    before = (folder / WEIGHTS).stat().st_mtime_ns
    train(CONFIG, folder, blocked, device="cpu", on_update=lambda entry: pytest.fail("trained again"))
    assert (folder / WEIGHTS).stat().st_mtime_ns == before
    with pytest.raises(ValueError, match="holds an agent with another worlds, seed; use another folder"):
        train(replace(CONFIG, seed=1, worlds=2), folder, blocked, device="cpu")
    with pytest.raises(ValueError, match="holds another kind of agent, mapper; use another folder"):
        train(PPOConfig(), folder, blocked, device="cpu")


def test_the_folder_is_an_agent(trained, blocked):
    folder, _ = trained
    runner = open_episodes("freedoom_game", "off", "continuous", "frame", task="pointgoal", dataset=blocked)
    agent = make_agent(str(folder), runner)
    (start,) = runner.start([np.random.default_rng(0)], [{"episode": 0}])
    view = View(runner.observation(start), runner.info(start), start)
    (first,), (state,) = agent.act([view])
    (second,), _ = make_agent(str(folder), runner).act([view])
    np.testing.assert_array_equal(first, second)
    assert first in runner.actions.space
    assert (state.occupancy != 0).any()
    runner.world.close()


def test_mappers_play_pointgoal_with_single_frames(trained, blocked):
    folder, _ = trained
    runner = open_episodes("freedoom_game", "off", "continuous", "frame", task="imagegoal", dataset=blocked)
    with pytest.raises(ValueError, match="is a mapper and plays PointGoal only"):
        make_agent(str(folder), runner)
    runner = open_episodes("freedoom_game", "off", "continuous", "chunk", task="pointgoal", dataset=blocked)
    with pytest.raises(ValueError, match="observation='frame'"):
        make_agent(str(folder), runner)


def test_without_maps_there_is_nothing_to_learn_from(tmp_path, room):
    with pytest.raises(ValueError, match="names its maps"):
        train(replace(CONFIG, world="analytic"), tmp_path, world=room.world, device="cpu")


@pytest.mark.parametrize(
    ("turn", "clearance", "name"),
    [
        (0, 3, "forward"),
        (5, 1, "half_forward"),
        (-15, 3, "arc_left"),
        (15, 1, "half_forward"),
        (30, 3, "half_turn_right"),
        (-150, 3, "turn_left"),
    ],
)
def test_macro_actions_towards_a_direction(turn, clearance, name):
    assert list(MACRO_ACTIONS)[macro_action_towards(turn, clearance)] == name


def test_configurations_are_read_by_kind(tmp_path):
    from importlib.resources import files

    assert read_config(str(files("li_env.configs") / "agents" / "mapper.yaml")) == MapperConfig()
    path = tmp_path / "agent.yaml"
    for text, message in (
        ("agent: mapper\nhorizon: 3", "key='horizon' is unknown"),
        ("agent: maper", "did you mean 'mapper'"),
        ("agent: mapper\nrounds: 0", "rounds=0 is not allowed; use a whole number from 1 to"),
        (
            "agent: mapper\ntask: imagegoal",
            "task='imagegoal' cannot be learned by agent 'mapper'; allowed: pointgoal; agent",
        ),
        ("agent: mapper\nrandom: 2", "random=2 is not allowed; use a number from 0 to 1"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            read_config(path)
