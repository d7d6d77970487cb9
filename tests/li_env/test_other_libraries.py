"""Infos go through what other libraries make of them. Needs Minari, TorchRL and array-api-compat, each on its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

import li_env  # noqa: F401  (registers the ids)
from tests.analytic_world import AnalyticWorld

TASKS = ("Explore", "PointGoal")


def make_vec(task: str, mode: str, **kwargs: Any) -> gymnasium.vector.VectorEnv:
    return gymnasium.make_vec(
        f"LightInteraction/{task}-v0", 2, vectorization_mode="vector_entry_point", world=AnalyticWorld(),
        observation="frame", autoreset_mode=mode, max_episode_steps=3, **kwargs,
    )  # fmt: skip


@pytest.mark.parametrize("task", TASKS)
def test_minari_collects_infos(task, tmp_path: Path, monkeypatch):
    minari = pytest.importorskip("minari")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    env = gymnasium.make(f"LightInteraction/{task}-v0", world="analytic", observation="frame")
    stop = [] if task == "Explore" else [env.action_space.n - 1]
    collector = minari.DataCollector(env, record_infos=True)
    paths, poses = ([1, 6, 1, *stop], [5, 1]), []
    for seed, actions in enumerate(paths):
        poses.append([collector.reset(seed=seed)[1]["pose"]])
        poses[-1] += [collector.step(action)[4]["pose"] for action in actions]
    data = collector.create_dataset(
        dataset_id=f"li-env/{task.lower()}-v0", algorithm_name="x", author="x", author_email="x", code_permalink="x"
    )
    for episode, expected in zip(data, poses, strict=True):
        np.testing.assert_array_equal(episode.infos["pose"], expected)
        assert episode.infos["frame_poses"].shape == (len(expected), 4, 4, 4)
        assert episode.infos["new_frames"].tolist()[:2] == [1, 3]


@pytest.mark.parametrize("device_obs", [False, True])
@pytest.mark.parametrize("mode", ["SameStep", "Disabled"])
@pytest.mark.parametrize("task", TASKS)
def test_torchrl_rolls_out_past_the_end_of_episodes(task, mode, device_obs):
    """TorchRL itself refuses NextStep."""
    envs = pytest.importorskip("torchrl.envs")
    env = make_vec(task, mode, device_obs=device_obs)
    data = envs.GymWrapper(env).rollout(7, break_when_any_done=False)
    assert tuple(data.batch_size) == (2, 7)
    # Actions are random, `stop` among them; at the latest the third step ends an episode and a new one begins.
    done = data["next", "done"][..., 0]
    for begin in range(5):
        assert done[:, begin : begin + 3].any(dim=1).all()


@pytest.mark.parametrize("mode", ["NextStep", "Disabled"])
@pytest.mark.parametrize("task", TASKS)
def test_numpy_to_torch_converts_everything(task, mode):
    """Leave out SameStep: Gymnasium's wrapper fails on ``final_obs``, an array of objects, on CartPole as well."""
    pytest.importorskip("array_api_compat")
    plain = make_vec(task, mode)
    env = gymnasium.wrappers.vector.NumpyToTorch(make_vec(task, mode))
    plain.reset(seed=0)
    env.reset(seed=0)
    for _ in range(5):
        expected, converted = plain.step(np.array([1, 6])), env.step(torch.tensor([1, 6]))
        assert converted[4].keys() == expected[4].keys()
        for key, value in converted[4].items():
            assert isinstance(value, torch.Tensor)
            np.testing.assert_array_equal(value.numpy(), expected[4][key])
        over = expected[2] | expected[3]
        if mode == "Disabled" and over.any():
            plain.reset(options={"reset_mask": over})
            env.reset(options={"reset_mask": torch.from_numpy(over)})
