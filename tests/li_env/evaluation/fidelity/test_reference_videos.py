import numpy as np
import pytest

from li_env.doom.maps import generate_map, write_wad
from li_env.doom.renderer import DoomRenderer
from li_env.doom.splits import TEST
from li_env.evaluation.fidelity import reference_videos
from li_env.evaluation.fidelity.settings import FidelitySettings

pytest.importorskip("vizdoom")


def test_jobs_cover_every_trajectory_and_only_test_maps():
    for seed in (0, 7):
        jobs = reference_videos._jobs(FidelitySettings(trajectories=11, seed=seed), 2)
        held_out = [map_seed for order, _, arguments in jobs if order == 0 for map_seed in arguments[0]]
        assert len(set(held_out)) == len(held_out) == 11 and all(map_seed in TEST for map_seed in held_out)
        handmade = [arguments for order, _, arguments in jobs if order == 1]
        assert sum(count for _, count, *_ in handmade) == 11 and len(handmade) == 8
        assert [arguments[1] for order, _, arguments in jobs if order == 2] == [11]


def test_frames_and_depths_belong_to_the_poses(tmp_path):
    made = reference_videos.render_held_out([TEST[0]], 6, 0)
    assert {kind for _, kind in made} == {
        "walk", "out_and_back", "spin", "mix", "look/out_and_back", "look/spin", "look/square", "look/offset",
    }  # fmt: skip
    assert {kind for (_, kind), some in made.items() if some[0][2] is not None} == {"walk", "mix"}
    walk, frames, depths = made[(reference_videos.HELD_OUT, "walk")][0]
    write_wad([generate_map(TEST[0])], tmp_path / "map.wad")
    with DoomRenderer(tmp_path / "map.wad", depth=True) as engine:
        wanted, distance = engine.render(0, walk.doom_poses)
    np.testing.assert_array_equal(frames, wanted)
    np.testing.assert_allclose(depths, distance, rtol=1e-3)
