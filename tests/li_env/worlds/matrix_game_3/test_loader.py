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
pytest.importorskip("ftfy")

from li_env import device_memory
from li_env.worlds.common import checkpoints
from li_env.worlds.common.checkpoints import CheckpointError
from li_env.worlds.common.taehv import TinyDecoder
from li_env.worlds.matrix_game_3.config import MatrixGame3Config
from li_env.worlds.matrix_game_3.loader import load_parts
from tests.li_env.worlds.common.test_taehv import write_tiny_decoder
from tests.li_env.worlds.matrix_game_3.tiny_checkpoint import CONFIG, write_checkpoint

CPU = torch.device("cpu")
TRANSFORMER = Path("base_distilled_model") / "diffusion_pytorch_model.safetensors"
FILES = {"full": "Wan2.2_VAE.pth", "light": "MG-LightVAE.pth", "lighter": "MG-LightVAE_v2.pth"}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("matrix_game_3")
    return folder, write_checkpoint(folder)


@pytest.fixture
def copy(written: tuple[Path, dict[str, Any]], tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoint"
    shutil.copytree(written[0], folder)
    return folder


@pytest.mark.parametrize("decoder", FILES)
def test_every_tensor_arrives(written: tuple[Path, dict[str, Any]], decoder: str) -> None:
    parts = load_parts(written[0], CPU, decoder)  # type: ignore[arg-type]
    assert parts.model.config == MatrixGame3Config.from_dict(CONFIG)
    stored = load_file(written[0] / TRANSFORMER)
    for name, value in parts.model.state_dict().items():
        assert value.dtype == torch.float32 and torch.equal(value, stored[name].float())
    full, own = written[1]["Wan2.2_VAE.pth"].state_dict(), written[1][FILES[decoder]].state_dict()
    for name, value in parts.vae.vae.state_dict().items():
        assert torch.equal(value, (own if name.startswith("decoder.") else full)[name])
    assert parts.vae.first_latent == ("bypass" if decoder == "full" else "double")


def test_parts_work_together(written: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LI_ENV_MATRIX_GAME_3", str(written[0]))
    parts = load_parts(None, CPU, "light")
    image = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    latent = parts.vae.encode_image(image)
    assert latent.shape == (48, 2, 3)
    assert parts.vae.decode(latent[None], None)[0].shape == (1, 32, 48, 3)
    states = parts.encoder("a room")
    assert states.shape == (len("a room") + 1, CONFIG["text_dim"])
    assert len(parts.model.embed_text(states[None])) == CONFIG["num_layers"]


def test_a_tiny_decoder_takes_the_place_of_the_published_one(
    written: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    write_tiny_decoder(tmp_path / "taew2_2.pth", 48)
    codec = load_parts(written[0], CPU, tiny_decoder=tmp_path / "taew2_2.pth").vae
    assert isinstance(codec, TinyDecoder)
    latent = codec.encode_image(np.zeros((32, 48, 3), dtype=np.uint8))
    assert codec.decode(latent[None], None)[0].shape == (1, 32, 48, 3)


def test_without_a_folder_the_downloads_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LI_ENV_MATRIX_GAME_3", raising=False)
    with pytest.raises(ValueError) as caught:
        load_parts(None, CPU, "light")
    message = str(caught.value)
    assert message.startswith("world='matrix_game_3' has no shipped weights: set weights= or LI_ENV_MATRIX_GAME_3 to a")
    assert "25.9 GB, huggingface.co/Skywork/Matrix-Game-3.0@main" in message
    assert "Wan2.2_VAE.pth" in message and "MG-LightVAE.pth (0.7 GB" in message and "\n" not in message


def test_an_unknown_decoder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="decoder='tiny' is unknown; allowed: full, light, lighter"):
        load_parts(tmp_path, CPU, "tiny")  # type: ignore[arg-type]


def test_the_teacher_is_named(tmp_path: Path) -> None:
    (tmp_path / "base_model").mkdir()
    for folder in (tmp_path, tmp_path / "base_model"):
        with pytest.raises(ValueError, match="base_model is the teacher.*; world 'matrix_game_3' runs base_distilled"):
            load_parts(folder, CPU)


def test_missing_files_are_named(copy: Path) -> None:
    (copy / "MG-LightVAE_v2.pth").unlink()
    load_parts(copy, CPU)
    with pytest.raises(ValueError, match=r"lacks MG-LightVAE_v2.pth \(0.2 GB, huggingface.co/Skywork/Matrix-Game-3.0"):
        load_parts(copy, CPU, "lighter")


def test_misfits_are_named(copy: Path) -> None:
    tensors = load_file(copy / TRANSFORMER)
    save_file(tensors | {"blocks.0.extra.weight": torch.ones(1)}, copy / TRANSFORMER)
    with pytest.raises(CheckpointError, match=r"the distilled model of Matrix-Game-3.0: 1 unexpected: blocks.0.extra"):
        load_parts(copy, CPU)
    save_file(tensors, copy / TRANSFORMER)
    light = torch.load(copy / "MG-LightVAE.pth", weights_only=True)
    del light["gen_model"]["decoder.conv_in.bias"]
    torch.save(light, copy / "MG-LightVAE.pth")
    with pytest.raises(CheckpointError, match=r"autoencoder of Matrix-Game-3.0 \(light\): 1 missing: decoder.conv_in"):
        load_parts(copy, CPU, "light")
    torch.save({"conv1.weight": torch.ones(1)}, copy / "Wan2.2_VAE.pth")
    with pytest.raises(ValueError, match=r"is not the video autoencoder of Wan2.2: encoder.conv_in.weight is missing"):
        load_parts(copy, CPU)


def test_text_of_another_width(copy: Path) -> None:
    path = copy / "base_distilled_model" / "config.json"
    path.write_text(json.dumps(CONFIG | {"text_dim": 20}), encoding="utf-8")
    tensors = load_file(copy / TRANSFORMER)
    save_file(tensors | {"text_embedding.0.weight": torch.ones(CONFIG["dim"], 20)}, copy / TRANSFORMER)
    with pytest.raises(ValueError, match="gives 16 values per token; allowed: 20"):
        load_parts(copy, CPU)


def test_too_little_memory_is_said_before_loading(
    written: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_memory, "free_memory", lambda device: 15_000_000_000)
    monkeypatch.setattr(checkpoints.TensorFile, "__getitem__", lambda self, name: pytest.fail("read too early"))
    with pytest.raises(ValueError, match=r"^world 'matrix_game_3' needs 22.0 GB, this machine has 15.0 free$"):
        load_parts(written[0], CPU, working_bytes=lambda config: 22_000_000_000)
