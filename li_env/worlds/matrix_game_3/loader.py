"""Loader of the published Matrix-Game-3.0 checkpoint (docs/spec/matrix_game_3.md, sections 1.1 and 9).

The folder is the published one, `PARTS` names what is needed of it:

    base_distilled_model/              the transformer and its config.json
    Wan2.2_VAE.pth                     the whole video autoencoder; its encoder is always used
    MG-LightVAE.pth, ..._v2.pth        decoders of half and a quarter of the width
    models_t5_umt5-xxl-enc-bf16.pth    UMT5
    google/umt5-xxl/                   its tokenizer
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Literal

import torch

from li_env.device_memory import check_memory, free_memory
from li_env.validation import MOST_WIDTH, check_choice, check_whole, shown_path
from li_env.worlds.common.checkpoints import (
    Part,
    TensorFile,
    bytes_of,
    described_by,
    find_folder,
    find_parts,
    read_config,
)
from li_env.worlds.common.pretrained import load_frozen, require_libraries, without_weights
from li_env.worlds.common.taehv import TinyDecoder
from li_env.worlds.matrix_game_3 import encoder
from li_env.worlds.matrix_game_3.config import MatrixGame3Config
from li_env.worlds.matrix_game_3.encoder import PromptEncoder, load_encoder
from li_env.worlds.matrix_game_3.model import MatrixGame3Model
from li_env.worlds.matrix_game_3.vae import LATENT_MEAN, LATENT_STD, StreamingVAE, diffusers_name

WORLD = "matrix_game_3"
VARIABLE = "LI_ENV_MATRIX_GAME_3"
CPU = torch.device("cpu")
SOURCE = "huggingface.co/Skywork/Matrix-Game-3.0@main"

Decoder = Literal["full", "light", "lighter"]

TRANSFORMER = Part("base_distilled_model", SOURCE, 25.9, ("diffusion_pytorch_model.safetensors",))
CONFIG = Part("base_distilled_model/config.json", SOURCE, 0)
VAE = Part("Wan2.2_VAE.pth", SOURCE, 2.8)
LIGHT_VAES = {
    "light": Part("MG-LightVAE.pth", SOURCE, 0.7),
    "lighter": Part("MG-LightVAE_v2.pth", SOURCE, 0.2),
}
DECODERS = ("full", *LIGHT_VAES)


@dataclass(frozen=True, eq=False)
class MatrixGame3Parts:
    """Parts of the checkpoint."""

    model: MatrixGame3Model
    vae: StreamingVAE | TinyDecoder
    encoder: PromptEncoder


def load_parts(
    weights: str | Path | None,
    device: torch.device,
    decoder: Decoder = "full",
    working_bytes: Callable[[MatrixGame3Config], int] = lambda config: 0,
    tiny_decoder: str | Path | None = None,
) -> MatrixGame3Parts:
    """Load everything: bfloat16 on a GPU, float32 on a CPU.

    Transformer and autoencoder stay on ``device``. The text encoder runs there if there is room for it, else on the
    CPU; its weights live on the CPU.

    Args:
        weights: the checkpoint folder; ``None`` takes the environment variable ``LI_ENV_MATRIX_GAME_3``.
        device: where the world runs.
        decoder: ``"full"``, or ``"light"`` or ``"lighter"`` at half or a quarter of its width.
        working_bytes: what a model of these sizes will need on ``device`` besides its weights.
        tiny_decoder: checkpoint of a small decoder (`TinyDecoder`) to take the place of the published one.

    Raises:
        ValueError: files are missing, belong to another variant or do not fit, or the memory is too small.
        MissingExtraError: diffusers, transformers or accelerate is not installed.
    """
    check_choice("decoder", decoder, DECODERS)
    parts = [TRANSFORMER, CONFIG, VAE, *encoder.PARTS]
    if decoder != "full":
        parts.append(LIGHT_VAES[decoder])
    folder = find_folder(WORLD, VARIABLE, weights, parts)
    check_variant(folder)
    require_libraries(f"the world {WORLD!r}")
    found = find_parts(folder, parts)
    with described_by(found[1]):
        config = MatrixGame3Config.from_dict(read_config(found[1]))
    vae_file = TensorFile(found[2], diffusers_name)
    if decoder != "full":
        vae_file = vae_file.replaced_by(TensorFile(found[-1], light_name))
    gpu = device.type == "cuda"
    dtype = torch.bfloat16 if gpu else torch.float32
    with described_by(found[1]), without_weights():
        model = MatrixGame3Model(config)
    with described_by(vae_file.path), without_weights():
        vae = build_vae(vae_file)
    text_bytes = dtype.itemsize * sum(prod(shape) for shape in TensorFile(found[3]).shapes.values())
    resident = bytes_of([model, vae], dtype) + working_bytes(config)
    check_memory(f"world {WORLD!r}", resident + (0 if gpu else text_bytes), device)
    if gpu:
        check_memory(f"the text encoder of world {WORLD!r}", text_bytes, CPU)
    what = "the distilled model of Matrix-Game-3.0"
    transformer = load_frozen(lambda: MatrixGame3Model(config), TensorFile(found[0]), what, device, dtype)
    what = f"the video autoencoder of Matrix-Game-3.0 ({decoder})"
    codec: StreamingVAE | TinyDecoder = StreamingVAE(
        load_frozen(lambda: build_vae(vae_file), vae_file, what, device, dtype),
        # The light decoders were made for Matrix-Game's own rule, the full one is Wan2.2's.
        first_latent="bypass" if decoder == "full" else "double",
    )
    if tiny_decoder is not None:
        codec = TinyDecoder(Path(tiny_decoder), codec, device, dtype, config.in_dim)
    room = free_memory(device) if gpu else None
    runs_on = device if room is not None and room > text_bytes + working_bytes(config) else CPU
    texts = load_encoder(folder, runs_on, CPU, dtype, config.text_len)
    if texts.width != config.text_dim:
        raise ValueError(
            f"{found[3]} gives {texts.width} values per token; allowed: {config.text_dim}, as in {found[1]}"
        )
    return MatrixGame3Parts(transformer, codec, texts)


def check_variant(folder: Path) -> None:
    """Name the variant if the folder holds the teacher only.

    Raises:
        ValueError: it does.
    """
    if TRANSFORMER.find(folder) is None and (folder.name == "base_model" or (folder / "base_model").exists()):
        raise ValueError(
            f"{folder}: base_model is the teacher, which needs 50 guided steps; world {WORLD!r} runs {TRANSFORMER}"
        )


def light_name(name: str) -> str | None:
    """Return the name of a tensor of a light checkpoint in the whole autoencoder; ``None`` for all but the decoder."""
    if name.startswith("conv2."):
        return diffusers_name(name)
    return name if name.startswith(("decoder.", "post_quant_conv.")) else None


def build_vae(file: TensorFile) -> Any:
    """Build the autoencoder as diffusers has it; its sizes are read off the tensors, because no file has them.

    Raises:
        ValueError: tensors that would tell are missing.
    """
    from diffusers import AutoencoderKLWan

    needed = ("encoder.conv_in.weight", "decoder.norm_out.gamma", "post_quant_conv.weight", "decoder.conv_out.weight")
    if missing := [name for name in needed if name not in file]:
        raise ValueError(f"{file.path} is not the video autoencoder of Wan2.2: {missing[0]} is missing")
    encoder_width, decoder_width, latent, pixels = (file.shapes[name][0] for name in needed)
    for name in needed:
        check_whole(f"{shown_path(file.path)}: width of {name}", file.shapes[name][0], 1, MOST_WIDTH)
    if latent != len(LATENT_MEAN):
        raise ValueError(f"{file.path} has {latent} latent channels; allowed: {len(LATENT_MEAN)}")
    blocks = {name.split(".")[4] for name in file.shapes if name.startswith("encoder.down_blocks.0.resnets.")}
    return AutoencoderKLWan(
        base_dim=encoder_width,
        decoder_base_dim=decoder_width,
        z_dim=latent,
        dim_mult=[1, 2, 4, 4],
        num_res_blocks=len(blocks),
        temperal_downsample=[False, True, True],
        latents_mean=list(LATENT_MEAN),
        latents_std=list(LATENT_STD),
        is_residual=True,
        in_channels=pixels,
        out_channels=pixels,
        patch_size=2,
        scale_factor_spatial=16,
    )
