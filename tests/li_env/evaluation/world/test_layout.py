import numpy as np
import pytest
import torch

from li_env.evaluation.world.layout import edge_correlation


def rooms(seed: int, count: int = 3) -> torch.Tensor:
    """Draw pictures of large coloured squares."""
    cells = np.random.default_rng(seed).integers(40, 216, (count, 12, 16, 3)).astype(np.uint8)
    return torch.from_numpy(cells.repeat(8, 1).repeat(8, 2))


def test_equal_pictures_have_one_and_negatives_minus_one():
    frames = rooms(0)
    torch.testing.assert_close(edge_correlation(frames, frames), torch.ones(3))
    torch.testing.assert_close(edge_correlation(255 - frames, frames), -torch.ones(3))


def test_other_places_have_about_zero():
    assert edge_correlation(rooms(1, 32), rooms(2, 32)).mean().abs() < 0.05


def test_brightness_contrast_and_texture_change_nothing():
    frames = rooms(0)
    torch.testing.assert_close(edge_correlation(frames // 2 + 30, frames), torch.ones(3), atol=2e-3, rtol=0)
    board = torch.from_numpy(np.indices((96, 128)).sum(0) % 2 * 20)[..., None]  # vanishes in squares of four pixels
    torch.testing.assert_close(edge_correlation((frames + board - 10).to(torch.uint8), frames), torch.ones(3))


def test_a_flat_picture_shows_no_layout_and_a_flat_game_asks_for_none():
    flat = torch.full((1, 96, 128, 3), 90, dtype=torch.uint8)
    assert edge_correlation(flat, rooms(0, 1)).item() == 0.0
    assert torch.isnan(edge_correlation(rooms(0, 1), flat)).all()


def test_one_edge_by_hand():
    # shrunk to 2 x 2: [0, 4 | 0, 4] has differences across (4, 4), down (0, 0); [0, 0 | 4, 4] the other two
    across, down = torch.zeros((2, 8, 8, 3), dtype=torch.uint8)
    across[:, 4:] = 4
    down[4:] = 4
    assert edge_correlation(across, down).item() == pytest.approx(-1.0)
    both = torch.zeros((8, 8, 3), dtype=torch.uint8)
    both[4:, 4:] = 4  # differences (0, 4), (0, 4) against (4, 4), (0, 0): no correlation
    assert edge_correlation(both, across).item() == pytest.approx(0.0)
