"""The encoders against whole models of the same weights, run as diffusers runs them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("diffusers")
pytest.importorskip("transformers")

from PIL import Image

from li_env.worlds.hy_worldplay.encoders import (
    Conditioner,
    bucket_size,
    crop_to_cover,
    glyph_name,
    glyph_text,
    image_name,
    language_name,
    load_conditioner,
)
from tests.li_env.worlds.hy_worldplay.tiny_checkpoint import (
    TinySizes,
    byte_tokenizer,
    write_glyph_model,
    write_image_model,
    write_language_model,
)

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("checkpoint")
    torch.manual_seed(0)
    return folder, {
        "language": write_language_model(folder / "text_encoder" / "llm", TinySizes()),
        "byt5": write_glyph_model(folder / "text_encoder", TinySizes()),
        "image": write_image_model(folder / "vision_encoder" / "siglip", TinySizes()),
    }


@pytest.fixture(scope="module")
def conditioner(written: tuple[Path, dict[str, Any]]) -> Conditioner:
    return load_conditioner(written[0], CPU, CPU, torch.float32)


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@torch.no_grad()
@pytest.mark.parametrize("prompt", ["A stone bridge.", "assistant", "", "x" * 1200])
def test_prompt_states_are_those_of_the_padded_whole_model(
    written: tuple[Path, dict[str, Any]], conditioner: Conditioner, prompt: str
) -> None:
    from diffusers import HunyuanVideo15ImageToVideoPipeline

    tokenizer = byte_tokenizer()
    found = conditioner(prompt, picture(48, 84)).text
    closing = len(tokenizer("<|im_end|>\n<|im_start|>assistant\n").input_ids)
    assert len(found) == min(len(prompt or " ") + closing, 1000)
    start = conditioner_start(tokenizer)
    states, mask = HunyuanVideo15ImageToVideoPipeline._get_mllm_prompt_embeds(
        written[1]["language"].model.language_model, tokenizer, prompt, CPU, crop_start=start
    )
    torch.testing.assert_close(found, states[mask.bool()], rtol=1e-4, atol=1e-5)


def conditioner_start(tokenizer: Any) -> int:
    """Tokens before the prompt: one per byte here, 108 with the real tokenizer."""
    from li_env.worlds.hy_worldplay.encoders import _system_message

    text = f"<|im_start|>system\n{_system_message()}<|im_end|>\n<|im_start|>user\n"
    return len(tokenizer(text).input_ids)


@torch.no_grad()
def test_quoted_text_as_diffusers_reads_it(written: tuple[Path, dict[str, Any]], conditioner: Conditioner) -> None:
    from diffusers import HunyuanVideo15ImageToVideoPipeline
    from transformers import ByT5Tokenizer

    prompt = 'A sign says "EXIT", another “Zürich”, a third "EXIT".'
    assert glyph_text(prompt) == 'Text "EXIT". Text "Zürich". '
    states, mask = HunyuanVideo15ImageToVideoPipeline._get_byt5_prompt_embeds(
        ByT5Tokenizer(), _Named(written[1]["byt5"]), prompt, CPU
    )
    found = conditioner(prompt, picture(48, 84)).byt5
    assert len(found) == len(b'Text "EXIT". Text "Z\xc3\xbcrich". ') + 1
    torch.testing.assert_close(found, states[mask.bool()], rtol=1e-4, atol=1e-5)


class _Named:
    """A stack with the attributes that diffusers asks a whole model for."""

    def __init__(self, stack: Any) -> None:
        self.stack, self.config, self.dtype = stack, stack.config, torch.float32

    def __call__(self, **inputs: torch.Tensor) -> Any:
        return self.stack(**inputs)


def test_without_quotes_no_glyph_token(conditioner: Conditioner) -> None:
    assert glyph_text("nothing to write") == ""
    assert conditioner("nothing to write", picture(48, 84)).byt5.shape == (0, TinySizes().transformer.byt5_widths[0])


@torch.no_grad()
def test_image_states_are_those_of_the_cropped_image(
    written: tuple[Path, dict[str, Any]], conditioner: Conditioner
) -> None:
    image = picture(90, 160)
    fitted = Image.fromarray(crop_to_cover(image, (480, 848))).resize((28, 28), Image.Resampling.BICUBIC)
    pixels = torch.from_numpy(np.array(fitted)).permute(2, 0, 1)[None] / 127.5 - 1
    expected = written[1]["image"](pixel_values=pixels).last_hidden_state[0]
    found = conditioner("", image).vision
    assert found.shape == (4, TinySizes().transformer.vision_width)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("size", "expected"), [((480, 832), (480, 816)), ((1080, 1920), (480, 848)), ((512, 512), (640, 640))]
)
def test_bucket_sizes(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert bucket_size(*size) == expected


def test_crop_keeps_the_middle() -> None:
    image = np.zeros((10, 40, 3), dtype=np.uint8)
    image[:, 15:25] = 200
    assert (crop_to_cover(image, (10, 10)) == 200).all()
    assert crop_to_cover(image, (7, 13)).shape == (7, 13, 3)


def test_recent_prompts_are_not_encoded_again(conditioner: Conditioner) -> None:
    first = conditioner("A hill.", picture(48, 84))
    second = conditioner("A hill.", picture(84, 48))
    assert first.text is second.text and not torch.equal(first.vision, second.vision)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("model.layers.1.mlp.up_proj.weight", "layers.1.mlp.up_proj.weight"),
        ("model.language_model.layers.1.mlp.up_proj.weight", "layers.1.mlp.up_proj.weight"),
        ("model.layers.2.mlp.up_proj.weight", None),
        ("model.norm.weight", None),
        ("model.embed_tokens.weight", "embed_tokens.weight"),
        ("lm_head.weight", None),
        ("visual.patch_embed.proj.weight", None),
        ("model.visual.patch_embed.proj.weight", None),
    ],
)
def test_names_of_the_language_model(name: str, expected: str | None) -> None:
    assert language_name(name, 2) == expected


def test_names_of_the_other_encoders() -> None:
    assert glyph_name("module.text_tower.encoder.block.0.layer.0.SelfAttention.q.weight") == (
        "block.0.layer.0.SelfAttention.q.weight"
    )
    assert image_name("vision_model.encoder.layers.0.mlp.fc1.weight") == "encoder.layers.0.mlp.fc1.weight"
    assert image_name("vision_model.head.probe") is None
