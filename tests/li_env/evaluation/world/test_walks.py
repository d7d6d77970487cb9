"""Walks, next frames, steps, collapse and autoencoder of a world whose answers are known."""

import numpy as np
import pytest

from li_env.evaluation.world import autoencoder, collapse, next_frame, steps, walks
from li_env.evaluation.world.measurement import Measurement
from tests.li_env.evaluation.fidelity.photographic_world import PhotographicWorld
from tests.li_env.evaluation.world.remembering_world import RememberingWorld, exact_banks


@pytest.fixture
def exact(small, game) -> Measurement:
    """Scans that hold the very frames of the walk."""
    world = RememberingWorld()
    return Measurement(world, small, game, _banks={6.0: exact_banks(world, game.walks("walk"))})


def test_a_scan_that_shows_every_pose_makes_the_walk_perfect(exact):
    rows = {(unit.labels["scan"], unit.labels["start"]): unit.run() for unit in walks.units(exact)}
    assert set(rows) == {(None, "picture"), (6.0, "picture"), (6.0, "beside")}
    alone, scanned = rows[(None, "picture")], rows[(6.0, "picture")]
    assert len(scanned["by_chunk"]["psnr"]["mean"]) == 4 and scanned["by_chunk"]["psnr"]["n"] == [2] * 4
    assert min(scanned["by_chunk"]["psnr"]["mean"]) > 60 > 25 > max(alone["by_chunk"]["psnr"]["mean"])
    assert min(scanned["by_chunk"]["layout"]["mean"]) > 0.8 > 0.5 > max(alone["by_chunk"]["layout"]["mean"])
    assert scanned["views"] == {"mean": 96.0, "most": 96} and alone["views"] == {"mean": 0.0, "most": 0}
    assert scanned["degenerate"] == {"frames": 30, "saturated": 0, "constant": 0, "not_finite": 0, "collapsed": 0}
    assert rows[(6.0, "beside")]["start_frame"] is None, "this world begins with a picture"
    shown = exact.pictures
    assert set(shown) == {"game", "no scan", "scan 6 m"}
    np.testing.assert_array_equal(shown["game"][:, 0], shown["no scan"][:, 0])


def test_walks_beside_the_views_begin_as_far_from_them_as_they_say(game, small):
    videos = game.walks("beside")
    for row, poses in enumerate(videos.poses):
        spots = game.spots(row, small.spacings[0]) / 32  # Doom's x is the world's z, its y points left
        away = np.hypot(poses[0, 2, 3] - spots[:, 0], poses[0, 0, 3] + spots[:, 1]).min()
        assert away == pytest.approx(1.5, abs=0.4)


def test_scans_cover_the_map_and_stay_below_the_largest_number_of_views(game, small):
    few, many = (len(game.spots(0, spacing)) for spacing in (6.0, 2.5))
    assert 0 < few < many <= 4096 // small.headings
    ((images, cameras),) = game.views(6.0, [0])
    assert len(images) == len(cameras) == few * small.headings


def test_the_next_frame_is_known_where_the_camera_was(exact):
    rows = {(unit.labels["scan"], unit.labels["kind"]): unit.run() for unit in next_frame.units(exact)}
    back = rows[(None, "way_back")]
    if back["samples"]:
        assert back["chunk"]["psnr"]["mean"] > 60
    out, scanned = rows[(None, "walk")], rows[(6.0, "walk")]
    assert out["samples"] == 2 and len(out["frames"]) == 4
    assert out["chunk"]["psnr"]["mean"] == pytest.approx(np.mean([each["psnr"]["mean"] for each in out["frames"]]))
    assert scanned["chunk"]["psnr"]["mean"] > 60


def test_more_steps_leave_less_noise(small, game):
    noisy = PhotographicWorld(noise=0.2)  # 26 dB in 4 steps, 38 in 16
    units = [unit for unit in steps.units(Measurement(noisy, small, game)) if unit.labels["scan"] is None]
    few, many = (unit.run()["by_chunk"]["sharpness"]["mean"][0] for unit in units)
    assert [unit.labels["steps"] for unit in units] == [4, 16] and few > 1.1 * many


def test_collapsed_frames_are_counted(small, game):
    class Fog(RememberingWorld):
        def decode(self, latents, streams):
            frames, following = super().decode(latents, streams)
            return [np.full_like(each, 90) for each in frames], following

    units = collapse.units(Measurement(Fog(), small, game))
    row = next(unit for unit in units if unit.labels == {"preset": "off", "scan": None, "kind": "mix"}).run()
    assert row == {"frames": 30, "saturated": 0, "constant": 30, "not_finite": 0, "collapsed": 30}


def test_an_autoencoder_that_keeps_everything(measurement):
    (unit,) = autoencoder.units(measurement)
    row = unit.run()
    assert row["psnr"]["mean"] == 99.0 and row["layout"]["mean"] == pytest.approx(1.0) and row["frechet"] is None
    assert row["frames"] == 2 * 96 // 4
