"""Stage 1: the frame autoencoder, trained to reconstruct pixels and their gradients from slightly noisy latents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn.functional import l1_loss, mse_loss

from li_env.metrics import psnr, sharpness
from li_env.worlds.freedoom.autoencoder import Autoencoder, to_pixels
from li_env.worlds.freedoom.training.optim import Ema, Optimizer, Progress
from li_env.worlds.freedoom.training.ranks import ALONE, Ranks


@dataclass(frozen=True)
class AutoencoderStage:
    """Settings of the stage. ``latent_noise`` is the largest noise level added to latents before decoding."""

    steps: int = 20000
    max_seconds: float | None = None
    batch: int = 256
    rate: float = 1e-3
    latent_noise: float = 0.2
    gradient_weight: float = 1.0
    ema: float = 0.998


def gradient_loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Average the absolute difference of horizontal and vertical pixel differences."""
    horizontal = l1_loss(output.diff(dim=-1), target.diff(dim=-1))
    return horizontal + l1_loss(output.diff(dim=-2), target.diff(dim=-2))


def train_autoencoder(
    model: Autoencoder,
    draw: Callable[[int], torch.Tensor],
    held_out: torch.Tensor,
    stage: AutoencoderStage,
    log: Callable[[dict[str, float]], None],
    ranks: Ranks = ALONE,
) -> Autoencoder:
    """Train in place and return ``model`` with averaged weights.

    Args:
        draw: ``draw(n)`` gives uint8 frames [n, H, W, 3] on the training device.
        held_out: uint8 frames [m, H, W, 3] for the log.
    """
    device = held_out.device
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer, ema = Optimizer(model, None, stage.rate, ranks=ranks), Ema(model, stage.ema)
    progress = Progress(stage.steps, stage.max_seconds, ranks, device)
    forward = torch.compile(reconstruct) if device.type == "cuda" else reconstruct
    while not progress.finished:
        pixels = to_pixels(draw(ranks.share(stage.batch))).to(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            output = forward(model, pixels, stage.latent_noise)
        output = output.float()
        loss = l1_loss(output, pixels) + 2 * mse_loss(output, pixels)
        loss = loss + stage.gradient_weight * gradient_loss(output, pixels)
        loss.backward()
        optimizer.step(progress.rate())
        ema.update()
        progress.done += 1
        if progress.done % 500 == 0 or progress.finished:
            entry = {"step": progress.done, "loss": loss.item(), "fraction": progress.fraction}
            log(entry | (measure(model, held_out) if progress.done % 2000 == 0 else {}))
    ema.copy_to(model)
    log({"step": progress.done, "final": 1.0} | measure(model, held_out))
    return model


def reconstruct(model: Autoencoder, pixels: torch.Tensor, latent_noise: float) -> torch.Tensor:
    """Encode and decode pictures [B, 3, H, W] with noise on the latents, see `decode_noisy`."""
    return decode_noisy(model, model.encoder(pixels), latent_noise)


def decode_noisy(model: Autoencoder, latents: torch.Tensor, latent_noise: float) -> torch.Tensor:
    """Decode latents [B, C, h, w] with noise of a random level up to ``latent_noise``; small levels are likelier.

    Latents that a diffusion model makes are never exact; the decoder learns to forgive small errors.
    """
    level = latent_noise * torch.rand(len(latents), 1, 1, 1, device=latents.device) ** 2
    out: torch.Tensor = model.decoder(latents * (1 - level) + level * torch.randn_like(latents))
    return out


@torch.no_grad()
def measure(model: Autoencoder, frames: torch.Tensor) -> dict[str, float]:
    """Measure PSNR (dB) and gradient ratio of reconstructions of uint8 frames [m, H, W, 3]."""
    decoded = torch.cat([model.decode(model.encode(part)) for part in frames.split(256)])
    return {"psnr": float(psnr(decoded, frames).mean()), "sharpness": sharpness(decoded, frames)}


@torch.no_grad()
def encode_all(model: Autoencoder, frames: torch.Tensor) -> torch.Tensor:
    """Encode frames uint8 [N, L, H, W, 3] to latents [N, L, h * w, C] float16 on the same device."""
    device, length = frames.device, frames.shape[1]
    parts = []
    for block in frames.split(32):
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            latents = model.encode(block.flatten(0, 1))
        parts.append(latents.flatten(2).transpose(1, 2).unflatten(0, (-1, length)).half())
    return torch.cat(parts)
