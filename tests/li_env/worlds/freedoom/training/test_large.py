"""The training of the large size runs by its configuration, from weights of the small one, and goes on after a stop."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from li_env.cli import main
from li_env.tensor_files import read_tensors
from li_env.worlds.common.transformer import TransformerConfig
from li_env.worlds.freedoom.autoencoder import Autoencoder, AutoencoderConfig
from li_env.worlds.freedoom.dynamics import LATENT_CHANNELS, DynamicsModel
from li_env.worlds.freedoom.geometry import FEATURES
from li_env.worlds.freedoom.motion_head import MotionHead
from li_env.worlds.freedoom.sizes import LARGE, SMALL
from li_env.worlds.freedoom.training import run
from li_env.worlds.freedoom.training.dynamics import DynamicsStage
from li_env.worlds.freedoom.training.run import TrainConfig
from li_env.worlds.freedoom.training.store import LatentStore
from li_env.worlds.freedoom.weights import load_weights, write_weights

CONFIG = Path(__file__).parents[5] / "configs" / "train" / "freedoom_large.yaml"

TINY: dict[str, dict[str, Any]] = {
    "data": {"maps": 1, "trajectories_per_map": 1, "length": 24, "validation_maps": 1, "validation_length": 8,
             "scan_views": 8, "validation_scan_views": 8, "tries": 2},
    "dynamics": {"steps": 3, "max_seconds": None, "batch": 1, "draws": 1, "save_seconds": 1e-6},
    "motion": {"steps": 1, "max_seconds": None, "batch": 2, "held_out_samples": 2},
    "refine": {"steps": 1, "max_seconds": None, "batch": 1, "chunks": 1, "save_seconds": 1e-6},
}  # fmt: skip


def tiny(grid: tuple[int, int] = SMALL.token_grid) -> DynamicsModel:
    config = TransformerConfig(LATENT_CHANNELS + FEATURES, LATENT_CHANNELS, 64, 1, 1, modulation="shared")
    return DynamicsModel(config, grid)


def test_the_configuration_is_of_the_large_size_and_begins_with_what_is_shipped() -> None:
    config = TrainConfig.read(CONFIG)
    assert (config.size, config.start, config.dynamics.batch) == ("large", "small", 64)
    assert run._unfinished(config, Path("nowhere")) == ["dynamics", "motion", "refine"]
    # As many tokens in a step as in the training of the small size, whose memory is known.
    assert config.dynamics.batch * LARGE.tokens == DynamicsStage.batch * SMALL.tokens


def test_it_trains_resumes_and_leaves_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("vizdoom")
    torch.manual_seed(0)
    models = {"autoencoder": Autoencoder(AutoencoderConfig()), "dynamics": tiny(), "motion": MotionHead()}
    write_weights(tmp_path / "small", {name: model.state_dict() for name, model in models.items()})
    settings = yaml.safe_load(CONFIG.read_text()) | {"start": str(tmp_path / "small")}
    settings |= {name: settings[name] | part for name, part in TINY.items()}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(settings))
    monkeypatch.setattr(run, "DynamicsModel", tiny)
    monkeypatch.setitem(run.MODELS, "dynamics", tiny)
    monkeypatch.setitem(run.MODELS, "refine", tiny)
    monkeypatch.setattr(run, "quick_measures", lambda model, *_: {"grid": list(model.grid)})
    out = tmp_path / "out"
    words = ["train", "world", "--config", str(tmp_path / "tiny.yaml"), "--out", str(out), "--device", "cpu"]

    train_dynamics = run.train_dynamics

    def stopped(model: DynamicsModel, store: LatentStore, stage: DynamicsStage, *rest: Any) -> None:
        train_dynamics(model, store, replace(stage, steps=2), *rest)
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "train_dynamics", stopped)
    assert main([*words, "--workers", "1"]) == 130
    assert (out / "dynamics_state.safetensors").exists() and not (out / "dynamics.safetensors").exists()
    monkeypatch.setattr(run, "train_dynamics", train_dynamics)
    assert main([*words, "--workers", "1"]) == 0

    entries = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    steps = [(entry["stage"], entry["step"]) for entry in entries if "final" in entry]
    assert steps == [("dynamics", 2), ("dynamics", 3), ("motion", 1), ("motion", 1), ("refine", 1)]
    assert {tuple(entry["grid"]) for entry in entries if "grid" in entry} == {(12, 16)}
    shapes = [(entry["latents"], entry["views"]) for entry in entries if entry["stage"] == "encode"]
    assert shapes == [([1, 24, 192, 64], [1, 8, 192, 64])] * 2
    trained = {"autoencoder": Autoencoder(AutoencoderConfig()), "dynamics": tiny(), "motion": MotionHead()}
    load_weights(trained, out / "weights")
    learned, begun = (each["autoencoder"].state_dict()["encoder.stem.weight"] for each in (trained, models))
    torch.testing.assert_close(learned, begun, atol=2e-3, rtol=0)  # packed twice
    assert not torch.equal(trained["dynamics"].state_dict()["transformer.img_in.proj.weight"],
                           models["dynamics"].state_dict()["transformer.img_in.proj.weight"])  # fmt: skip

    settings |= {"stages": ["refine"], "start": str(out / "weights")}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(settings))
    words[words.index(str(out))] = str(tmp_path / "refined")
    assert main([*words, "--workers", "1"]) == 0
    kept = read_tensors(tmp_path / "refined" / "dynamics.safetensors")
    assert torch.equal(kept["transformer.img_in.proj.weight"],
                       trained["dynamics"].state_dict()["transformer.img_in.proj.weight"])  # fmt: skip
    assert (tmp_path / "refined" / "refine.safetensors").exists()


def test_a_refinement_of_its_own_begins_with_weights_from_elsewhere() -> None:
    assert run._unfinished(TrainConfig(stages=("refine",), start="small"), Path("nowhere")) == ["refine"]
    with pytest.raises(ValueError, match="refine starts from autoencoder, which is not there"):
        run._unfinished(TrainConfig(stages=("refine",)), Path("nowhere"))
