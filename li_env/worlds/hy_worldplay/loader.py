"""Loader of the published HY-WorldPlay checkpoint.

The folder holds downloads from several sources (`PARTS` names them, their sizes and their paths below the folder):

    ar_distilled_action_model/     the transformer
    vae/                           the video autoencoder
    text_encoder/llm/              Qwen2.5-VL
    text_encoder/byt5-small/       configuration of the glyph encoder
    text_encoder/Glyph-SDXL-v2/    its weights
    vision_encoder/siglip/         SigLIP

Links to folders elsewhere are as good. The transformer's own ``config.json`` is read where there is one; without it the
published sizes are assumed, and the tensors have to fit them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch

from li_env.device_memory import check_memory, free_memory
from li_env.validation import MOST_WIDTH, check_whole, shown, shown_path
from li_env.worlds.common.checkpoints import (
    Part,
    TensorFile,
    bytes_of,
    described_by,
    find_folder,
    find_parts,
    load_into,
    read_config,
)
from li_env.worlds.common.pretrained import load_frozen, require_libraries, without_weights
from li_env.worlds.common.taehv import TinyDecoder
from li_env.worlds.hy_worldplay import encoders
from li_env.worlds.hy_worldplay.config import HYWorldPlayConfig
from li_env.worlds.hy_worldplay.encoders import Conditioner, load_conditioner
from li_env.worlds.hy_worldplay.model import HYWorldPlayModel
from li_env.worlds.hy_worldplay.vae import StreamingVAE, diffusers_name

WORLD = "hy_worldplay"
VARIABLE = "LI_ENV_HY_WORLDPLAY"
CPU = torch.device("cpu")

TRANSFORMER = Part(
    "ar_distilled_action_model",
    "huggingface.co/tencent/HY-WorldPlay@main",
    34.2,
    ("diffusion_pytorch_model.safetensors", "model.safetensors", "diffusion_pytorch_model.safetensors.index.json"),
)
VAE = Part("vae", "huggingface.co/tencent/HunyuanVideo-1.5@main", 5.0, ("diffusion_pytorch_model.safetensors",))
VAE_CONFIG = Part("vae/config.json", "huggingface.co/tencent/HunyuanVideo-1.5@main", 0)
PARTS = (TRANSFORMER, VAE, VAE_CONFIG, *encoders.PARTS)
CONFIGS = ("ar_distilled_action_model/config.json", "transformer/480p_i2v/config.json")

OTHER_VARIANTS = {
    "bidirectional_model": "the bidirectional variant, which makes a whole video at once",
    "ar_model": "the autoregressive variant before distillation, which needs 50 steps per chunk",
    "wan_transformer": "the WAN-5B variant",
    "wan_distilled_model": "the WAN-5B variant",
}

_WIDTHS = (
    "in_channels", "out_channels", "latent_channels", "layers_per_block", "ffactor_spatial", "ffactor_temporal",
    "spatial_compression_ratio", "temporal_compression_ratio",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class HYWorldPlayParts:
    """Parts of the checkpoint: the transformer (text stream on the CPU), the autoencoder and the encoders."""

    model: HYWorldPlayModel
    vae: StreamingVAE | TinyDecoder
    conditioner: Conditioner


def load_parts(
    weights: str | Path | None,
    device: torch.device,
    working_bytes: Callable[[HYWorldPlayConfig], int] = lambda config: 0,
    tiny_decoder: str | Path | None = None,
) -> HYWorldPlayParts:
    """Load everything: bfloat16 (autoencoder and encoders float16) on a GPU, float32 on a CPU.

    Only the vision stream of the transformer and the autoencoder stay on ``device``. The encoders run there if there is
    room for the largest of them, else on the CPU; their weights live on the CPU.

    Args:
        weights: the checkpoint folder; ``None`` takes the environment variable ``LI_ENV_HY_WORLDPLAY``.
        device: where the world runs.
        working_bytes: what a model of these sizes will need on ``device`` besides its weights.
        tiny_decoder: checkpoint of a small decoder (`TinyDecoder`) to take the place of the published one.

    Raises:
        ValueError: files are missing, belong to another variant or do not fit, or the memory is too small.
        MissingExtraError: diffusers, transformers or accelerate is not installed.
    """
    folder = find_folder(WORLD, VARIABLE, weights, PARTS)
    check_variant(folder)
    require_libraries(f"the world {WORLD!r}")
    transformer, vae_weights, vae_config, language = find_parts(folder, PARTS)[:4]
    file = TensorFile(transformer)
    check_names(file)
    gpu = device.type == "cuda"
    dtype, small = (torch.bfloat16, torch.float16) if gpu else (torch.float32, torch.float32)
    sizes_from = config_file(folder) or transformer
    with described_by(sizes_from), without_weights():
        model = HYWorldPlayModel(transformer_config(folder, file))
    with described_by(vae_config), without_weights():
        vae = build_vae(vae_config)
    working = working_bytes(model.sizes)
    language_bytes = small.itemsize * sum(prod(shape) for shape in TensorFile(language).shapes.values())
    text = {id(parameter) for module in model.text_modules() for parameter in module.parameters()}
    text_bytes = dtype.itemsize * sum(p.numel() for p in model.parameters() if id(p) in text)
    resident = bytes_of([model], dtype) - text_bytes + bytes_of([vae], small) + working
    if gpu:
        check_memory(f"world {WORLD!r}", resident, device)
        check_memory(f"the text side of world {WORLD!r}", text_bytes + language_bytes, CPU)
    else:
        check_memory(f"world {WORLD!r}", resident + text_bytes + language_bytes, device)
    text_names = {name for name, parameter in model.named_parameters() if id(parameter) in text}
    what = "the distilled action model of HY-WorldPlay 8B"
    load_into(model, file, what, device, dtype, lambda name: CPU if name in text_names else device)
    codec: StreamingVAE | TinyDecoder = StreamingVAE(
        load_frozen(
            lambda: build_vae(vae_config),
            TensorFile(vae_weights, diffusers_name),
            "the video autoencoder of HunyuanVideo-1.5",
            device,
            small,
        )
    )
    if tiny_decoder is not None:
        codec = TinyDecoder(Path(tiny_decoder), codec, device, small, model.sizes.latent_channels)
    room = free_memory(device) if gpu else None
    runs_on = device if room is not None and room > language_bytes + working else CPU
    # Processors compute in bfloat16 much faster than in float16.
    encoders_dtype = torch.bfloat16 if gpu and runs_on == CPU else small
    conditioner = load_conditioner(folder, runs_on, CPU, encoders_dtype)
    check_widths(model.sizes, conditioner)
    return HYWorldPlayParts(model.eval().requires_grad_(False), codec, conditioner)


def config_file(folder: Path) -> Path | None:
    """Return the transformer's ``config.json``, if there is one."""
    return next((folder / name for name in CONFIGS if (folder / name).is_file()), None)


def transformer_config(folder: Path, file: TensorFile) -> HYWorldPlayConfig:
    """Read the transformer's sizes: from its ``config.json`` if there is one, else the published ones.

    The widths of the glyph mapper are in no file; they are read off the tensors.
    """
    path = config_file(folder)
    if path is None:
        return HYWorldPlayConfig()
    shapes = [file.shapes.get(f"byt5_in.{name}.weight", (0, 0)) for name in ("fc1", "fc2", "fc3")]
    if any(len(shape) != 2 for shape in shapes):
        raise ValueError(f"{shown_path(file.path)}: byt5_in has weights of another shape than [outputs, inputs]")
    return HYWorldPlayConfig.from_dict(read_config(path), (shapes[0][1], shapes[0][0], shapes[1][0]))


def build_vae(config: Path) -> Any:
    """Build the autoencoder that the published ``vae/config.json`` describes, as diffusers has it.

    Raises:
        ValueError: a key is missing, or latents are shifted, which this decoder does not do.
    """
    from diffusers import AutoencoderKLHunyuanVideo15

    data = read_config(config)
    if data.get("shift_factor"):
        raise ValueError(
            f"{shown_path(config)}: shift_factor={shown(data['shift_factor'])} is another autoencoder; allowed: null"
        )
    widths = data.get("block_out_channels")
    if not isinstance(widths, list) or not 1 <= len(widths) <= 16:
        raise ValueError(f"{shown_path(config)}: block_out_channels={shown(widths)} is not allowed; use 1 to 16 widths")
    for key, value in (*data.items(), *((f"block_out_channels[{i}]", width) for i, width in enumerate(widths))):
        if key in _WIDTHS or key.startswith("block_out_channels["):
            check_whole(f"{shown_path(config)}: {key}", value, 1, MOST_WIDTH)
    try:
        return AutoencoderKLHunyuanVideo15(
            in_channels=data.get("in_channels", 3),
            out_channels=data.get("out_channels", 3),
            latent_channels=data["latent_channels"],
            block_out_channels=tuple(data["block_out_channels"]),
            layers_per_block=data["layers_per_block"],
            spatial_compression_ratio=data.get("ffactor_spatial", data.get("spatial_compression_ratio", 16)),
            temporal_compression_ratio=data.get("ffactor_temporal", data.get("temporal_compression_ratio", 4)),
            downsample_match_channel=data.get("downsample_match_channel", True),
            upsample_match_channel=data.get("upsample_match_channel", True),
            scaling_factor=data["scaling_factor"],
        )
    except KeyError as missing:
        raise ValueError(
            f"{shown_path(config)}: {missing.args[0]!r} is missing: not HunyuanVideo-1.5's autoencoder"
        ) from None


def check_variant(folder: Path) -> None:
    """Name the variant if the folder holds another one than the distilled action model.

    Raises:
        ValueError: it does.
    """
    if TRANSFORMER.find(folder) is None:
        for name, what in OTHER_VARIANTS.items():
            if folder.name == name or (folder / name).exists():
                raise ValueError(f"{folder}: {name} is {what}; world {WORLD!r} runs {TRANSFORMER}")


def check_names(file: TensorFile) -> None:
    """Name the variant if the tensors are those of another model.

    Raises:
        ValueError: they are.
    """
    if "action_in.mlp.0.weight" in file:
        return
    if "double_blocks.0.img_attn_q.weight" in file:
        raise ValueError(f"{file.path} is HunyuanVideo-1.5 without actions; world {WORLD!r} runs {TRANSFORMER}")
    if any(name.startswith(("blocks.", "model.blocks.", "generator.", "patch_embedding.")) for name in file.shapes):
        raise ValueError(f"{file.path} is the WAN-5B variant; world {WORLD!r} runs {TRANSFORMER}")


def check_widths(config: HYWorldPlayConfig, conditioner: Conditioner) -> None:
    """Check that the encoders are as wide as the transformer expects.

    Raises:
        ValueError: one is not.
    """
    expected = (config.text_width, config.byt5_widths[0], config.vision_width)
    for (name, width), wanted in zip(conditioner.widths.items(), expected, strict=True):
        if width != wanted:
            raise ValueError(f"{name} gives {width} values per token; allowed: {wanted}, as the transformer expects")
