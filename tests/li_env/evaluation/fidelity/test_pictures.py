import cv2
import numpy as np

from li_env.evaluation.fidelity.pictures import shown_latents, side_by_side


def test_side_by_side_shows_every_row_of_every_trajectory():
    game = np.zeros((2, 16, 96, 128, 3), np.uint8)
    game[..., 0] = 200
    sheet = cv2.imdecode(np.frombuffer(side_by_side({"game": game, "4 steps": game // 2}), np.uint8), 1)[..., ::-1]
    columns = len(shown_latents(16))
    assert (sheet == (200, 0, 0)).all(-1).sum() == (sheet == (100, 0, 0)).all(-1).sum() == 2 * columns * 96 * 128


def test_shown_latents_begin_and_end_with_the_ends():
    for length in (4, 16, 128):
        shown = shown_latents(length)
        assert shown[0] == 0 and shown[-1] == length - 1 and shown == sorted(set(shown)) and len(shown) <= 11
