"""Quick measures on validation maps while training runs (the full report is `li-env evaluate world`)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from li_env.metrics import psnr, sharpness
from li_env.worlds.freedoom.autoencoder import Autoencoder
from li_env.worlds.freedoom.dynamics import DynamicsModel
from li_env.worlds.freedoom.training.rollout import Grounding, roll_out
from li_env.worlds.freedoom.training.store import GROUP, LatentStore


def decode(autoencoder: Autoencoder, latents: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """Decode latents [B, T, n, C], n tokens of ``grid`` (rows, columns), to frames uint8 [B, T, H, W, 3]."""
    batch, frames = latents.shape[:2]
    planes = latents.flatten(0, 1).transpose(1, 2).unflatten(2, grid).float()
    return torch.cat([autoencoder.decode(part) for part in planes.split(512)]).unflatten(0, (batch, frames))


def _grounded(
    model: DynamicsModel,
    autoencoder: Autoencoder,
    store: LatentStore,
    real: torch.Tensor,
    sigmas: Sequence[float],
    budget: tuple[int, int],
) -> dict[str, float]:
    """Measure own rollouts in scanned places, where retrieved latents are views of the scan."""
    device, tracks = store.device, len(real)
    recent, views = budget
    track = torch.arange(tracks, device=device)
    grounding = Grounding(store, track, torch.zeros_like(track), views)
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        own = roll_out(
            model, store.latents[:tracks, 0], store.poses[:tracks], min(32, store.length // GROUP), sigmas,
            torch.Generator(device).manual_seed(0), recent, 0, grounding=grounding,
        )  # fmt: skip
    out: dict[str, float] = {}
    for first, last in ((1, 9), (16, 16), (27, 31)):
        part = slice((first - 1) * GROUP, last * GROUP)
        if own[:, part].shape[1]:
            decoded = decode(autoencoder, own[:, part], model.grid)
            frames = real[:, part][:, : decoded.shape[1]]
            name = f"{len(sigmas) - 1}step_grounded{first}_{last}"
            out |= {f"{name}_psnr": psnr(decoded, frames).mean().item(), f"{name}_sharp": sharpness(decoded, frames)}
    return out


@torch.no_grad()
def quick_measures(
    model: DynamicsModel,
    autoencoder: Autoencoder,
    store: LatentStore,
    frames: torch.Tensor,
    schedules: Sequence[Sequence[float]],
    tracks: int = 64,
    budget: tuple[int, int] = (12, 8),
) -> dict[str, float]:
    """Measure PSNR (dB) and sharpness of the next chunk and of own rollouts on the first ``tracks`` trajectories."""
    device = store.device
    latents, poses, real = store.latents[:tracks], store.poses[:tracks], frames[:tracks]
    out: dict[str, float] = {}
    amp = torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")
    for sigmas in schedules:
        out |= _grounded(model, autoencoder, store, real, sigmas, budget) if store.has_views else {}
        name = f"{len(sigmas) - 1}step"
        generator = torch.Generator(device).manual_seed(0)
        chunks = store.length // GROUP
        with amp:
            own = roll_out(model, latents[:, 0], poses, min(16, chunks), sigmas, generator, *budget)
        for chunk in (1, 2, 8, 16):
            if chunk > own.shape[1] // GROUP:
                continue
            part = slice((chunk - 1) * GROUP, chunk * GROUP)
            decoded = decode(autoencoder, own[:, part], model.grid)
            out[f"{name}_own{chunk}_psnr"] = psnr(decoded, real[:, part]).mean().item()
            out[f"{name}_own{chunk}_sharp"] = sharpness(decoded, real[:, part])
        last = (chunks - 1) * GROUP
        with amp:
            following = roll_out(
                model, latents[:, 0], poses, chunks, sigmas, generator, *budget, real=latents, real_chunks=chunks - 1
            )
        decoded = decode(autoencoder, following[:, last:], model.grid)
        out[f"{name}_next_psnr"] = psnr(decoded, real[:, last : last + GROUP]).mean().item()
        out[f"{name}_next_sharp"] = sharpness(decoded, real[:, last : last + GROUP])
    return {key: round(value, 3) for key, value in out.items()}
