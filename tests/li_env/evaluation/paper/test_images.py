from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from li_env.evaluation.paper.images import image_options


@pytest.fixture
def folder(tmp_path):
    for level, name in ((10, "b.png"), (200, "a.png")):
        Image.fromarray(np.full((4, 6, 3), level, dtype=np.uint8)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    return tmp_path


def test_images_come_in_the_order_of_their_names_with_their_prompts(folder, tmp_path):
    prompts = tmp_path / "list"
    prompts.write_text("first\n\nsecond\n")
    options = image_options(folder, prompts)
    assert [(each["image"][0, 0, 0], each["prompt"]) for each in options] == [(200, "first"), (10, "second")]
    assert "prompt" not in image_options(folder)[0]


def test_all_unreadable_files_are_named(folder):
    for name in ("c.png", "d.jpg"):
        (folder / name).write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"cannot read c.png, d.jpg; allowed"):
        image_options(folder)


def test_wrong_folders_and_lists(folder, tmp_path):
    with pytest.raises(ValueError, match="is no folder"):
        image_options(folder / "a.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="has no image"):
        image_options(tmp_path / "empty")
    (tmp_path / "list").write_text("one")
    with pytest.raises(ValueError, match="has 1 prompts for 2 images"):
        image_options(folder, tmp_path / "list")
