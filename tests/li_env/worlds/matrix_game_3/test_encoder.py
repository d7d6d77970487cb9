"""The text encoder against the padded model, and the cleaning of prompts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("transformers")
pytest.importorskip("ftfy")

from li_env.worlds.common.checkpoints import CheckpointError
from li_env.worlds.matrix_game_3.encoder import PromptEncoder, clean, load_encoder
from tests.li_env.worlds.matrix_game_3.tiny_checkpoint import byte_tokenizer, write_text_encoder

CPU = torch.device("cpu")
WIDTH, TEXT_TOKENS = 16, 24


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("text")
    torch.manual_seed(0)
    return folder, write_text_encoder(folder, WIDTH)


@pytest.fixture(scope="module")
def encoder(written: tuple[Path, Any]) -> PromptEncoder:
    return load_encoder(written[0], CPU, CPU, torch.float32, TEXT_TOKENS)


@torch.no_grad()
@pytest.mark.parametrize("prompt", ["A bridge.", "", "a much longer prompt than is allowed"])
def test_states_are_those_of_the_padded_model(written: tuple[Path, Any], encoder: PromptEncoder, prompt: str) -> None:
    padded = byte_tokenizer()(
        prompt, padding="max_length", max_length=TEXT_TOKENS, truncation=True, return_tensors="pt"
    )
    mask = padded.attention_mask
    expected = written[1](input_ids=padded.input_ids, attention_mask=mask).last_hidden_state[mask.bool()]
    found = encoder(prompt)
    assert found.shape == (min(len(prompt) + 1, TEXT_TOKENS), WIDTH)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("  a \n\t bridge  ", "a bridge"),
        ("fish &amp;amp; chips", "fish & chips"),
        ("schÃ¶n", "schön"),
    ],
)
def test_prompts_are_cleaned(prompt: str, expected: str) -> None:
    assert clean(prompt) == expected


def test_recent_prompts_are_not_encoded_again(encoder: PromptEncoder) -> None:
    assert encoder("a  hill") is encoder("a hill")


def test_misfit_is_named(written: tuple[Path, Any], tmp_path: Path) -> None:
    (tmp_path / "google" / "umt5-xxl").mkdir(parents=True)
    (tmp_path / "google" / "umt5-xxl" / "tokenizer.json").touch()
    name = "models_t5_umt5-xxl-enc-bf16.pth"
    tensors = torch.load(written[0] / name, weights_only=True)
    del tensors["blocks.1.pos_embedding.embedding.weight"]
    torch.save(tensors, tmp_path / name)
    with pytest.raises(
        CheckpointError, match=r"the encoder of UMT5: 1 missing: block.1.layer.0.SelfAttention.relative"
    ):
        load_encoder(tmp_path, CPU, CPU, torch.float32)
    torch.save({"weight": torch.ones(1)}, tmp_path / name)
    with pytest.raises(ValueError, match=r"is not the encoder of UMT5: embed_tokens.weight is missing"):
        load_encoder(tmp_path, CPU, CPU, torch.float32)
