"""Stage 3: the motion head, on commanded and realised motions of the same trajectories."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, smooth_l1_loss

from li_env.worlds.freedoom.geometry import relative_planar
from li_env.worlds.freedoom.motion_head import MOTIONS, MotionHead, commanded_path
from li_env.worlds.freedoom.training.optim import Ema, Optimizer, Progress
from li_env.worlds.freedoom.training.ranks import ALONE, Ranks
from li_env.worlds.freedoom.training.store import GROUP, LatentStore, view_overlap

BLOCKED_METRES = 0.05
"""A motion counts as blocked when it falls short of the command by more than this."""


@dataclass(frozen=True)
class MotionStage:
    """Settings of the stage.

    ``blocked_share``: of the samples, those drawn where something stops the camera, which is rare in walks.
    ``latent_noise``: the largest noise level added to the latents that the head sees.
    """

    steps: int = 8000
    max_seconds: float | None = None
    batch: int = 512
    blocked_share: float = 0.4
    rate: float = 1e-3
    latent_noise: float = 0.3
    held_out_samples: int = 4096
    ema: float = 0.998


@dataclass(frozen=True)
class MotionBatch:
    """Frames to look at, and commanded and realised motions: motions are (yaw rad, right m, forward m)."""

    latents: torch.Tensor
    poses: torch.Tensor
    commanded: torch.Tensor
    realised: torch.Tensor


def sample_motions(
    store: LatentStore,
    commanded: torch.Tensor,
    realised: torch.Tensor,
    size: int,
    generator: torch.Generator,
    scanned: float = 0.0,
    blocked: torch.Tensor | None = None,
) -> MotionBatch:
    """Draw motions [N, L - 1, 3] with the frames an agent would have: the last four and four that look ahead.

    Args:
        scanned: share of the samples that are in scanned places: views of the scan may be among those that look ahead.
        blocked: (walk, latent) [k, 2] from which further samples are drawn, `blocked_starts`, beside ``size`` others.
    """
    device = store.device
    track = torch.randint(store.count, (size,), device=device, generator=generator)
    start = torch.randint(GROUP, store.length - MOTIONS + 1, (size,), device=device, generator=generator)
    if blocked is not None:
        track, start = torch.cat((track, blocked[:, 0])), torch.cat((start, blocked[:, 1]))
        size = len(track)
    rows = track[:, None]
    steps = start[:, None] - 1 + torch.arange(MOTIONS, device=device)
    wanted, real = commanded[rows, steps], realised[rows, steps]
    current = store.poses[track, start - 1]
    end = commanded_path(wanted)[:, -1]
    look = current.clone()
    look[:, 2] += torch.atan2(end[:, 0], end[:, 1])
    candidates = store.candidates(track)
    past = candidates.frame[None] < (start - GROUP)[:, None].clamp(min=1)
    allowed = (candidates.walk[None] == (track % store.per_map)[:, None]) & past
    in_scan = torch.rand(size, 1, device=device, generator=generator) < scanned
    allowed |= candidates.scanned & in_scan
    score = view_overlap(look[:, None], candidates.poses).masked_fill(~allowed, -1.0)
    ahead = score.topk(4, dim=1).indices
    recent = start[:, None] - torch.arange(4, 0, -1, device=device)
    latents, seen = store.take(track, candidates, ahead)
    latents = torch.cat((latents, store.latents[rows, recent]), dim=1)
    seen = torch.cat((seen, store.poses[rows, recent]), dim=1)
    return MotionBatch(latents, relative_planar(seen, current[:, None]), wanted, real)


def blocked_starts(commanded: torch.Tensor, realised: torch.Tensor) -> torch.Tensor:
    """Find the starts of `sample_motions` after which a motion of the next four is blocked: (walk, latent) [k, 2]."""
    short = (realised - commanded)[..., 1:].norm(dim=-1) > BLOCKED_METRES
    soon = short.unfold(1, MOTIONS, 1).any(-1)  # motion m of a walk leads to latent m + 1
    soon[:, : GROUP - 1] = False
    found = soon.nonzero()
    found[:, 1] += 1
    return found


def train_motion(
    model: MotionHead,
    store: LatentStore,
    motions: tuple[torch.Tensor, torch.Tensor],
    held_out: tuple[LatentStore, torch.Tensor, torch.Tensor],
    stage: MotionStage,
    log: Callable[[dict[str, float]], None],
    seed: int = 0,
    ranks: Ranks = ALONE,
) -> MotionHead:
    """Train in place and return ``model`` with averaged weights; ``motions`` = (commanded, realised)."""
    generator = torch.Generator(store.device).manual_seed(ranks.seed(seed))
    optimizer, ema = Optimizer(model, None, stage.rate, ranks=ranks), Ema(model, stage.ema)
    progress = Progress(stage.steps, stage.max_seconds, ranks, store.device)
    starts = blocked_starts(*motions)
    batch_size = ranks.share(stage.batch)
    extra = round(stage.blocked_share * batch_size) if len(starts) else 0
    while not progress.finished:
        drawn = starts[torch.randint(max(1, len(starts)), (extra,), device=store.device, generator=generator)]
        batch = sample_motions(store, *motions, batch_size - extra, generator, 0.5 * store.has_views, drawn)
        with torch.autocast(store.device.type, torch.bfloat16, enabled=store.device.type == "cuda"):
            loss = motion_loss(model, batch, stage, generator)
        loss.backward()
        optimizer.step(progress.rate())
        ema.update()
        progress.done += 1
        if progress.done % 1000 == 0:
            log({"step": progress.done, "loss": loss.item()})
    ema.copy_to(model)
    for scanned in (0.0, 1.0) if held_out[0].has_views else (0.0,):
        measured = measure_motion(model, *held_out, generator, stage.held_out_samples, scanned)
        log({"step": progress.done, "final": 1.0, "scanned": scanned} | measured)
    return model


def motion_loss(model: MotionHead, batch: MotionBatch, stage: MotionStage, generator: torch.Generator) -> torch.Tensor:
    """Compute the loss of blocked or not (cross-entropy) and of blocked displacements (smooth L1, metres)."""
    latents = batch.latents.float()
    level = stage.latent_noise * torch.rand(len(latents), 1, 1, 1, device=latents.device, generator=generator)
    noise = torch.randn(latents.shape, device=latents.device, generator=generator)
    # From one to eight of the frames, newest last, so that the head works from the first chunk on.
    keep = int(torch.randint(1, 9, (1,), device=latents.device, generator=generator))
    latents = (latents * (1 - level) + noise * level)[:, -keep:]
    logits, displacement = model(latents, batch.poses[:, -keep:], batch.commanded)
    shortfall = (batch.realised[..., 1:] - batch.commanded[..., 1:]).norm(dim=-1)
    blocked = (shortfall > BLOCKED_METRES).float()
    error = smooth_l1_loss(displacement, batch.realised[..., 1:], reduction="none", beta=0.1).sum(-1)
    return binary_cross_entropy_with_logits(logits, blocked) + 4 * (error * blocked).mean()


@torch.no_grad()
def measure_motion(
    model: MotionHead,
    store: LatentStore,
    commanded: torch.Tensor,
    realised: torch.Tensor,
    generator: torch.Generator,
    samples: int,
    scanned: float = 0.0,
) -> dict[str, float]:
    """Measure accuracy on held-out maps: errors in metres, and how often blocked and free motions are recognised."""
    batch = sample_motions(store, commanded, realised, samples, generator, scanned)
    predicted = model.realised(batch.latents.float(), batch.poses, batch.commanded)
    error = (predicted - batch.realised)[..., 1:].norm(dim=-1)
    shortfall = (batch.realised - batch.commanded)[..., 1:].norm(dim=-1)
    blocked = shortfall > BLOCKED_METRES
    said = (predicted - batch.commanded)[..., 1:].norm(dim=-1) > BLOCKED_METRES
    return {
        "error_metres": error.mean().item(),
        "error_blocked_metres": error[blocked].mean().item(),
        "error_if_ignored_metres": shortfall.mean().item(),
        "recall": (said & blocked).sum().item() / max(1, blocked.sum().item()),
        "precision": (said & blocked).sum().item() / max(1, said.sum().item()),
        "blocked_share": blocked.float().mean().item(),
    }
