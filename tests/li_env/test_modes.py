"""What docs/vector_env.md says about other libraries' wrappers, in each autoreset mode."""

from __future__ import annotations

import re
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.wrappers import vector

import li_env  # noqa: F401  (registers the ids)
from tests.analytic_world import AnalyticWorld

PAGE = Path(__file__).parents[2] / "docs" / "vector_env.md"
WRAPPERS = {
    "ResizeObservation": lambda env: vector.ResizeObservation(env, shape=(48, 64)),
    "GrayscaleObservation": vector.GrayscaleObservation,
    "RecordEpisodeStatistics": vector.RecordEpisodeStatistics,
    "ClipReward": lambda env: vector.ClipReward(env, 0, 1),
}
MODES = ("NextStep", "Disabled", "SameStep")


def said(name: str, mode: str) -> bool:
    """Tell whether the page says that a wrapper works in a mode."""
    text = PAGE.read_text(encoding="utf-8")
    columns = next(line for line in text.splitlines() if "`NextStep` |" in line).split("|")
    row = next(line for line in text.splitlines() if line.startswith("|") and f"{name}`" in line).split("|")
    return row[next(column for column, head in enumerate(columns) if f"`{mode}`" in head)].strip().startswith("yes")


def play(wrap, mode: str, **arguments) -> tuple[np.ndarray, list[np.ndarray]]:
    """Five steps over ends of episodes: the last frames, and the lengths of episodes that a wrapper has counted."""
    env = wrap(
        gymnasium.make_vec(
            "LightInteraction/Explore-v0", 2, vectorization_mode="vector_entry_point", world=AnalyticWorld(),
            observation="frame", autoreset_mode=mode, max_episode_steps=2, **arguments,
        )
    )  # fmt: skip
    frames, _ = env.reset(seed=0)
    lengths = []
    for _ in range(5):
        frames, _, terminations, truncations, infos = env.step(np.ones((2, *env.single_action_space.shape), np.int64))
        if "episode" in infos:
            lengths.append(infos["episode"]["l"])
        if mode == "Disabled" and truncations.any():
            frames, _ = env.reset(options={"reset_mask": terminations | truncations})
    env.close()
    return frames, lengths


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", WRAPPERS)
def test_wrappers_work_where_the_page_says_so(name, mode):
    if not said(name, mode):
        with pytest.raises(ValueError, match="autoreset_mode"):
            play(WRAPPERS[name], mode)
        return
    frames, lengths = play(WRAPPERS[name], mode)
    shapes = {"ResizeObservation": (2, 48, 64, 3), "GrayscaleObservation": (2, 96, 128)}
    assert frames.shape == shapes.get(name, (2, 96, 128, 3))
    if name == "RecordEpisodeStatistics":
        np.testing.assert_array_equal(lengths, [[2, 2]] * len(lengths))
        assert len(lengths) == 2


@pytest.mark.parametrize("mode", MODES)
def test_own_arguments_work_in_every_mode(mode):
    assert said("frame_size", mode)
    frames, _ = play(lambda env: env, mode, frame_size=(48, 64), grayscale=True, latent_actions=True)
    assert frames.shape == (2, 48, 64, 1)


def test_the_page_names_no_other_wrapper_for_many_worlds():
    named = set(re.findall(r"wrappers\.vector\.(\w+)", PAGE.read_text(encoding="utf-8")))
    assert named <= set(WRAPPERS)
