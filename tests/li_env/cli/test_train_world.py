from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from li_env.cli import main
from li_env.worlds.common import game
from li_env.worlds.freedoom.training import run
from li_env.worlds.freedoom.weights import read_manifest

CONFIG = Path(__file__).parents[3] / "configs" / "train" / "freedoom.yaml"


def train(config: Path, out: Path, *options: str) -> int:
    return main(["train", "world", "--config", str(config), "--out", str(out), "--device", "cpu", *options])


def stages(*names: str):
    """Make a training that leaves these stages' files."""

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
    monkeypatch.setattr(game, "require_game", lambda purpose: None)
    monkeypatch.setattr(run, "train_world", stages("autoencoder", "dynamics", "motion"))
    assert train(CONFIG, tmp_path / "out", "--workers", "3") == 0
    assert len(read_manifest(tmp_path / "out" / "weights")) == 3
    shown = capsys.readouterr().out
    assert str(tmp_path / "out" / "weights") in "".join(shown.split("\n"))
    assert "dynamics: psnr 31.2" in shown and "100%" in shown


def test_left_out_stages_are_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(game, "require_game", lambda purpose: None)
    monkeypatch.setattr(run, "train_world", stages("autoencoder"))
    assert train(CONFIG, tmp_path / "out", "--workers", "3") == 0
    assert "the stages dynamics, motion were left out" in capsys.readouterr().out
    assert not (tmp_path / "out" / "weights").exists()


@pytest.mark.parametrize(
    "text, message",
    [
        ("sead: 1", "training config key='sead' is unknown (did you mean 'seed'?); allowed: "),
        ("dynamics: {stepps: 5}", "training config dynamics. key='stepps' is unknown (did you mean 'steps'?)"),
        (
            "stages: [autoencoder, polish]",
            "stages=('autoencoder', 'polish') is not allowed; use a list of autoencoder, sharp_autoencoder",
        ),
        ("a: [1", "config.yaml:2: not YAML: "),
        ("5", "training config=5 is not allowed; use a mapping"),
        ("data: 5", "data=5 is not allowed; use a mapping"),
        ("data: {maps: 0}", "data.maps=0 is not allowed; use a whole number from 1 to"),
        ("data: {maps: -1}", "data.maps=-1 is not allowed"),
        ("data: {maps: 10000001}", "data.maps=10000001 is not allowed"),
        ("data: {maps: 1.5}", "data.maps=1.5"),
        ("data: {length: 1}", "data.length=1 is not allowed; use a whole number from 2"),
        ("data: {length: 20}", "data.length=20 is not allowed; use 24 or more for stage dynamics"),
        ("data: {length: 32}\nrefine: {chunks: 9}", "data.length=32 is not allowed; use 36 or more for stage refine"),
        ("data: {validation_length: 7}", "data.validation_length=7 is not allowed; use 8 or more"),
        ("data: {seed: 4000}", "data.seed=4000 is not allowed; use 0 to 3062 with 3264 maps"),
        ("data: {kinds: {fly: 1}}", "fly"),
        ("data: {kinds: {}}", "sum to"),
        ("data: {maps: 1000000, length: 96}", "the rendered frames needs"),
        ("autoencoder: {batch: 0}", "autoencoder.batch=0"),
        ("autoencoder: {ema: 1}", "autoencoder.ema=1 is not allowed; use a number from 0 and below 1"),
        ("autoencoder: {latent_noise: .nan}", "autoencoder.latent_noise=nan"),
        ("autoencoder: {rate: -.inf}", "autoencoder.rate=-inf"),
        ("dynamics: {steps: null}", "dynamics.steps=None"),
        ("dynamics: {steps: [1]}", "dynamics.steps=[1]"),
        ("dynamics: {max_seconds: 0}", "dynamics.max_seconds=0 is not allowed; use a number above 0"),
        ("refine: {schedules: []}", "refine.schedules=() is not allowed"),
        ("refine: {schedules: [[1, 2, 0]]}", "refine.schedules=2 is not allowed"),
        ("refine: {schedules: [[0, 1]]}", "refine.schedules=(0, 1) is not allowed; use noise levels that fall"),
        ("refine: {schedules: 3}", "refine.schedules=3"),
        ("stages: [dynamics]", "dynamics starts from autoencoder, which is not there"),
        ("stages: [autoencoder, refine]", "refine starts from dynamics"),
        ("stages: []", "stages=() is not allowed"),
        ("stages: [motion, motion]", "use every stage once"),
        ("seed: -1", "seed=-1"),
        ("seed: abc", "seed='abc'"),
        ("3: 4", "training config key=3 is not allowed"),
        ("[" * 500, "more than 64 deep"),
    ],
)
def test_bad_configurations_exit_2_with_one_line(text, message, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(game, "require_game", lambda purpose: None)
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
