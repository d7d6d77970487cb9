"""Frames from several maps, in this process and in others, are those of a renderer of their own."""

from __future__ import annotations

import numpy as np
import pytest

from li_env.worlds.freedoom.doom.maps import generate_map, write_wad
from li_env.worlds.freedoom.doom.renderer import DoomRenderer, renderable_poses
from li_env.worlds.freedoom.doom.screens import LocalScreens, ScreenPool

pytest.importorskip("vizdoom")

SEEDS = (3, 4, 5)


@pytest.fixture(scope="module")
def views(tmp_path_factory) -> list[tuple[np.ndarray, np.ndarray]]:
    """(poses [4, 3], frames) per map."""
    maps = [generate_map(seed) for seed in SEEDS]
    wad = tmp_path_factory.mktemp("wad") / "maps.wad"
    write_wad(maps, wad)
    rng = np.random.default_rng(0)
    poses = [
        renderable_poses(np.array([[*entry.sample_free_position(rng), rng.uniform(0, 360)] for _ in range(4)]))
        for entry in maps
    ]
    with DoomRenderer(wad) as renderer:
        return [(places, renderer.render(index, places)) for index, places in enumerate(poses)]


@pytest.mark.parametrize("make", [lambda: LocalScreens(engines=2), lambda: ScreenPool(workers=2, engines=1)])
def test_frames_equal_those_of_one_renderer(views, make):
    screens = make()
    try:
        for order in ([0, 1, 2], [2, 0, 1, 0], [1]):
            asked = [views[index][0][: 1 + index] for index in order]
            frames = screens.render([SEEDS[index] for index in order], asked)
            for index, shown in zip(order, frames, strict=True):
                np.testing.assert_array_equal(shown, views[index][1][: 1 + index])
                assert shown.flags.writeable
    finally:
        screens.close()
        screens.close()


@pytest.mark.parametrize("make", [LocalScreens, lambda: ScreenPool(workers=2)])
def test_a_pose_that_cannot_be_is_refused_and_the_others_still_work(views, make):
    screens = make()
    try:
        away = np.array([[40000.0, 40000.0, 0.0]])
        with pytest.raises(ValueError, match="map 3 cannot be shown from"):
            screens.render([SEEDS[0], SEEDS[1]], [away, views[1][0]])
        (frames,) = screens.render([SEEDS[0]], [views[0][0]])
        np.testing.assert_array_equal(frames, views[0][1])
    finally:
        screens.close()
