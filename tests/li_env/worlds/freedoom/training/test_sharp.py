"""The autoencoder that is not blurred: its training at tiny size."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from li_env.worlds.freedoom.autoencoder import Autoencoder, AutoencoderConfig
from li_env.worlds.freedoom.efficientnet import FeatureNet
from li_env.worlds.freedoom.training import checkpoint, run, sharp
from li_env.worlds.freedoom.training.patch_judge import PatchJudge, hinge_loss
from li_env.worlds.freedoom.training.run import TrainConfig, from_mapping, train_world
from li_env.worlds.freedoom.training.sharp import SharpStage, SharpTrainer, train_sharp

SMALL = AutoencoderConfig(12, (16, 16, 16), (16, 16, 16, 16), (1, 1, 1, 1))
STAGE = SharpStage(steps=8, batch=2, warmup=1, adversarial_from=0.5, feature_scale=1, measure_every=4, rate=5e-3)


@pytest.fixture
def frames() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randint(0, 256, (2, 1, 1, 3)).expand(2, 32, 32, 3).to(torch.uint8)


def trainer(stage: SharpStage = STAGE) -> SharpTrainer:
    torch.manual_seed(1)
    return SharpTrainer(Autoencoder(SMALL), FeatureNet("lite0"), stage, torch.device("cpu"))


def values(module: torch.nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])


def test_judge_sees_patches_of_46_pixels() -> None:
    pixels = torch.zeros(1, 3, 96, 128, requires_grad=True)
    judge = PatchJudge(8)
    judge.norms = torch.nn.ModuleList(torch.nn.Identity() for _ in judge.norms)
    verdicts = judge(pixels)
    assert verdicts.shape == (1, 1, 11, 15)
    verdicts[0, 0, 5, 7].backward()
    assert pixels.grad is not None
    rows = pixels.grad.abs().sum((0, 1, 3)).nonzero()
    assert int(rows.max() - rows.min()) + 1 == 46


def test_hinge_loss_is_zero_beyond_the_margin() -> None:
    assert hinge_loss(torch.tensor([1.5]), torch.tensor([-2.0])) == 0
    assert hinge_loss(torch.tensor([0.0]), torch.tensor([0.5])) == 2.5


def test_loss_falls(frames: torch.Tensor) -> None:
    early = trainer(replace(STAGE, steps=1000))
    losses = [float(early.step(frames)["loss"]) for _ in range(25)]
    assert losses[-1] < 0.7 * losses[0]


def test_encoder_stands_still_while_the_judge_speaks(frames: torch.Tensor) -> None:
    late = trainer()
    for _ in range(5):
        late.step(frames)
    encoder, decoder = values(late.model.encoder), values(late.model.decoder)
    numbers = late.step(frames)
    assert late.late_steps == 2 and "ratio" in numbers
    assert torch.equal(values(late.model.encoder), encoder) and not torch.equal(values(late.model.decoder), decoder)


def test_judge_has_its_share_of_the_gradient(frames: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Judge and share: its part of the decoder's gradient has the share of the size."""
    gradients = {}
    for share in (0.0, 0.08):
        late = trainer(replace(STAGE, adversarial_from=0.0, warmup=0, adversarial_share=share, latent_noise=0.0))
        monkeypatch.setattr(late.optimizer, "step", lambda rate: None)
        late.step(frames)
        gradients[share] = torch.cat([p.grad.flatten() for p in late.decoder if p.grad is not None])
    difference = (gradients[0.08] - gradients[0.0]).norm() / gradients[0.0].norm()
    assert float(difference) == pytest.approx(0.08, rel=1e-3)


def test_training_continues_where_it_was_cut_off(frames: torch.Tensor, tmp_path: Path) -> None:
    state = tmp_path / "state.safetensors"
    entries: list[dict[str, float]] = []

    def draw(count: int) -> torch.Tensor:
        if len(entries) == 1:
            raise KeyboardInterrupt
        return frames[:count]

    def evaluate(model: Autoencoder) -> dict[str, float]:
        return {"psnr": 1.0}

    stage = replace(STAGE, save_seconds=1e-6)
    model = Autoencoder(SMALL)
    with pytest.raises(KeyboardInterrupt):
        train_sharp(model, draw, evaluate, FeatureNet("lite0"), stage, entries.append, state)
    entries.append({})
    again = Autoencoder(SMALL)
    train_sharp(again, draw, evaluate, FeatureNet("lite0"), stage, entries.append, state)
    assert [entry.get("step") for entry in entries] == [4, None, 8, 8] and entries[-1]["final"] == 1
    assert all(parameter.requires_grad for parameter in again.parameters())


def test_restored_trainer_takes_the_same_step(frames: torch.Tensor, tmp_path: Path) -> None:
    stage = replace(STAGE, latent_noise=0.0)
    first, second = trainer(stage), trainer(stage)
    for _ in range(6):
        first.step(frames)
    checkpoint.save(tmp_path / "state.safetensors", first.state())
    second.restore(checkpoint.load(tmp_path / "state.safetensors"))
    first.step(frames)
    second.step(frames)
    torch.testing.assert_close(values(second.model), values(first.model))
    assert not any(parameter.requires_grad for parameter in second.model.encoder.parameters())


def test_stage_runs_by_its_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Turn the run's own autoencoder into a sharpened one, and leave other stages alone."""
    torch.manual_seed(0)
    clip = torch.randint(0, 256, (2, 8, 32, 32, 3), dtype=torch.uint8)

    class Footage:
        frames = clip

    monkeypatch.setattr(run, "render", lambda *arguments: (Footage, Footage))
    monkeypatch.setattr(run, "load_features", FeatureNet)
    monkeypatch.setattr(sharp, "load_features", FeatureNet)
    settings = {"steps": 2, "batch": 1, "feature_scale": 1}
    config = from_mapping(TrainConfig, {"stages": ["sharp_autoencoder"], "sharp_autoencoder": settings}, "")
    run.write(Autoencoder(AutoencoderConfig()), tmp_path / "autoencoder.safetensors")
    monkeypatch.setattr(run, "check_memory", lambda *arguments: None)
    shown: list[dict[str, Any]] = []
    train_world(config, tmp_path, torch.device("cpu"), show=shown.append)
    assert [entry["stage"] for entry in shown] == ["sharp_autoencoder"] * 2 and "lite2_frechet" in shown[-1]
    model = Autoencoder(AutoencoderConfig())
    run.read(model, tmp_path / "sharp_autoencoder.safetensors")
    assert model.encode(clip[0]).shape == (8, 64, 2, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "autoencoder.safetensors",
        "log.jsonl",
        "sharp_autoencoder.safetensors",
    ]
    train_world(config, tmp_path, torch.device("cpu"), show=shown.append)
    assert len(shown) == 2
