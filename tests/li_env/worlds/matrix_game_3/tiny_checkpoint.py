"""A checkpoint folder of Matrix-Game-3.0 in the published layout, with random weights of any size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from li_env.worlds.matrix_game_3.config import MatrixGame3Config
from li_env.worlds.matrix_game_3.encoder import library_name
from li_env.worlds.matrix_game_3.model import MatrixGame3Model
from li_env.worlds.matrix_game_3.vae import LATENT_MEAN, LATENT_STD, diffusers_name

CONFIG: dict[str, Any] = {
    "_class_name": "WanModel",
    "_diffusers_version": "0.33.0",
    "is_action_model": True,
    "model_type": "ti2v",
    "text_len": 24,
    "text_dim": 16,
    "in_dim": 48,
    "out_dim": 48,
    "dim": 32,
    "ffn_dim": 48,
    "freq_dim": 16,
    "num_heads": 2,
    "num_layers": 2,
    "eps": 1e-6,
    "sigma_theta": 0.8,
    "use_text_crossattn": True,
    "action_config": {
        "blocks": [0],
        "enable_keyboard": True,
        "enable_mouse": True,
        "heads_num": 2,
        "hidden_size": 8,
        "img_hidden_size": 32,
        "keyboard_dim_in": 6,
        "keyboard_hidden_dim": 32,
        "mouse_dim_in": 2,
        "mouse_hidden_dim": 32,
        "mouse_qk_dim_list": [4, 6, 6],
        "patch_size": [1, 2, 2],
        "qk_norm": True,
        "qkv_bias": False,
        "rope_dim_list": [4, 6, 6],
        "rope_theta": 256,
        "vae_time_compression_ratio": 4,
        "windows_size": 3,
    },
}
VAE_WIDTHS = {"Wan2.2_VAE.pth": 8, "MG-LightVAE.pth": 4, "MG-LightVAE_v2.pth": 2}
"""Decoder widths; the encoder is always as wide as the full decoder."""


def write_checkpoint(folder: Path, config: dict[str, Any] | None = None, seed: int = 0) -> dict[str, Any]:
    """Write the folder; returns the transformer, the three autoencoders (diffusers, by file) and the text encoder."""
    config = config or CONFIG
    torch.manual_seed(seed)
    written: dict[str, Any] = {"transformer": write_transformer(folder / "base_distilled_model", config)}
    for file, width in VAE_WIDTHS.items():
        written[file] = write_vae(folder / file, width)
    written["text"] = write_text_encoder(folder, int(config["text_dim"]))
    return written


def write_transformer(folder: Path, config: dict[str, Any]) -> MatrixGame3Model:
    model = MatrixGame3Model(MatrixGame3Config.from_dict(config))
    # Parts that start at zero would hide mistakes.
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    tensors = {name: value.bfloat16().contiguous() for name, value in model.state_dict().items()}
    save_file(tensors, folder / "diffusion_pytorch_model.safetensors")
    return model


def write_vae(path: Path, width: int) -> Any:
    from diffusers import AutoencoderKLWan

    vae = AutoencoderKLWan(
        base_dim=VAE_WIDTHS["Wan2.2_VAE.pth"],
        decoder_base_dim=width,
        z_dim=len(LATENT_MEAN),
        num_res_blocks=1,
        latents_mean=list(LATENT_MEAN),
        latents_std=list(LATENT_STD),
        is_residual=True,
        in_channels=12,
        out_channels=12,
        patch_size=2,
        scale_factor_spatial=16,
    ).eval()
    if path.name == "Wan2.2_VAE.pth":
        torch.save({published_vae_name(name): value for name, value in vae.state_dict().items()}, path)
    else:
        decoder = {name: value for name, value in vae.state_dict().items() if name.startswith("decoder.")}
        heads = {"dynamic_feature_projection_heads.0.weight": torch.ones(3)}
        torch.save({"gen_model": decoder | heads, "step": 1}, path)
    return vae


def published_vae_name(name: str) -> str:
    """Invert `diffusers_name`."""
    head, _, rest = name.partition(".")
    if head in ("quant_conv", "post_quant_conv"):
        return f"{'conv1' if head == 'quant_conv' else 'conv2'}.{rest}"
    inner = {"norm1": "residual.0", "conv1": "residual.2", "norm2": "residual.3", "conv2": "residual.6",
             "conv_shortcut": "shortcut"}  # fmt: skip
    parts = rest.split(".")
    if parts[0] == "mid_block":
        number = 1 if parts[1] == "attentions" else 2 * int(parts[2])
        published = f"{head}.middle.{number}.{'.'.join([inner.get(parts[3], parts[3]), *parts[4:]])}"
    elif parts[0] in ("down_blocks", "up_blocks"):
        kind = f"{parts[0].split('_')[0]}samples"
        if parts[2] == "resnets":
            own = ".".join([parts[3], inner[parts[4]], *parts[5:]])
        else:  # the resampler comes after one residual block, or two in the decoder
            own = ".".join(["1" if head == "encoder" else "2", *parts[3:]])
        published = f"{head}.{kind}.{parts[1]}.{kind}.{own}"
    else:
        published = f"{head}.{ {'conv_in': 'conv1', 'norm_out': 'head.0', 'conv_out': 'head.2'}[parts[0]] }.{parts[1]}"
    assert diffusers_name(published) == name, (published, name)
    return published


def write_text_encoder(folder: Path, width: int) -> Any:
    from transformers import UMT5Config
    from transformers.models.umt5.modeling_umt5 import UMT5Stack

    tokenizer = byte_tokenizer()
    (folder / "google" / "umt5-xxl").mkdir(parents=True)
    tokenizer.save_pretrained(folder / "google" / "umt5-xxl")
    config = UMT5Config(
        vocab_size=len(tokenizer), d_model=width, d_kv=4, d_ff=24, num_layers=2, num_heads=3,
        relative_attention_num_buckets=8, relative_attention_max_distance=128, feed_forward_proj="gated-gelu",
        is_decoder=False, use_cache=False,
    )  # fmt: skip
    stack = UMT5Stack(config).eval()
    state = {published_text_name(name): value for name, value in stack.state_dict().items()}
    torch.save(state, folder / "models_t5_umt5-xxl-enc-bf16.pth")
    return stack


def published_text_name(name: str) -> str:
    """Invert `library_name`."""
    published = name
    for old, new in (
        ("embed_tokens.", "token_embedding."),
        ("final_layer_norm.", "norm."),
        (".layer.0.layer_norm.", ".norm1."),
        (".layer.1.layer_norm.", ".norm2."),
        (".layer.0.SelfAttention.relative_attention_bias.", ".pos_embedding.embedding."),
        (".layer.0.SelfAttention.", ".attn."),
        (".layer.1.DenseReluDense.wi_0.", ".ffn.gate.0."),
        (".layer.1.DenseReluDense.wi_1.", ".ffn.fc1."),
        (".layer.1.DenseReluDense.wo.", ".ffn.fc2."),
        ("block.", "blocks."),
    ):
        published = published.replace(old, new)
    assert library_name(published) == name, (published, name)
    return published


def byte_tokenizer() -> Any:
    """One token per byte and a closing token, as UMT5 closes its texts."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: index for index, letter in enumerate(["<pad>", "</s>", *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>")
