"""Prompt encoder: UMT5-XXL, without padding (it changes nothing for the valid tokens).

Source: docs/spec/matrix_game_3.md, sections 8 and 10.
"""

from __future__ import annotations

import html
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from li_env.validation import check_text
from li_env.worlds.common.checkpoints import Part, TensorFile, described_by, find_parts
from li_env.worlds.common.pretrained import load_frozen, run_on

TEXT_TOKENS = 512
REMEMBERED_PROMPTS = 16

WEIGHTS = Part("models_t5_umt5-xxl-enc-bf16.pth", "huggingface.co/Skywork/Matrix-Game-3.0@main", 11.4)
TOKENIZER = Part(
    "google/umt5-xxl",
    "huggingface.co/Skywork/Matrix-Game-3.0@main",
    0,
    ("tokenizer.json", "spiece.model"),
)
PARTS = (WEIGHTS, TOKENIZER)


class PromptEncoder:
    """The encoder's states of a prompt; those of recent prompts are remembered.

    Args:
        model: a UMT5 encoder stack.
        tokenizer: of UMT5.
        device: where to run; the model may live elsewhere.
        text_tokens: longest prompt in tokens, the closing one included.
    """

    def __init__(self, model: Any, tokenizer: Any, device: torch.device, text_tokens: int = TEXT_TOKENS) -> None:
        self.model, self.tokenizer, self.device, self.text_tokens = model, tokenizer, device, text_tokens
        self.width: int = model.config.d_model
        self._states = lru_cache(maxsize=REMEMBERED_PROMPTS)(self._encode)

    def __call__(self, prompt: str) -> Tensor:
        """Encode a prompt to [n, width], n <= ``text_tokens``."""
        return self._states(clean(check_text("prompt", prompt, empty=True)))

    def _encode(self, prompt: str) -> Tensor:
        tokens = self.tokenizer(
            prompt, max_length=self.text_tokens, truncation=True, add_special_tokens=True, return_tensors="pt"
        ).input_ids
        return run_on(self.model, self.device, input_ids=tokens).last_hidden_state[0]


def clean(prompt: str) -> str:
    """Repair damaged characters, undo HTML escapes twice and collapse white space to single blanks."""
    import ftfy

    text = html.unescape(html.unescape(ftfy.fix_text(prompt)))
    return re.sub(r"\s+", " ", text).strip()


def load_encoder(
    folder: Path, device: torch.device, storage: torch.device, dtype: torch.dtype, text_tokens: int = TEXT_TOKENS
) -> PromptEncoder:
    """Load UMT5 from a checkpoint folder; it runs on ``device``, its weights live on ``storage``.

    Raises:
        ValueError: files are missing or do not fit.
    """
    import transformers
    from transformers.models.umt5.modeling_umt5 import UMT5Stack

    weights, tokenizer = find_parts(folder, PARTS)
    file = TensorFile(weights, library_name)
    with described_by(weights):
        config = umt5_config(file)
        model = load_frozen(lambda: UMT5Stack(config), file, "the encoder of UMT5", storage, dtype)
    with described_by(tokenizer):
        texts = transformers.AutoTokenizer.from_pretrained(tokenizer.parent, local_files_only=True)
    return PromptEncoder(model, texts, device, text_tokens)


def umt5_config(file: TensorFile) -> Any:
    """Read the sizes off the tensors: no file of the checkpoint has them.

    Raises:
        ValueError: tensors that would tell are missing.
    """
    from transformers import UMT5Config

    first = "block.0.layer."
    needed = {
        "table": "embed_tokens.weight",
        "query": f"{first}0.SelfAttention.q.weight",
        "bias": f"{first}0.SelfAttention.relative_attention_bias.weight",
        "inner": f"{first}1.DenseReluDense.wi_0.weight",
    }
    if missing := [name for name in needed.values() if name not in file]:
        raise ValueError(f"{file.path} is not the encoder of UMT5: {missing[0]} is missing")
    shape = {key: file.shapes[name] for key, name in needed.items()}
    buckets, heads = shape["bias"]
    return UMT5Config(
        vocab_size=shape["table"][0],
        d_model=shape["table"][1],
        d_kv=shape["query"][0] // heads,
        d_ff=shape["inner"][0],
        num_layers=len({name.split(".")[1] for name in file.shapes if name.startswith("block.")}),
        num_heads=heads,
        relative_attention_num_buckets=buckets,
        relative_attention_max_distance=128,
        feed_forward_proj="gated-gelu",
        is_decoder=False,
        use_cache=False,
    )


RENAMED = (
    ("blocks.", "block."),
    (".norm1.", ".layer.0.layer_norm."),
    (".norm2.", ".layer.1.layer_norm."),
    (".attn.", ".layer.0.SelfAttention."),
    (".pos_embedding.embedding.", ".layer.0.SelfAttention.relative_attention_bias."),
    (".ffn.gate.0.", ".layer.1.DenseReluDense.wi_0."),
    (".ffn.fc1.", ".layer.1.DenseReluDense.wi_1."),
    (".ffn.fc2.", ".layer.1.DenseReluDense.wo."),
    ("token_embedding.", "embed_tokens."),
)
"""Parts of the checkpoint's names and their names in transformers."""


def library_name(name: str) -> str:
    """Return the name of a tensor of the checkpoint in a UMT5 encoder stack of transformers."""
    if name.startswith("norm."):
        return f"final_layer_{name}"
    for old, new in RENAMED:
        name = name.replace(old, new)
    return name
