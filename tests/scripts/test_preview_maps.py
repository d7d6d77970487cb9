import cv2
import pytest

from tests.scripts.loading import load

pytest.importorskip("vizdoom")


def test_sheets(tmp_path):
    places, walks = load("preview_maps").write_preview(tmp_path / "out", first_seed=20_000_000, maps=2, seed=0)
    assert cv2.imread(str(places)).shape == (2 * 96, 8 * 128, 3)
    assert cv2.imread(str(walks)).shape == (7 * 96, 12 * 128, 3)
