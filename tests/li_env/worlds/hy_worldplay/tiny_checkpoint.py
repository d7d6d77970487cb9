"""A checkpoint folder of HY-WorldPlay in the published layout, with random weights of any size."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from li_env.worlds.hy_worldplay.config import HYWorldPlayConfig
from li_env.worlds.hy_worldplay.model import HYWorldPlayModel
from li_env.worlds.hy_worldplay.vae import RENAMED, diffusers_name

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


TINY = HYWorldPlayConfig(
    latent_channels=4,
    hidden_size=32,
    heads=2,
    depth=2,
    rope_dims=(4, 6, 6),
    text_width=24,
    vision_width=16,
    byt5_widths=(20, 24, 32),
)


@dataclass(frozen=True)
class TinySizes:
    """Sizes of the random models; the transformer's must fit the encoders' widths."""

    transformer: HYWorldPlayConfig = TINY
    language_layers: int = 4
    vae_channels: tuple[int, ...] = (4, 4, 4, 8, 8)
    image_size: int = 28
    image_patch: int = 14


def write_checkpoint(folder: Path, sizes: TinySizes | None = None, seed: int = 0) -> dict[str, Any]:
    """Write the folder; returns the transformer, the autoencoder (diffusers) and the three whole encoders."""
    sizes = sizes or TinySizes()
    torch.manual_seed(seed)
    return {
        "transformer": write_transformer(folder, sizes),
        "vae": write_vae(folder / "vae", sizes),
        "language": write_language_model(folder / "text_encoder" / "llm", sizes),
        "byt5": write_glyph_model(folder / "text_encoder", sizes),
        "image": write_image_model(folder / "vision_encoder" / "siglip", sizes),
    }


def write_transformer(folder: Path, sizes: TinySizes) -> HYWorldPlayModel:
    config = sizes.transformer
    model = HYWorldPlayModel(config)
    # Parts that start at zero would hide mistakes.
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    (folder / "ar_distilled_action_model").mkdir(parents=True)
    tensors = {name: value.bfloat16().contiguous() for name, value in model.state_dict().items()}
    save_file(tensors, folder / "ar_distilled_action_model" / "diffusion_pytorch_model.safetensors")
    published = {
        "_class_name": "HunyuanVideo_1_5_DiffusionTransformer",
        "patch_size": [1, 1, 1],
        "in_channels": config.latent_channels,
        "out_channels": config.latent_channels,
        "concat_condition": True,
        "hidden_size": config.hidden_size,
        "heads_num": config.heads,
        "mlp_width_ratio": config.mlp_ratio,
        "mm_double_blocks_depth": config.depth,
        "mm_single_blocks_depth": 0,
        "rope_dim_list": list(config.rope_dims),
        "rope_theta": config.rope_theta,
        "text_states_dim": config.text_width,
        "vision_states_dim": config.vision_width,
    }
    (folder / "transformer" / "480p_i2v").mkdir(parents=True)
    (folder / "transformer" / "480p_i2v" / "config.json").write_text(json.dumps(published), encoding="utf-8")
    return model


def write_vae(folder: Path, sizes: TinySizes) -> Any:
    from diffusers import AutoencoderKLHunyuanVideo15

    vae = AutoencoderKLHunyuanVideo15(
        latent_channels=sizes.transformer.latent_channels,
        block_out_channels=sizes.vae_channels,
        layers_per_block=1,
        scaling_factor=1.25,
    )
    folder.mkdir(parents=True)
    published = {
        "_class_name": "AutoencoderKLConv3D",
        "in_channels": 3,
        "out_channels": 3,
        "latent_channels": sizes.transformer.latent_channels,
        "block_out_channels": list(sizes.vae_channels),
        "layers_per_block": 1,
        "ffactor_spatial": 16,
        "ffactor_temporal": 4,
        "sample_size": 256,
        "sample_tsize": 64,
        "scaling_factor": 1.25,
        "shift_factor": None,
        "downsample_match_channel": True,
        "upsample_match_channel": True,
    }
    (folder / "config.json").write_text(json.dumps(published), encoding="utf-8")
    tensors = {published_vae_name(name): value.contiguous() for name, value in vae.state_dict().items()}
    save_file(tensors, folder / "diffusion_pytorch_model.safetensors")
    return vae


def published_vae_name(name: str) -> str:
    """Invert `diffusers_name`."""
    published = name
    for old, new in reversed(RENAMED):
        published = published.replace(new, old)
    assert diffusers_name(published) == name
    return published


def write_language_model(folder: Path, sizes: TinySizes) -> Any:
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    width, layers = sizes.transformer.text_width, sizes.language_layers
    tokenizer = byte_tokenizer()
    config = Qwen2_5_VLConfig(
        text_config={
            "hidden_size": width,
            "intermediate_size": 2 * width,
            "num_hidden_layers": layers,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "vocab_size": len(tokenizer),
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [2, 2, 2]},
            "bos_token_id": None,
            "eos_token_id": None,
        },
        vision_config={"depth": 1, "hidden_size": 8, "num_heads": 1, "intermediate_size": 8, "out_hidden_size": width},
    )
    model = Qwen2_5_VLForConditionalGeneration(config).eval()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model


def byte_tokenizer() -> Any:
    """One token per byte, with the special tokens and the chat template of Qwen."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: index for index, letter in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=special[0], chat_template=CHAT_TEMPLATE)
    fast.add_special_tokens({"additional_special_tokens": special[1:]})
    fast.padding_side = "right"
    return fast


def write_glyph_model(folder: Path, sizes: TinySizes) -> Any:
    from transformers import T5Config
    from transformers.models.t5.modeling_t5 import T5Stack

    width = sizes.transformer.byt5_widths[0]
    config = T5Config(
        d_model=width, d_kv=4, d_ff=16, num_layers=2, num_heads=2, vocab_size=384,
        feed_forward_proj="gated-gelu", tie_word_embeddings=False, is_decoder=False, use_cache=False,
    )  # fmt: skip
    config.save_pretrained(folder / "byt5-small")
    config.vocab_size = 384 + 7  # as with Glyph's tokens for colours and fonts
    stack = T5Stack(config).eval()
    checkpoints = folder / "Glyph-SDXL-v2" / "checkpoints"
    checkpoints.mkdir(parents=True)
    state = {f"module.text_tower.encoder.{name}": value for name, value in stack.state_dict().items()}
    torch.save({"state_dict": state}, checkpoints / "byt5_model.pt")
    return stack


def write_image_model(folder: Path, sizes: TinySizes) -> Any:
    from transformers import SiglipImageProcessor, SiglipVisionConfig, SiglipVisionModel

    size = sizes.image_size
    config = SiglipVisionConfig(
        hidden_size=sizes.transformer.vision_width,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=size,
        patch_size=sizes.image_patch,
    )
    model = SiglipVisionModel(config).eval()
    model.save_pretrained(folder / "image_encoder")
    SiglipImageProcessor(size={"height": size, "width": size}).save_pretrained(folder / "feature_extractor")
    return model
