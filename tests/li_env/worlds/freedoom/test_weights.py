from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from li_env.worlds.freedoom import weights


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Exported weights of three tiny models."""
    run, out = tmp_path / "run", tmp_path / "weights"
    run.mkdir()
    for name in weights.FILES:
        save_file({"weight": torch.full((2, 3), 0.5), "bias": torch.zeros(2)}, run / f"{name}.safetensors")
    weights.export_weights(run, out)
    return out


def test_exported_weights_load_and_are_bfloat16(folder: Path) -> None:
    model = nn.Linear(3, 2)
    weights.load_weights({"dynamics": model}, folder)
    assert torch.equal(model.weight, torch.full((2, 3), 0.5))
    data = (folder / "dynamics.safetensors").read_bytes()
    assert b"BF16" in data and not list(folder.glob("*.tmp"))


def test_refined_dynamics_replace_plain_ones(tmp_path: Path) -> None:
    for name, value in (("autoencoder", 2), ("dynamics", 3), ("refine", 4), ("motion", 5)):
        tensors = {"weight": torch.full((2, 3), float(value)), "bias": torch.zeros(2)}
        save_file(tensors, tmp_path / f"{name}.safetensors")
    weights.export_weights(tmp_path, tmp_path / "out")
    for name, value in (("autoencoder", 2), ("dynamics", 4), ("motion", 5)):
        model = nn.Linear(3, 2)
        weights.load_weights({name: model}, tmp_path / "out")
        assert float(model.weight.detach()[0, 0]) == value


def test_missing_manifest_names_the_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"weights\.json is missing"):
        weights.load_weights({"dynamics": nn.Linear(3, 2)}, tmp_path)


def test_missing_file_names_file_and_checksum(folder: Path) -> None:
    (folder / "motion.safetensors").unlink()
    with pytest.raises(ValueError, match=r"motion\.safetensors is missing; expected sha256 [0-9a-f]{64}"):
        weights.load_weights({"motion": nn.Linear(3, 2)}, folder)


def test_one_flipped_bit_is_noticed(folder: Path) -> None:
    file = folder / "dynamics.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(ValueError, match=r"dynamics\.safetensors is damaged: sha256 .* expected [0-9a-f]{64}"):
        weights.load_weights({"dynamics": nn.Linear(3, 2)}, folder)


def test_other_shapes_are_named(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"bias is \(2,\), expected \(5,\)"):
        weights.load_weights({"dynamics": nn.Linear(3, 5)}, folder)
