"""Minari's own loader reads what is written, and its environment plays it again, bit for bit."""

from __future__ import annotations

import minari
import numpy as np


def test_load_recover_and_replay(dataset, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(dataset / "minari"))
    data = minari.load_dataset("li-env/room-pointgoal-v0")
    assert data.total_episodes == 12
    env = data.recover_environment()
    described = list(data.storage.get_episode_metadata(range(12)))
    for episode, about in zip(data.iterate_episodes(), described, strict=True):
        assert about["id"] == episode.id
        observation, info = env.reset(seed=about["seed"], options=about["options"])
        for index, action in enumerate(episode.actions):
            for name, value in observation.items():
                np.testing.assert_array_equal(value, episode.observations[name][index])
            np.testing.assert_array_equal(info["pose"], episode.infos["pose"][index])
            observation, reward, terminated, truncated, info = env.step(action)
            assert reward == episode.rewards[index]
            assert (terminated, truncated) == (episode.terminations[index], episode.truncations[index])
        np.testing.assert_array_equal(observation["rgb"], episode.observations["rgb"][-1])
        assert terminated or truncated
    assert "EpisodeData" in repr(data[0])
    assert len(list(data.sample_episodes(3))) == 3
    assert [len(part) for part in minari.split_dataset(data, [4, 8])] == [4, 8]
