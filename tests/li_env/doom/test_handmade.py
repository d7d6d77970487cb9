import numpy as np
import pytest

from li_env.doom.explorers import KINDS
from li_env.doom.handmade import RADIUS, freedoom_map_names, freedoom_renderer, my_way_home_renderer, read_map
from li_env.doom.trajectories import simulate

pytest.importorskip("vizdoom")


def _walk(renderer, index, world):
    rng = np.random.default_rng(0)
    walks = simulate([world.space], [world.segments], [0] * 7, list(KINDS), 24, rng, RADIUS)
    return renderer.render(index, walks.doom_poses.reshape(-1, 3))


def test_my_way_home_can_be_walked():
    with my_way_home_renderer() as renderer:
        frames = _walk(renderer, 0, read_map(renderer, 0, "my_way_home"))
    assert frames.shape == (168, 96, 128, 3) and len(np.unique(frames.reshape(168, -1), axis=0)) > 80


def test_freedoom_maps_can_be_walked():
    names = freedoom_map_names()[:2]
    with freedoom_renderer(names) as renderer:
        for index, name in enumerate(names):
            world = read_map(renderer, index, name)
            assert world.space.area >= 100_000
            assert _walk(renderer, index, world).std() > 5


def test_unknown_map():
    with pytest.raises(ValueError, match="map 'MAP99' is not allowed; allowed: MAP03"):
        freedoom_renderer(["MAP99"])
