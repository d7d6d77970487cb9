import numpy as np
import pytest

from li_env.evaluation.world import walls
from li_env.evaluation.world.measurement import Measurement
from tests.li_env.evaluation.world.remembering_world import RememberingWorld


def test_recall_and_precision_by_hand():
    wanted = np.array([[0.0, 0.75]] * 5)
    true = np.array([[0.0, 0.75], [0.0, 0.65], [0.0, 0.25], [0.0, 0.0], [0.0, 0.75]])
    found = np.array([[0.0, 0.75], [0.0, 0.75], [0.0, 0.3], [0.0, 0.6], [0.0, 0.5]])
    row = walls.wall_scores(wanted, true, found)
    assert row["motions"] == 5 and row["error_metres"] == pytest.approx((0.1 + 0.05 + 0.6 + 0.25) / 5)
    # shortened by 0, 0.1, 0.5, 0.75, 0; the world says 0, 0, 0.45, 0.15, 0.25
    assert row["0.05"] == {"blocked": 3, "recall": 2 / 3, "precision": 2 / 3}
    assert row["0.25"] == {"blocked": 2, "recall": 1 / 2, "precision": 1.0}


def test_without_a_case_there_is_no_share():
    still = np.zeros((3, 2))
    assert walls.wall_scores(still, still, still)["0.05"] == {"blocked": 0, "recall": None, "precision": None}
    assert walls.wall_scores(still[:0], still[:0], still[:0])["error_metres"] is None


def test_a_world_that_halves_every_step_finds_every_wall(small, game):
    rows = [unit.run() for unit in walls.units(Measurement(RememberingWorld(stops=True), small, game))]
    videos = game.walks("mix")
    shortened = np.linalg.norm(videos.commanded - videos.feasible, axis=-1)[:, 3:15, ...]
    assert [row["motions"] for row in rows] == [2 * 3 * 4] * 2
    for row in rows:
        assert row["0.05"]["blocked"] == int((shortened > 0.05).sum())
        assert row["0.05"]["recall"] in (None, 1.0)
