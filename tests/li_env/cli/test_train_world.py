from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from li_env.cli import main
from li_env.worlds.freedoom.doom import renderer
from li_env.worlds.freedoom.training import run
from li_env.worlds.freedoom.weights import read_manifest

CONFIG = Path(__file__).parents[3] / "configs" / "train" / "freedoom.yaml"


def train(config: Path, out: Path, *options: str) -> int:
    return main(["train", "world", "--config", str(config), "--out", str(out), "--device", "cpu", *options])


def stages(*names: str):
    """A training that leaves these stages' files."""

    def train_world(config, out: Path, device: torch.device, workers: int | None, show: run.Log) -> None:
        assert isinstance(config, run.TrainConfig) and device.type == "cpu" and workers == 3
        out.mkdir(parents=True)
        show({"seconds": 1.0, "stage": "render", "frames": 3})
        for name in names:
            show({"seconds": 2.0, "stage": name, "step": 5, "fraction": 0.5})
            show({"seconds": 3.0, "stage": name, "step": 9, "final": 1.0, "psnr": 31.25})
            save_file({"weight": torch.ones(2)}, out / f"{name}.safetensors")

    return train_world


def test_trained_weights_end_in_a_folder_that_can_be_loaded(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(renderer, "require_vizdoom", lambda: None)
    monkeypatch.setattr(run, "train_world", stages("autoencoder", "dynamics", "motion"))
    assert train(CONFIG, tmp_path / "out", "--workers", "3") == 0
    assert len(read_manifest(tmp_path / "out" / "weights")) == 3
    shown = capsys.readouterr().out
    assert str(tmp_path / "out" / "weights") in "".join(shown.split("\n"))
    assert "dynamics: psnr 31.2" in shown and "100%" in shown


def test_left_out_stages_are_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(renderer, "require_vizdoom", lambda: None)
    monkeypatch.setattr(run, "train_world", stages("autoencoder"))
    assert train(CONFIG, tmp_path / "out", "--workers", "3") == 0
    assert "the stages dynamics, motion were left out" in capsys.readouterr().out
    assert not (tmp_path / "out" / "weights").exists()


@pytest.mark.parametrize(
    "text, message",
    [
        ("sead: 1", "unknown key sead in the training config; allowed: "),
        ("dynamics: {stepps: 5}", "unknown key dynamics.stepps"),
        ("stages: [autoencoder, polish]", "unknown stage polish"),
        ("a: [1", "is not a YAML mapping of keys to values"),
        ("5", "is not a YAML mapping of keys to values"),
        ("data: 5", "is not a YAML mapping of keys to values"),
    ],
)
def test_bad_configurations_exit_2_with_one_line(text, message, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(renderer, "require_vizdoom", lambda: None)
    (tmp_path / "config.yaml").write_text(text)
    assert train(tmp_path / "config.yaml", tmp_path / "out") == 2
    error = capsys.readouterr().err.strip()
    assert message in error and "\n" not in error
    assert not (tmp_path / "out").exists()


def test_a_missing_configuration_is_named(tmp_path, capsys):
    assert train(tmp_path / "none.yaml", tmp_path / "out") == 2
    assert "none.yaml' is not a file" in capsys.readouterr().err


def test_bad_values_are_named(tmp_path, capsys):
    assert train(CONFIG, tmp_path / "out", "--workers", "0") == 2
    assert "workers=0 is not allowed" in capsys.readouterr().err
    assert train(CONFIG, CONFIG) == 2
    assert "is a file; allowed: a folder" in capsys.readouterr().err


def test_without_vizdoom_the_extra_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "vizdoom", None)
    assert train(CONFIG, tmp_path / "out") == 2
    assert "training the freedoom world needs ViZDoom: pip install 'li-env[doom]'" in capsys.readouterr().err
