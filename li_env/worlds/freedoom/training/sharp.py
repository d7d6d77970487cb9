"""Stage 1b: sharpen the autoencoder, judged by features and by a weak critic of patches.

First encoder and decoder learn together from absolute differences of pixels and distances of features. Then the encoder
stands still, and a judge of patches that tries to tell decoded frames from real ones adds a small share to the
decoder's gradient: the encoder never learns from it (colours drift if it does), and a larger share buys sharpness with
noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn.functional import l1_loss

from li_env.worlds.freedoom.autoencoder import Autoencoder, to_pixels
from li_env.worlds.freedoom.efficientnet import FeatureNet, load_features
from li_env.worlds.freedoom.feature_metrics import compare, feature_distance
from li_env.worlds.freedoom.training import checkpoint
from li_env.worlds.freedoom.training.autoencoder import decode_noisy, reconstruct
from li_env.worlds.freedoom.training.optim import Ema, Optimizer, Progress, averaged, combine_gradients
from li_env.worlds.freedoom.training.patch_judge import PatchJudge, hinge_loss
from li_env.worlds.freedoom.training.ranks import ALONE, Ranks

JUDGED_SCALE = 2
"""Enlargement of frames before Lite2 compares them; training may use another one."""


@dataclass(frozen=True)
class SharpStage:
    """Settings of the stage.

    ``feature_weight``: of the distance of features beside the mean absolute difference of pixels. ``feature_scale``:
    enlargement of frames before features are taken. ``adversarial_share``: size of the judge's gradient relative to all
    else; it comes in after the share ``adversarial_from`` of the stage and ``warmup`` steps in which the judge alone
    learns. ``latent_noise``: the largest noise level added to latents before decoding.
    """

    steps: int = 20000
    max_seconds: float | None = None
    batch: int = 128
    rate: float = 5e-4
    judge_rate: float = 2e-4
    latent_noise: float = 0.15
    feature_weight: float = 1.0
    feature_scale: int = 2
    adversarial_share: float = 0.08
    adversarial_from: float = 0.65
    warmup: int = 200
    ema: float = 0.999
    save_seconds: float = 60.0
    measure_every: int = 2000


def pixel_and_feature_loss(
    output: torch.Tensor, pixels: torch.Tensor, net: FeatureNet, weight: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean absolute difference plus ``weight`` times the distance of features, and that distance alone.

    Args:
        output, pixels: [B, 3, H, W] in [-1, 1].
    """
    distance = feature_distance(net(output), net(pixels)).mean()
    return l1_loss(output.float(), pixels.float()) + weight * distance, distance


class SharpTrainer:
    """Model, judge, optimisers and averages of the stage, one step at a time."""

    def __init__(
        self, model: Autoencoder, net: FeatureNet, stage: SharpStage, device: torch.device, ranks: Ranks = ALONE
    ) -> None:
        self.model = model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.judge = PatchJudge().to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.net, self.stage, self.device = net, stage, device
        self.optimizer = Optimizer(model, None, stage.rate, ranks=ranks)
        self.judge_optimizer = Optimizer(self.judge, None, stage.judge_rate, momentum=0.5, ranks=ranks)
        self.ema = Ema(model, stage.ema)
        self.progress = Progress(stage.steps, stage.max_seconds, ranks, device)
        self.late_steps = 0
        """Steps since the encoder stands still."""
        self.decoder = list(model.decoder.parameters())
        self.reconstruct, self.decode_noisy, self.loss = reconstruct, decode_noisy, pixel_and_feature_loss
        if device.type == "cuda":
            # The decoder's graph is walked twice, once for each part of the loss.
            torch._functorch.config.donated_buffer = False
            self.reconstruct = torch.compile(reconstruct)
            self.decode_noisy = torch.compile(decode_noisy)
            self.loss = torch.compile(pixel_and_feature_loss)

    def step(self, frames: torch.Tensor) -> dict[str, torch.Tensor]:
        """Learn from uint8 frames [B, H, W, 3]; returns numbers for the log."""
        pixels = to_pixels(frames).to(memory_format=torch.channels_last)
        late = self.progress.fraction >= self.stage.adversarial_from
        if late and not self.late_steps:
            self.ema.copy_to(self.model)
            self.model.encoder.requires_grad_(False)
        numbers = self._late_step(pixels) if late else self._early_step(pixels)
        self.optimizer.step(self.progress.rate())
        self.ema.update()
        self.progress.done += 1
        self.late_steps += late
        return numbers

    def _early_step(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        with self._amp():
            output = self.reconstruct(self.model, pixels, self.stage.latent_noise)
            loss, distance = self.loss(output, pixels, self.net, self.stage.feature_weight)
        loss.backward()
        return {"loss": loss.detach(), "distance": distance.detach()}

    def _late_step(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        with torch.no_grad(), self._amp():
            latents = self.model.encoder(pixels)
        with self._amp():
            output = self.decode_noisy(self.model, latents, self.stage.latent_noise)
        made = output.detach().requires_grad_()
        with self._amp():
            verdict_loss = hinge_loss(self.judge(pixels), self.judge(made.detach()))
        verdict_loss.backward()
        self.judge_optimizer.step(1.0)
        with self._amp():
            loss, distance = self.loss(made, pixels, self.net, self.stage.feature_weight)
        (toward_real,) = torch.autograd.grad(loss, made)
        numbers = {"loss": loss.detach(), "distance": distance.detach(), "judge": verdict_loss.detach()}
        if self.late_steps < self.stage.warmup or not self.stage.adversarial_share:
            output.backward(toward_real)
            return numbers
        with self._amp():
            verdict = self.judge(made).float().mean()
        (toward_belief,) = torch.autograd.grad(-verdict, made)
        output.backward(toward_real, retain_graph=True)
        gradients = [parameter.grad for parameter in self.decoder]
        for parameter in self.decoder:
            parameter.grad = None
        output.backward(toward_belief)
        ratio = combine_gradients(self.decoder, gradients, self.stage.adversarial_share)
        return numbers | {"verdict": verdict.detach(), "ratio": ratio}

    def _amp(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda")

    def state(self) -> dict[str, object]:
        """Everything that `restore` needs."""
        return {
            "model": self.model.state_dict(),
            "judge": self.judge.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "judge_optimizer": self.judge_optimizer.state_dict(),
            "ema": self.ema.values,
            "updates": self.ema.updates,
            "done": self.progress.done,
            "late_steps": self.late_steps,
            "seconds": self.progress.seconds,
        }

    def restore(self, state: dict[str, object]) -> None:
        """Go on from a `state`."""
        self.model.load_state_dict(state["model"])  # type: ignore[arg-type]
        self.judge.load_state_dict(state["judge"])  # type: ignore[arg-type]
        self.optimizer.load_state_dict(state["optimizer"])  # type: ignore[arg-type]
        self.judge_optimizer.load_state_dict(state["judge_optimizer"])  # type: ignore[arg-type]
        self.ema.values, self.ema.updates = state["ema"], state["updates"]  # type: ignore[assignment]
        self.progress.resume(state["done"], state["seconds"])  # type: ignore[arg-type]
        self.late_steps = state["late_steps"]  # type: ignore[assignment]
        self.model.encoder.requires_grad_(not self.late_steps)


def train_sharp(
    model: Autoencoder,
    draw: Callable[[int], torch.Tensor],
    evaluate: Callable[[Autoencoder], dict[str, float]],
    net: FeatureNet,
    stage: SharpStage,
    log: Callable[[dict[str, float]], None],
    state_path: Path,
    ranks: Ranks = ALONE,
) -> Autoencoder:
    """Train in place and return ``model`` with averaged weights; continues from ``state_path`` if it exists.

    Args:
        draw: ``draw(n)`` gives uint8 frames [n, H, W, 3] on the training device, that of ``net``.
        evaluate: measures for the log.
        net: what the loss looks through.
    """
    device = net.stem.weight.device
    trainer = SharpTrainer(model, net, stage, device, ranks)
    progress = trainer.progress
    if state_path.exists():
        trainer.restore(checkpoint.load(state_path, str(device)))
    next_save = progress.seconds + stage.save_seconds
    while not progress.finished:
        numbers = trainer.step(draw(ranks.share(stage.batch)))
        if progress.done % 200 == 0:
            log({"step": progress.done, "fraction": progress.fraction} | {k: v.item() for k, v in numbers.items()})
        if progress.seconds > next_save and ranks.first:
            next_save = progress.seconds + stage.save_seconds
            checkpoint.save(state_path, trainer.state())
        if progress.done % stage.measure_every == 0:
            log({"step": progress.done} | averaged(model, trainer.ema, evaluate))
    trainer.ema.copy_to(model)
    model.requires_grad_(True)
    log({"step": progress.done, "final": 1.0} | evaluate(model))
    return model


def evaluator(held_out: torch.Tensor) -> Callable[[Autoencoder], dict[str, float]]:
    """Picture measures of reconstructions of uint8 frames [m, H, W, 3], looked at enlarged through Lite0 and Lite2."""
    nets = [load_features(kind, JUDGED_SCALE).to(held_out.device) for kind in ("lite0", "lite2")]

    def evaluate(model: Autoencoder) -> dict[str, float]:
        with torch.no_grad():
            made = torch.cat([model.decode(model.encode(part)) for part in held_out.split(64)])
        return {name: round(value, 4) for name, value in compare(made, held_out, nets).items()}

    return evaluate
