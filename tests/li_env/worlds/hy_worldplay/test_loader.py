"""Loading a checkpoint folder in the published layout, and what is said about one that does not fit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

pytest.importorskip("diffusers")
pytest.importorskip("transformers")

from li_env import device_memory
from li_env.worlds.common import checkpoints
from li_env.worlds.common.checkpoints import CheckpointError
from li_env.worlds.common.taehv import TinyDecoder
from li_env.worlds.hy_worldplay.loader import HYWorldPlayParts, load_parts, transformer_config
from tests.li_env.worlds.common.test_taehv import write_tiny_decoder
from tests.li_env.worlds.hy_worldplay.tiny_checkpoint import TINY, write_checkpoint

CPU = torch.device("cpu")
TRANSFORMER = Path("ar_distilled_action_model") / "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("hy_worldplay")
    return folder, write_checkpoint(folder)


@pytest.fixture(scope="module")
def parts(written: tuple[Path, dict[str, Any]]) -> HYWorldPlayParts:
    return load_parts(written[0], CPU)


@pytest.fixture
def copy(written: tuple[Path, dict[str, Any]], tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoint"
    shutil.copytree(written[0], folder)
    return folder


def test_every_tensor_arrives(written: tuple[Path, dict[str, Any]], parts: HYWorldPlayParts) -> None:
    assert parts.model.sizes == TINY
    stored = load_file(written[0] / TRANSFORMER)
    for name, value in parts.model.state_dict().items():
        assert value.dtype == torch.float32 and torch.equal(value, stored[name].float())
    for name, value in written[1]["vae"].state_dict().items():
        assert torch.equal(parts.vae.vae.state_dict()[name], value)
    assert parts.vae.vae.config.scaling_factor == 1.25
    assert not any(parameter.requires_grad for parameter in parts.model.parameters())


@torch.no_grad()
def test_parts_fit_together(parts: HYWorldPlayParts) -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    conditioning = parts.conditioner('A gate that says "OPEN".', image)
    tokens = parts.model.condition_tokens(conditioning)
    count = len(conditioning.text) + len(conditioning.byt5) + len(conditioning.vision)
    assert tokens.shape == (1, count, TINY.hidden_size) and tokens.isfinite().all()
    latent = parts.vae.encode_image(image)
    assert latent.shape == (TINY.latent_channels, 2, 3)
    assert parts.vae.decode(latent[None], None)[0].shape == (1, 32, 48, 3)


def test_a_tiny_decoder_takes_the_place_of_the_published_one(
    written: tuple[Path, dict[str, Any]], parts: HYWorldPlayParts, tmp_path: Path
) -> None:
    write_tiny_decoder(tmp_path / "taehv1_5.pth", TINY.latent_channels)
    small = load_parts(written[0], CPU, tiny_decoder=tmp_path / "taehv1_5.pth").vae
    image = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    latent = small.encode_image(image)
    assert torch.equal(latent, parts.vae.encode_image(image))
    assert small.decode(latent[None], None)[0].shape == (1, 32, 48, 3)
    assert isinstance(small, TinyDecoder)


def test_folder_from_the_environment(written: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LI_ENV_HY_WORLDPLAY", str(written[0]))
    assert load_parts(None, CPU).model.sizes == TINY


def test_without_a_folder_the_downloads_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LI_ENV_HY_WORLDPLAY", raising=False)
    with pytest.raises(ValueError) as caught:
        load_parts(None, CPU)
    message = str(caught.value)
    assert message.startswith("world='hy_worldplay' has no shipped weights: set weights= or LI_ENV_HY_WORLDPLAY to a")
    assert "ar_distilled_action_model/" in message and "34.2 GB, huggingface.co/tencent/HY-WorldPlay@main" in message
    assert "text_encoder/llm/" in message and "vision_encoder/siglip" in message and "\n" not in message


def test_published_sizes_without_a_config(written: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    file = checkpoints.TensorFile(written[0] / TRANSFORMER)
    assert transformer_config(written[0], file) == TINY
    published = transformer_config(tmp_path, file)
    assert (published.hidden_size, published.depth, published.byt5_widths) == (2048, 54, (1472, 2048, 2048))


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("bidirectional_model", "the bidirectional variant"),
        ("ar_model", "before distillation"),
        ("wan_distilled_model", "the WAN-5B variant"),
    ],
)
def test_another_variant_is_named(tmp_path: Path, name: str, what: str) -> None:
    (tmp_path / name).mkdir()
    for folder in (tmp_path, tmp_path / name):
        with pytest.raises(
            ValueError, match=f"{name} is .*{what}.*; world 'hy_worldplay' runs ar_distilled_action_model"
        ):
            load_parts(folder, CPU)


def test_tensors_of_another_model_are_named(copy: Path) -> None:
    tensors = load_file(copy / TRANSFORMER)
    base = {name: value for name, value in tensors.items() if "prope" not in name and not name.startswith("action_in")}
    save_file(base, copy / TRANSFORMER)
    with pytest.raises(ValueError, match="is HunyuanVideo-1.5 without actions"):
        load_parts(copy, CPU)
    save_file({"blocks.0.attn1.to_q.weight": torch.ones(1)}, copy / TRANSFORMER)
    with pytest.raises(ValueError, match="is the WAN-5B variant"):
        load_parts(copy, CPU)


def test_missing_files_are_named_with_place_source_and_size(copy: Path) -> None:
    (copy / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    shutil.rmtree(copy / "vision_encoder")
    with pytest.raises(ValueError, match=r"lacks vae/diffusion_pytorch_model.safetensors \(5 GB, huggingface.co/tenc"):
        load_parts(copy, CPU)


def test_misfit_of_the_transformer(copy: Path) -> None:
    tensors = load_file(copy / TRANSFORMER)
    del tensors["double_blocks.1.img_attn_prope_proj.bias"]
    tensors["double_blocks.0.img_attn_q.weight"] = torch.ones(32, 31)
    tensors["single_blocks.0.linear1.weight"] = torch.ones(2)
    save_file(tensors, copy / TRANSFORMER)
    with pytest.raises(CheckpointError) as caught:
        load_parts(copy, CPU)
    misfit = caught.value.misfit
    assert misfit.missing == ("double_blocks.1.img_attn_prope_proj.bias",)
    assert misfit.unexpected == ("single_blocks.0.linear1.weight",)
    assert misfit.shapes == {"double_blocks.0.img_attn_q.weight": ((32, 31), (32, 32))}


def test_misfit_of_an_encoder_and_of_the_autoencoder(copy: Path) -> None:
    path = copy / "text_encoder" / "llm" / "model.safetensors"
    tensors = load_file(path)
    del tensors["model.layers.0.mlp.up_proj.weight"]
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"the language model of Qwen2.5-VL: 1 missing: layers.0.mlp.up_proj"):
        load_parts(copy, CPU)
    config = copy / "vae" / "config.json"
    data = json.loads(config.read_text(encoding="utf-8"))
    config.write_text(json.dumps(data | {"shift_factor": 0.1}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"shift_factor=0.1 is another autoencoder; allowed: null"):
        load_parts(copy, CPU)
    config.write_text(json.dumps({key: value for key, value in data.items() if key != "scaling_factor"}))
    with pytest.raises(ValueError, match=r"'scaling_factor' is missing"):
        load_parts(copy, CPU)


def test_encoders_of_another_width(copy: Path) -> None:
    path = copy / "transformer" / "480p_i2v" / "config.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(data | {"text_states_dim": 30}), encoding="utf-8")
    tensors = load_file(copy / TRANSFORMER)
    for name in ("txt_in.input_embedder.weight", "txt_in.c_embedder.linear_1.weight"):
        tensors[name] = torch.ones(32, 30)
    save_file(tensors, copy / TRANSFORMER)
    with pytest.raises(ValueError, match="text_encoder/llm gives 24 values per token; allowed: 30"):
        load_parts(copy, CPU)


def test_too_little_memory_is_said_before_loading(
    written: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_memory, "free_memory", lambda device: 15_000_000_000)
    monkeypatch.setattr(checkpoints.TensorFile, "__getitem__", lambda self, name: pytest.fail("read too early"))
    with pytest.raises(ValueError, match=r"^world 'hy_worldplay' needs 22.0 GB, this machine has 15.0 free$"):
        load_parts(written[0], CPU, working_bytes=lambda config: 22_000_000_000)
