"""Stage 2: flow matching on real chunks with real, noised contexts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from li_env.worlds.common.transformer import BlockCache
from li_env.worlds.freedoom.dynamics import Cameras, DynamicsModel
from li_env.worlds.freedoom.training import checkpoint
from li_env.worlds.freedoom.training.optim import Ema, Optimizer, Progress, averaged
from li_env.worlds.freedoom.training.ranks import ALONE, Ranks
from li_env.worlds.freedoom.training.store import Batch, LatentStore, Window

WINDOWS: tuple[tuple[float, Window], ...] = (
    (0.06, Window(0, 0)),
    (0.10, Window(4, 0)),
    (0.26, Window(4, 4)),
    (0.05, Window(8, 0)),
    (0.12, Window(4, 8)),
    (0.10, Window(8, 4)),
    (0.05, Window(12, 0)),
    (0.04, Window(16, 0)),
    (0.22, Window(12, 8)),
)
"""Context windows with their shares: every context that a planner may choose, most of them with retrieved latents."""

SCAN_WINDOWS: tuple[tuple[float, Window], ...] = (
    (0.36, Window(12, 0, 8)),
    (0.12, Window(8, 4, 8)),
    (0.20, Window(4, 0, 8)),
    (0.12, Window(4, 0, 16)),
    (0.04, Window(8, 0, 4)),
    (0.04, Window(4, 0, 4)),
    (0.08, Window(0, 0, 8)),
    (0.04, Window(0, 0, 4)),
)
"""Contexts with views of a scan, with their shares; the last ones begin an episode at a pose without a picture."""

FIRST_LOGGED = (1, 10, 50, 100)
"""Steps after which the log is written beside every 200th: they show what compiling takes."""

SCAN_SHARE = 0.55
"""Share of batches with views where there are scans."""


def draw_window(scanned: bool, choice: torch.Generator) -> Window:
    """Draw a context window; ``scanned`` says whether there are views to draw from."""
    scanned = scanned and bool(torch.rand(1, generator=choice) < SCAN_SHARE)
    windows = SCAN_WINDOWS if scanned else WINDOWS
    return windows[int(torch.multinomial(torch.tensor([share for share, _ in windows]), 1, generator=choice))][1]


@dataclass(frozen=True)
class DynamicsStage:
    """Settings of the stage.

    ``draws`` noise draws share one context pass. ``context_noise`` is the largest noise level added to the context, so
    that the model forgives its own errors later. The velocity weight 1 / sigma^2 stops growing below ``loss_floor``.
    """

    steps: int = 12000
    max_seconds: float | None = None
    batch: int = 256
    draws: int = 2
    muon_rate: float = 2e-3
    adam_rate: float = 1e-3
    context_noise: float = 0.35
    sigma_mean: float = 0.3
    sigma_spread: float = 1.2
    pure_noise: float = 0.1
    loss_floor: float = 0.25
    ema: float = 0.999
    save_seconds: float = 120.0
    measure_every: int = 2000


def compile_blocks(model: DynamicsModel) -> None:
    """Compile every transformer block for any context length; all blocks share the compiled code."""
    torch._dynamo.config.cache_size_limit = 64
    for block in model.transformer.double_blocks:
        block.compile(dynamic=True)


def flow_loss(
    model: DynamicsModel, batch: Batch, stage: DynamicsStage, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute the weighted clean-latent error of one batch: (loss, plain mean squared error of the targets)."""
    device = batch.target.device
    size, frames = batch.target.shape[:2]
    contexts = batch.context.shape[1]

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, device=device, generator=generator)

    caches = None
    if contexts:
        level = (stage.context_noise * uniform(size, 1) * (uniform(size, 1) < 0.7)).repeat(1, contexts)
        # Views of a scan are real pictures: most of them stay clean beside a past that the model made.
        level[:, : batch.views] *= uniform(size, 1) < 0.3
        clean = batch.context.float()
        noise = torch.randn(clean.shape, device=device, generator=generator)
        noisy = clean * (1 - level[..., None, None]) + level[..., None, None] * noise
        slots = torch.arange(-contexts, 0, device=device)
        caches = model.context_pass(noisy, level, model.cameras(batch.context_poses, slots))
        # Branch-major caches: repeat each branch's entries once per draw.
        caches = [tuple(_repeat_branches(part, stage.draws) for part in cache) for cache in caches]  # type: ignore[misc]
    target = batch.target.float().repeat(stage.draws, 1, 1, 1)
    poses = batch.target_poses.repeat(stage.draws, 1, 1)
    known = uniform(len(target), 1) < _known_share(batch)
    cameras = model.cameras(poses, torch.arange(frames, device=device))
    return chunk_loss(model, target, cameras, caches, known, stage, generator)


def _known_share(batch: Batch) -> float:
    """Return how often the first latent of the chunk is given: never after a past, always without any context."""
    if batch.context.shape[1] > batch.views:
        return 0.0
    return 0.5 if batch.views else 1.0


def chunk_loss(
    model: DynamicsModel,
    target: torch.Tensor,
    cameras: Cameras,
    caches: list[BlockCache] | None,
    known: torch.Tensor,
    stage: DynamicsStage,
    generator: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise ``target`` [B, T, n, C] at drawn levels and compare: (weighted loss, plain mean squared error).

    Rows that are ``known`` (bool [B, 1]) begin an episode: their first latent stays clean and is not scored.
    """
    device = target.device
    total, frames = target.shape[:2]
    logit = stage.sigma_mean + stage.sigma_spread * torch.randn(total, 1, device=device, generator=generator)
    pure = torch.rand(total, 1, device=device, generator=generator) < stage.pure_noise
    sigma = torch.where(pure, torch.ones_like(logit), logit.sigmoid()).expand(total, frames)
    weight = 1 / sigma.clamp(min=stage.loss_floor).square()
    given = known & (torch.arange(frames, device=device) == 0)
    sigma, weight = sigma.masked_fill(given, 0.0), weight.masked_fill(given, 0.0)
    spread = sigma[..., None, None]
    noisy = target * (1 - spread) + spread * torch.randn(target.shape, device=device, generator=generator)
    output = model(noisy, sigma, cameras, caches)
    error = (output.float() - target).square().mean((-1, -2))
    return (weight * error).mean(), error.mean()


def _repeat_branches(cache: torch.Tensor, draws: int) -> torch.Tensor:
    return cache.unflatten(0, (2, -1)).repeat(1, draws, 1, 1, 1).flatten(0, 1)


def train_dynamics(
    model: DynamicsModel,
    store: LatentStore,
    stage: DynamicsStage,
    log: Callable[[dict[str, float]], None],
    evaluate: Callable[[DynamicsModel], dict[str, float]],
    state_path: Path,
    seed: int = 0,
    ranks: Ranks = ALONE,
) -> DynamicsModel:
    """Train in place and return ``model`` with averaged weights; continues from ``state_path`` if it exists."""
    device = store.device
    generator = torch.Generator(device).manual_seed(ranks.seed(seed))
    choice = torch.Generator().manual_seed(seed)
    optimizer, ema = Optimizer(model, stage.muon_rate, stage.adam_rate, ranks=ranks), Ema(model, stage.ema)
    progress = Progress(stage.steps, stage.max_seconds, ranks, device)
    if state_path.exists():
        state = checkpoint.load(state_path, str(device))
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        ema.values, ema.updates = state["ema"], state["updates"]
        progress.resume(state["done"], state["seconds"])
        generator.manual_seed(ranks.seed(seed + progress.done))
        choice.manual_seed(seed + progress.done)
    next_save = progress.seconds + stage.save_seconds
    if device.type == "cuda":
        compile_blocks(model)
    while not progress.finished:
        window = draw_window(store.has_views, choice)
        batch = store.sample(window, ranks.share(stage.batch), generator)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            loss, error = flow_loss(model, batch, stage, generator)
        loss.backward()
        norm = optimizer.step(progress.rate())
        ema.update()
        progress.done += 1
        if progress.done % 200 == 0 or progress.done in FIRST_LOGGED:
            log(
                {
                    "step": progress.done,
                    "loss": loss.item(),
                    "error": error.item(),
                    "norm": norm.item(),
                    "window": window.context,
                    "fraction": progress.fraction,
                }
            )
        if ranks.first and (progress.seconds > next_save or progress.done % 2000 == 0):
            next_save = progress.seconds + stage.save_seconds
            checkpoint.save(
                state_path,
                {
                    "model": model.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "ema": ema.values,
                    "updates": ema.updates,
                    "done": progress.done,
                    "seconds": progress.seconds,
                },
            )
        if progress.done % stage.measure_every == 0:
            log({"step": progress.done} | averaged(model, ema, evaluate))
    ema.copy_to(model)
    log({"step": progress.done, "final": 1.0} | evaluate(model))
    return model
