"""Stage 5: the decoder alone, made sharper by an adversary on pixels; the encoder and so all latents stay as they are.

A third of a batch are latents of real frames, a third are next chunks that the dynamics model made after a real past
(both are compared with the game's frames), a third come from its own rollouts and are only judged for looking real: the
decoder learns to read what it will meet.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import l1_loss, mse_loss, softplus

from li_env.worlds.freedoom.autoencoder import Autoencoder, to_pixels
from li_env.worlds.freedoom.geometry import COLUMNS, ROWS
from li_env.worlds.freedoom.model import Cameras, DynamicsModel, sample_chunk
from li_env.worlds.freedoom.training.autoencoder import gradient_loss
from li_env.worlds.freedoom.training.optim import Ema, Optimizer, Progress, averaged, combine_gradients
from li_env.worlds.freedoom.training.rollout import roll_out
from li_env.worlds.freedoom.training.store import GROUP, LatentStore, Window


@dataclass(frozen=True)
class DecoderStage:
    """Settings of the stage.

    ``adversarial_share``: adversarial over reconstruction gradient norm, from the fraction ``adversarial_from`` of the
    stage on; before that the decoder only reconstructs and the judge only watches.
    """

    steps: int = 6000
    max_seconds: float | None = None
    batch: int = 192
    rate: float = 3e-4
    judge_rate: float = 4e-4
    adversarial_share: float = 0.5
    adversarial_from: float = 0.4
    latent_noise: float = 0.1
    gradient_weight: float = 1.0
    smoothness: float = 5.0
    smoothness_noise: float = 0.05
    sigmas: tuple[float, ...] = (1.0, 0.75, 0.5, 0.25, 0.0)
    log_every: int = 500
    pool_following: int = 2048
    pool_worlds: int = 256
    pool_chunks: int = 16
    pool_batch: int = 64
    ema: float = 0.998


class PatchJudge(nn.Module):
    """Convolutional verdicts on overlapping patches of a frame: [B, 3, H, W] -> [B, 1, H / 8, W / 8]."""

    def __init__(self, channels: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = 3
        for following in (channels, 2 * channels, 4 * channels):
            layers += [nn.Conv2d(width, following, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
            width = following
        layers += [nn.Conv2d(width, width, 3, padding=1), nn.LeakyReLU(0.2), nn.Conv2d(width, 1, 3, padding=1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        verdicts: torch.Tensor = self.layers(pixels)
        return verdicts.float()


@dataclass(frozen=True)
class Pool:
    """Latents that the dynamics model made, as [n, C, h, w], with the trajectory and frame numbers they stand for.

    ``following`` are next chunks after real contexts: they show what the game showed. ``own`` come from rollouts and
    may show another, equally possible place.
    """

    following: torch.Tensor
    following_track: torch.Tensor
    following_frame: torch.Tensor
    own: torch.Tensor
    own_track: torch.Tensor
    own_frame: torch.Tensor


@torch.no_grad()
def make_pool(model: DynamicsModel, store: LatentStore, stage: DecoderStage, generator: torch.Generator) -> Pool:
    """Generate the pool, ``stage.pool_batch`` episodes at a time."""
    device = store.device
    window, chunks = Window(4, 4), min(stage.pool_chunks, store.length // GROUP)
    made, tracks, starts = [], [], []
    for begin in range(0, stage.pool_following, stage.pool_batch):
        size = min(stage.pool_batch, stage.pool_following - begin)
        track = torch.randint(store.count, (size,), device=device, generator=generator)
        start = torch.randint(window.context, store.length - GROUP + 1, (size,), device=device, generator=generator)
        batch = store.gather(track, start, window, generator)
        slots = torch.arange(-window.context, 0, device=device)
        clean = torch.zeros(size, window.context, device=device)
        context = model.context_pass(batch.context.float(), clean, Cameras.of(batch.context_poses, slots))
        noise = torch.randn(batch.target.shape, device=device, generator=generator)
        cameras = Cameras.of(batch.target_poses, torch.arange(GROUP, device=device))
        made.append(sample_chunk(model, noise, None, stage.sigmas, cameras, context).float().flatten(0, 1))
        tracks.append(track.repeat_interleave(GROUP))
        starts.append((start[:, None] + torch.arange(GROUP, device=device)).flatten())
    own, own_tracks = [], []
    for begin in range(0, stage.pool_worlds, stage.pool_batch):
        size = min(stage.pool_batch, stage.pool_worlds - begin)
        track = torch.randint(store.count, (size,), device=device, generator=generator)
        first = store.latents[track, 0].float()
        own.append(roll_out(model, first, store.poses[track], chunks, stage.sigmas, generator)[:, GROUP:].flatten(0, 1))
        own_tracks.append(track.repeat_interleave((chunks - 1) * GROUP))
    frame = torch.arange(GROUP, chunks * GROUP, device=device).repeat(stage.pool_worlds)
    return Pool(
        _planes(torch.cat(made)),
        torch.cat(tracks),
        torch.cat(starts),
        _planes(torch.cat(own)),
        torch.cat(own_tracks),
        frame,
    )


def _planes(tokens: torch.Tensor) -> torch.Tensor:
    """[n, h * w, C] -> [n, C, h, w] float32."""
    return tokens.float().transpose(1, 2).unflatten(2, (ROWS, COLUMNS))


def decoder_batch(
    store: LatentStore, frames: torch.Tensor, pool: Pool, stage: DecoderStage, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Latents [batch, C, h, w] and the frames' pixels [batch, 3, H, W]: thirds of real, following and own latents."""
    device, size = store.device, stage.batch // 3

    def draw(count: int) -> torch.Tensor:
        return torch.randint(count, (size,), device=device, generator=generator)

    track, frame = draw(store.count), draw(store.length)
    real = _planes(store.latents[track, frame])
    level = stage.latent_noise * torch.rand(size, 1, 1, 1, device=device, generator=generator)
    real = real * (1 - level) + level * torch.randn(real.shape, device=device, generator=generator)
    following, own = draw(len(pool.following)), draw(len(pool.own))
    tracks = torch.cat((track, pool.following_track[following], pool.own_track[own]))
    rows = torch.cat((frame, pool.following_frame[following], pool.own_frame[own]))
    latents = torch.cat((real, pool.following[following], pool.own[own]))
    return latents, to_pixels(frames[tracks, rows])


def train_decoder(
    autoencoder: Autoencoder,
    model: DynamicsModel,
    store: LatentStore,
    frames: torch.Tensor,
    stage: DecoderStage,
    log: Callable[[dict[str, float]], None],
    evaluate: Callable[[], dict[str, float]],
    plain: Callable[[], None],
    seed: int = 2,
) -> None:
    """Train ``autoencoder.decoder`` in place, ending with averaged weights.

    Args:
        frames: uint8 [N, L, H, W, 3], the frames of ``store``.
        evaluate: measures to log; called while the decoder holds averaged weights.
        plain: called once, with averaged weights, before the adversary joins.
    """
    device = store.device
    generator = torch.Generator(device).manual_seed(seed)
    decoder, judge = autoencoder.decoder, PatchJudge().to(device)
    decoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    judge.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = Optimizer(decoder, None, stage.rate)
    judge_optimizer = Optimizer(judge, None, stage.judge_rate, momentum=0.5)
    ema = Ema(decoder, stage.ema)
    decode = torch.compile(decoder) if device.type == "cuda" else decoder
    verdict = torch.compile(judge) if device.type == "cuda" else judge
    parameters = list(decoder.parameters())

    def amp() -> torch.autocast:
        return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")

    def keep_plain(_: nn.Module) -> dict[str, float]:
        plain()
        return evaluate()

    log({"step": 0} | evaluate())
    with amp():
        pool = make_pool(model, store, stage, generator)
    progress = Progress(stage.steps, stage.max_seconds)
    size = stage.batch // 3
    joined = False
    while not progress.finished:
        if not joined and progress.fraction >= stage.adversarial_from:
            joined = True
            log({"step": progress.done, "plain": 1.0} | averaged(decoder, ema, keep_plain))
        latents, pixels = decoder_batch(store, frames, pool, stage, generator)
        pixels = pixels.to(memory_format=torch.channels_last)
        with amp():
            output = decode(latents).float()
        with amp():
            real, fake = verdict(pixels), verdict(output.detach())
            shifted = pixels + stage.smoothness_noise * torch.randn_like(pixels)
            penalty = (verdict(shifted) - real).square().mean()
        judged = softplus(fake - real).mean() + stage.smoothness * penalty
        judged.backward()
        judge_optimizer.step(progress.rate())
        shown, wanted = output[: 2 * size], pixels[: 2 * size]
        loss = l1_loss(shown, wanted) + 2 * mse_loss(shown, wanted)
        loss = loss + stage.gradient_weight * gradient_loss(shown, wanted)
        loss.backward(retain_graph=True)
        if joined:
            base = [parameter.grad for parameter in parameters]
            for parameter in parameters:
                parameter.grad = None
            with amp():
                adversarial = softplus(verdict(pixels).detach() - verdict(output)).mean()
            adversarial.backward()
            judge_optimizer.clear()
            combine_gradients(parameters, base, stage.adversarial_share)
        optimizer.step(progress.rate())
        ema.update()
        progress.done += 1
        if progress.done % stage.log_every == 0:
            entry = {"step": progress.done, "loss": loss.item(), "judge": judged.item(), "fraction": progress.fraction}
            log(entry)
    ema.copy_to(decoder)
    log({"step": progress.done, "final": 1.0} | evaluate())
