from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from li_env.agents.mapper import occupancy
from li_env.agents.mapper.free_space_net import RAYS, REACH
from li_env.agents.mapper.occupancy import CELL, CELLS

QUARTER = math.pi / 2


def cell(x: float, z: float) -> tuple[int, int]:
    return int(x / CELL + CELLS / 2), int(z / CELL + CELLS / 2)


def unknown(count: int = 1) -> torch.Tensor:
    return torch.zeros(count, CELLS, CELLS)


def test_a_view_draws_free_ground_and_the_wall_behind_it():
    clearances = torch.full((1, RAYS), 4.0)
    grid = occupancy.add_view(unknown(), torch.zeros(1, 3), clearances, QUARTER)[0]
    assert grid[cell(0.1, 2.6)] < 0
    assert grid[cell(0.1, 5.2)] > 0
    assert grid[cell(0.1, 6.8)] == 0, "behind the wall nothing is known"
    assert grid[cell(0.1, -2.0)] == 0, "nor behind the back"
    assert grid[cell(5.0, 2.0)] == 0, "nor beside the view"


@pytest.mark.parametrize(("yaw", "ahead"), [(0.0, (0.2, 3.0)), (QUARTER, (3.0, -0.2)), (math.pi, (-0.2, -3.0))])
def test_a_turn_to_the_right_looks_along_x(yaw, ahead):
    grid = occupancy.add_view(unknown(), torch.tensor([[0.0, 0.0, yaw]]), torch.full((1, RAYS), REACH), QUARTER)[0]
    assert grid[cell(*ahead)] < 0
    assert (grid <= 0).all(), "a clearance as long as the network reaches ends at no wall"


def test_the_left_half_of_the_picture_is_on_the_left():
    clearances = torch.full((1, RAYS), REACH)
    clearances[:, : RAYS // 2] = 2.0
    grid = occupancy.add_view(unknown(), torch.zeros(1, 3), clearances, QUARTER)[0]
    assert grid[cell(-1.5, 3.0)] > 0 > grid[cell(1.5, 3.0)]


def test_a_bump_makes_the_cell_ahead_a_wall_where_there_was_one():
    grids = occupancy.add_bump(unknown(2), torch.zeros(2, 3), torch.tensor([True, False]))
    assert grids[0][cell(0.1, 1.0)] > 1
    assert (grids[1] == 0).all()


def test_log_odds_stay_bounded():
    grid = unknown()
    for _ in range(40):
        grid = occupancy.add_view(grid, torch.zeros(1, 3), torch.full((1, RAYS), 3.0), QUARTER)
    assert grid.abs().max() == 4.0


def test_distances_on_open_ground_are_those_of_a_king():
    costs, goals = torch.ones(2, CELLS, CELLS), torch.tensor([[0.1, 0.1], [6.1, -3.1]])
    field = occupancy.distances(costs, goals)
    assert field[0][cell(0.1, 0.1)] == 0
    assert field[0][cell(0.1 + 8 * CELL, 0.1)] == pytest.approx(8 * CELL)
    assert field[0][cell(0.1 + 8 * CELL, 0.1 - 8 * CELL)] == pytest.approx(8 * CELL * math.sqrt(2))
    assert field[1][cell(6.1, -3.1)] == 0


def test_paths_go_round_walls():
    costs = torch.ones(1, CELLS, CELLS)
    costs[0, 20:60, 40] = 1000.0  # along x, with gaps at both ends
    x, z = (30 - CELLS / 2) * CELL + 0.1, (44 - CELLS / 2) * CELL + 0.1
    field = occupancy.distances(costs, torch.tensor([[x, z]]))[0]
    start = (30, 36)
    around = math.sqrt(2) * 2 * 4 * CELL + 2 * 7 * CELL
    assert field[start] == pytest.approx(around, rel=0.1)
    assert field[start] > 1.5 * 8 * CELL


def test_a_goal_off_the_grid_is_at_its_rim():
    field = occupancy.distances(torch.ones(1, CELLS, CELLS), torch.tensor([[500.0, 0.1]]))[0]
    assert field[CELLS - 1, CELLS // 2] == 0


def test_samples_lie_between_cells():
    rng = np.random.default_rng(0)
    slopes = torch.tensor(rng.normal(size=(3, 2)), dtype=torch.float32)
    centres = (torch.arange(CELLS) - (CELLS - 1) / 2) * CELL
    grids = slopes[:, 0, None, None] * centres[:, None] + slopes[:, 1, None, None] * centres
    points = torch.tensor(rng.uniform(-20, 20, (3, 7, 2)), dtype=torch.float32)
    expected = (points * slopes[:, None]).sum(-1)
    torch.testing.assert_close(occupancy.sample(grids, points), expected, atol=1e-3, rtol=1e-3)


def test_unknown_ground_is_a_little_dearer_than_free_ground_and_walls_a_lot():
    free, none, wall = occupancy.costs(torch.tensor([-2.0, 0.0, 3.0])).tolist()
    assert free < none < 1.5 * free
    assert wall > 15
