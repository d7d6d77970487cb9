import numpy as np
import pytest

from li_env.evaluation.world import paths
from li_env.evaluation.world.game import Game
from li_env.evaluation.world.measurement import Measurement
from tests.li_env.evaluation.world.remembering_world import PictureRenderer, RememberingWorld


def standing(count: int, steps: int) -> np.ndarray:
    return np.broadcast_to(np.eye(4), (count, steps + 1, 4, 4)).copy()


def test_errors_of_a_constructed_path():
    game, inside = standing(4, 8), standing(4, 8)
    inside[0, 1:, 0, 3], inside[0, 1:, 2, 3] = 3.0, 4.0  # five metres beside, from the first step on
    inside[1, 8, 0, 3] = 1.0
    inside[2, 8, 2, 3] = -2.0
    found = paths.error_summary(inside, game)
    assert found["n"] == 4 and set(found["after"]) == {"1", "2", "4", "8"}
    assert found["after"]["1"] == {"q25": 0.0, "median": 0.0, "q75": 1.25, "q90": pytest.approx(3.5), "mean": 1.25}
    assert found["after"]["8"]["median"] == 1.5 and found["after"]["8"]["mean"] == 2.0
    assert found["by_step"]["mean"] == [1.25] * 7 + [2.0]


def test_a_world_without_walls_follows_free_commands_exactly(measurement):
    rows = {(unit.labels["scan"], unit.labels["kind"]): unit.run() for unit in paths.units(measurement)}
    assert len(rows) == 4
    for scan in (None, 6.0):
        assert rows[(scan, "free")]["after"]["4"]["q90"] == pytest.approx(0.0, abs=1e-9)


def test_a_world_that_halves_every_step_is_half_a_path_behind(small):
    game = Game(small, PictureRenderer())
    videos = game.walks("walk")
    videos.feasible[:] = (0.0, 0.0, 0.5)  # half a metre forward per latent, and not a turn
    measurement = Measurement(RememberingWorld(stops=True), small, game)
    row = next(unit for unit in paths.units(measurement) if unit.labels["kind"] == "free").run()
    # 3, 7 and 15 latents have been made after 1, 2 and 4 chunks; each lacks a quarter of a metre
    assert row["after"]["1"]["median"] == pytest.approx(0.75)
    assert row["after"]["2"]["median"] == pytest.approx(1.75)
    assert row["after"]["4"]["median"] == pytest.approx(3.75)
