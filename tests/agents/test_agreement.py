import pytest

from li_env.agents.agreement import agreement


def row(success, spl, distance):
    return {"success": success, "spl": spl, "distance_to_goal": distance}


def test_agreement_by_hand():
    game = [row(1.0, 0.8, 0.5), row(1.0, 0.6, 0.5), row(0.0, 0.0, 4.0), row(0.0, 0.0, 6.0)]
    world = [row(1.0, 0.9, 0.5), row(0.0, 0.0, 3.5), row(0.0, 0.0, 4.0), row(1.0, 0.5, 1.0)]
    found = agreement(game, world)
    assert found["episodes"] == 4 and found["same_success"] == 0.5
    assert found["only_there"] == 0.25 and found["only_here"] == 0.25
    assert found["success"] == {"there": 0.5, "here": 0.5}
    assert found["spl"] == {"there": pytest.approx(0.35), "here": pytest.approx(0.35)}
    assert found["spl_difference"] == {
        "mean": pytest.approx(0.0),
        "mean_absolute": pytest.approx((0.1 + 0.6 + 0.5) / 4),
    }
    assert found["final_distance_difference"] == 1.5
    same = agreement(game, game)
    assert same["same_success"] == 1.0 and same["spl_difference"] == {"mean": 0.0, "mean_absolute": 0.0}


def test_different_numbers_of_episodes_are_refused():
    for there, here in (([], []), ([row(1, 1, 0)], [])):
        with pytest.raises(ValueError, match="allowed: equal numbers, at least one"):
            agreement(there, here)
