"""The page about published weights names every file that the loaders ask for, with its source and size."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("diffusers")
pytest.importorskip("transformers")

from li_env.worlds.hy_worldplay import loader as hy_worldplay
from li_env.worlds.matrix_game_3 import encoder
from li_env.worlds.matrix_game_3 import loader as matrix_game_3

PAGE = (Path(__file__).parents[4] / "docs" / "checkpoints.md").read_text(encoding="utf-8")
MATRIX_GAME_3 = (
    matrix_game_3.TRANSFORMER,
    matrix_game_3.CONFIG,
    matrix_game_3.VAE,
    *matrix_game_3.LIGHT_VAES.values(),
    *encoder.PARTS,
)


@pytest.mark.parametrize("part", [*hy_worldplay.PARTS, *MATRIX_GAME_3], ids=lambda part: part.path)
def test_every_download_is_on_the_page(part: hy_worldplay.Part) -> None:
    row = next(line for line in PAGE.splitlines() if line.startswith("|") and f"`{part.path}" in line)
    assert not part.gigabytes or f"| {part.gigabytes:g} |" in row
    repository = part.source.split("@")[0].removeprefix("huggingface.co/")
    assert repository in PAGE


@pytest.mark.parametrize("name", [hy_worldplay.VARIABLE, matrix_game_3.VARIABLE, *matrix_game_3.DECODERS[1:]])
def test_names_are_on_the_page(name: str) -> None:
    assert name in PAGE
