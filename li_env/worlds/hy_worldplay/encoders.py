"""Prompt and start image to what the transformer is conditioned on.

Three frozen encoders: Qwen2.5-VL's language model for the prompt, Glyph's ByT5 for text in quotes that is to appear in
the picture, SigLIP for the image. None of them sees padding: it changes nothing for the valid tokens and would cost
most of the time.

Source: docs/spec/hy_worldplay.md, sections 7.2 to 7.4.
"""

from __future__ import annotations

import inspect
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from li_env.validation import check_text
from li_env.worlds.common.checkpoints import Part, TensorFile, described_by, find_parts, read_config
from li_env.worlds.common.pretrained import load_frozen, run_on
from li_env.worlds.hy_worldplay.conditioning import Conditioning

PROMPT_TOKENS = 1000
SKIPPED_LAYERS = 2
"""Layers of the language model that are left out at its end, its last norm with them."""
GLYPH_TOKENS = 256
BUCKET_BASE = 640
REMEMBERED_PROMPTS = 16

MARKER = "[prompt]"
"""Stands where the prompt goes, to find what comes before it."""
QUOTED = re.compile(r'"(.*?)"|“(.*?)”')

LANGUAGE_MODEL = Part(
    "text_encoder/llm",
    "huggingface.co/Qwen/Qwen2.5-VL-7B-Instruct@main",
    16.6,
    ("model.safetensors.index.json", "model.safetensors"),
)
GLYPH_MODEL = Part(
    "text_encoder/Glyph-SDXL-v2/checkpoints",
    "modelscope.cn/models/AI-ModelScope/Glyph-SDXL-v2@master",
    0.9,
    ("byt5_model.pt", "byt5_model.safetensors"),
)
GLYPH_CONFIG = Part("text_encoder/byt5-small/config.json", "huggingface.co/google/byt5-small@main", 0)
IMAGE_MODEL = Part(
    "vision_encoder/siglip/image_encoder",
    "huggingface.co/black-forest-labs/FLUX.1-Redux-dev@main",
    0.9,
    ("model.safetensors",),
)
IMAGE_CONFIG = Part(
    "vision_encoder/siglip/feature_extractor/preprocessor_config.json",
    "huggingface.co/black-forest-labs/FLUX.1-Redux-dev@main",
    0,
)
PARTS = (LANGUAGE_MODEL, GLYPH_MODEL, GLYPH_CONFIG, IMAGE_MODEL, IMAGE_CONFIG)


class PromptEncoder:
    """The language model's states of a prompt.

    Args:
        model: a `Qwen2_5_VLTextModel` without its last two layers and its norm.
        tokenizer: with the chat template of Qwen2.5-VL.
        device: where to run; the model may live elsewhere.
    """

    def __init__(self, model: Any, tokenizer: Any, device: torch.device) -> None:
        self.model, self.tokenizer, self.device = model, tokenizer, device
        self.system_message = _system_message()
        before, _, _ = self._conversation(MARKER).partition(MARKER)
        self.skipped = len(self._tokens(before))

    def __call__(self, prompt: str) -> Tensor:
        """Encode a prompt to [n, width]: its tokens and those that end the user's turn, at most 1000."""
        tokens = torch.tensor(self._tokens(self._conversation(prompt or " "))[: self.skipped + PROMPT_TOKENS])
        states = run_on(self.model, self.device, input_ids=tokens[None]).last_hidden_state
        return states[0, self.skipped :]

    def _conversation(self, prompt: str) -> str:
        messages = [{"role": "system", "content": self.system_message}, {"role": "user", "content": prompt}]
        return str(self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))

    def _tokens(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False).input_ids)


class GlyphEncoder:
    """The byte encoder's states of the quoted text in a prompt.

    Args:
        model: a T5 encoder stack with Glyph's weights.
        device: where to run; the model may live elsewhere.
    """

    def __init__(self, model: Any, device: torch.device) -> None:
        from transformers import ByT5Tokenizer

        self.model, self.device = model, device
        self.tokenizer = ByT5Tokenizer()

    def __call__(self, prompt: str) -> Tensor:
        """Encode quoted text to [m, width], at most 256 tokens; m = 0 for a prompt without quoted text."""
        text = glyph_text(prompt)
        if not text:
            parameter = next(self.model.parameters())
            return torch.zeros(0, self.model.config.d_model, device=self.device, dtype=parameter.dtype)
        tokens = self.tokenizer(text, max_length=GLYPH_TOKENS, truncation=True, return_tensors="pt").input_ids
        return run_on(self.model, self.device, input_ids=tokens).last_hidden_state[0]


class ImageEncoder:
    """SigLIP's states of an image.

    Args:
        model: a `SiglipVisionModel`.
        processor: its image processor.
        device: where to run; the model may live elsewhere.
    """

    def __init__(self, model: Any, processor: Any, device: torch.device) -> None:
        self.model, self.processor, self.device = model, processor, device

    def __call__(self, image: np.ndarray) -> Tensor:
        """Encode an image uint8 [H, W, 3], cropped to the nearest known aspect, to [tokens, width]."""
        fitted = crop_to_cover(image, bucket_size(*image.shape[:2]))
        pixels = self.processor(images=Image.fromarray(fitted), return_tensors="pt").pixel_values
        dtype = next(self.model.parameters()).dtype
        return run_on(self.model, self.device, pixel_values=pixels.to(dtype)).last_hidden_state[0]


class Conditioner:
    """All three encoders; the states of recent prompts are remembered, as episodes often share theirs.

    ``widths`` says how many values each gives per token, by its folder in the checkpoint.
    """

    def __init__(self, prompts: PromptEncoder, glyphs: GlyphEncoder, images: ImageEncoder) -> None:
        self.images = images
        self.widths = {
            "text_encoder/llm": prompts.model.config.hidden_size,
            "text_encoder/byt5-small": glyphs.model.config.d_model,
            "vision_encoder/siglip": images.model.config.hidden_size,
        }
        self._text = lru_cache(maxsize=REMEMBERED_PROMPTS)(lambda prompt: (prompts(prompt), glyphs(prompt)))

    def __call__(self, prompt: str, image: np.ndarray) -> Conditioning:
        """Encode prompt and image uint8 [H, W, 3] to the valid tokens of each encoder."""
        text, glyphs = self._text(check_text("prompt", prompt, empty=True))
        return Conditioning(text=text, byt5=glyphs, vision=self.images(image))


def glyph_text(prompt: str) -> str:
    """Return the byte encoder's input: each different quoted text once, as ``Text "..."``; empty without any."""
    pieces = dict.fromkeys(straight or curly for straight, curly in QUOTED.findall(prompt))
    return "".join(f'Text "{piece}". ' for piece in pieces)


def bucket_size(height: int, width: int) -> tuple[int, int]:
    """Return the (height, width) of the image encoder with the nearest aspect, as diffusers chooses it."""
    from diffusers.pipelines.hunyuan_video1_5.image_processor import HunyuanVideo15ImageProcessor

    size = HunyuanVideo15ImageProcessor().calculate_default_height_width(height, width, BUCKET_BASE)
    return int(size[0]), int(size[1])


def crop_to_cover(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Scale (Lanczos) until the image covers ``size`` = (height, width), then crop around the centre: uint8."""
    height, width = size
    scale = max(height / image.shape[0], width / image.shape[1])
    rows, columns = round(image.shape[0] * scale), round(image.shape[1] * scale)
    resized = np.asarray(Image.fromarray(image).resize((columns, rows), Image.Resampling.LANCZOS))
    top, left = (rows - height) // 2, (columns - width) // 2
    return np.ascontiguousarray(resized[top : top + height, left : left + width])


def load_conditioner(folder: Path, device: torch.device, storage: torch.device, dtype: torch.dtype) -> Conditioner:
    """Load the encoders of a checkpoint folder.

    Args:
        folder: laid out as `PARTS` says.
        device: where they run.
        storage: where their weights live between calls.
        dtype: of the language model and the image encoder; the byte encoder stays in float32, it is small and
            overflows in float16.

    Raises:
        ValueError: files are missing or do not fit.
    """
    import transformers
    from transformers.models.t5.modeling_t5 import T5Stack

    language, glyph, glyph_config, image, image_config = find_parts(folder, PARTS)
    with described_by(language.parent / "config.json"):
        read_config(language.parent / "config.json")
        config = transformers.AutoConfig.from_pretrained(language.parent, local_files_only=True).get_text_config()
        config.num_hidden_layers -= SKIPPED_LAYERS
        config.layer_types = config.layer_types[: config.num_hidden_layers]
        text_model = load_frozen(
            lambda: _without_norm(transformers.Qwen2_5_VLTextModel(config)),
            TensorFile(language, lambda name: language_name(name, config.num_hidden_layers)),
            "the language model of Qwen2.5-VL",
            storage,
            dtype,
        )
    with described_by(language.parent / "tokenizer.json"):
        tokenizer = transformers.AutoTokenizer.from_pretrained(language.parent, local_files_only=True)
        prompts = PromptEncoder(text_model, tokenizer, device)
    glyph_file = TensorFile(glyph, glyph_name)
    with described_by(glyph_config):
        read_config(glyph_config)
        byt5 = transformers.T5Config.from_pretrained(glyph_config.parent, local_files_only=True)
    # Glyph adds tokens for colours and fonts; the table says how many.
    byt5.vocab_size = glyph_file.shapes.get("embed_tokens.weight", (byt5.vocab_size,))[0]
    byt5.is_decoder, byt5.use_cache = False, False
    with described_by(glyph_config):
        glyphs = GlyphEncoder(
            load_frozen(lambda: T5Stack(byt5), glyph_file, "Glyph's ByT5", storage, torch.float32), device
        )
    with described_by(image.parent / "config.json"):
        read_config(image.parent / "config.json")
        siglip = transformers.AutoConfig.from_pretrained(image.parent, local_files_only=True)
        tower = load_frozen(
            lambda: _vision_tower(transformers.SiglipVisionModel(siglip)),
            TensorFile(image, image_name),
            "SigLIP's image encoder",
            storage,
            dtype,
        )
    with described_by(image_config):
        read_config(image_config)
        processor = transformers.SiglipImageProcessor.from_pretrained(image_config.parent, local_files_only=True)
    return Conditioner(prompts, glyphs, ImageEncoder(tower, processor, device))


def language_name(name: str, layers: int) -> str | None:
    """Return the name of a Qwen2.5-VL tensor in its language model cut after ``layers``; ``None``: not in it."""
    if re.match(r"(model\.)?visual\.|lm_head\.", name):
        return None
    name = re.sub(r"^(model\.language_model\.|language_model\.model\.|language_model\.|model\.)", "", name)
    layer = re.match(r"layers\.(\d+)\.", name)
    return None if name.startswith("norm.") or (layer and int(layer[1]) >= layers) else name


def glyph_name(name: str) -> str:
    """Return the name of a tensor of ``byt5_model.pt`` in a T5 encoder stack."""
    return name.removeprefix("module.").removeprefix("text_tower.").removeprefix("encoder.")


def image_name(name: str) -> str | None:
    """Return the name of a SigLIP tensor in its image encoder; the pooling head and the text side are not used."""
    name = name.removeprefix("vision_model.")
    return None if name.startswith(("head.", "text_model.", "logit_")) else name


def _without_norm(model: Any) -> Any:
    model.norm = nn.Identity()
    return model


def _vision_tower(model: Any) -> Any:
    """Return the encoder without its pooling head; some versions of transformers wrap it."""
    tower = getattr(model, "vision_model", model)
    if tower.use_head:
        tower.use_head = False
        del tower.head
    return tower


def _system_message() -> str:
    """Return the fixed instruction that the model was trained with, as diffusers has it."""
    from diffusers import HunyuanVideo15ImageToVideoPipeline as Pipeline

    return str(inspect.signature(Pipeline._get_mllm_prompt_embeds).parameters["system_message"].default)
