"""Stage 3: the motion head, on commanded and realised motions of the same trajectories."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

    ``blocked_share``: of the samples, those drawn where something stops the camera, which is rare. ``tried_share``: of
    the samples, any commands that were tried at poses of walks (`DataSettings.tries`); with them blocked ones are tried
    ones too.
    ``latent_noise``: the largest noise level added to the latents that the head sees.
    """

    steps: int = 8000
    max_seconds: float | None = None
    batch: int = 512
    tried_share: float = 0.0
    blocked_share: float = 0.4
    rate: float = 1e-3
    latent_noise: float = 0.3
    held_out_samples: int = 4096
    ema: float = 0.998


@dataclass(frozen=True)
class Motions:
    """Commanded and realised motions (yaw rad, right m, forward m), along walks [N, L - 1, 3] or tried [N, L, T, 4, 3].

    The tried ones begin at every pose of the walks, see `li_env.doom.tries`.
    """

    commanded: torch.Tensor
    realised: torch.Tensor

    def short(self) -> torch.Tensor:
        """Tell which motions [...] the walls shorten."""
        return (self.realised - self.commanded)[..., 1:].norm(dim=-1) > BLOCKED_METRES


@dataclass(frozen=True)
class Starts:
    """Samples: walk [B], pose [B] before the first motion, motions commanded and realised from there [B, 4, 3]."""

    walk: torch.Tensor
    pose: torch.Tensor
    commanded: torch.Tensor
    realised: torch.Tensor

    @classmethod
    def join(cls, parts: Sequence[Starts]) -> Starts:
        """Put samples behind one another."""
        names = ("walk", "pose", "commanded", "realised")
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in names))


@dataclass(frozen=True)
class MotionBatch:
    """Frames to look at, and commanded and realised motions: motions are (yaw rad, right m, forward m)."""

    latents: torch.Tensor
    poses: torch.Tensor
    commanded: torch.Tensor
    realised: torch.Tensor


class MotionSampler:
    """Sampler of motions, with the frames an agent would have.

    Args:
        store: latents of the walks.
        walked: motions of the walks.
        tried: commands tried at their poses; none by default.
    """

    def __init__(self, store: LatentStore, walked: Motions, tried: Motions | None = None) -> None:
        self._store, self._walked = store, walked
        self._tried = tried if tried is not None and tried.commanded.shape[2] else None
        self._blocked = self._blocked_walks() if self._tried is None else self._blocked_tries(self._tried)

    @property
    def has_tried(self) -> bool:
        """Whether commands were tried."""
        return self._tried is not None

    @property
    def has_blocked(self) -> bool:
        """Whether walls stop any motion."""
        return len(self._blocked) > 0

    def walked(self, count: int, generator: torch.Generator) -> Starts:
        """Draw motions along the walks."""
        pose = self._draw(GROUP - 1, self._store.length - MOTIONS, count, generator)
        return self._along(self._draw(0, self._store.count, count, generator), pose)

    def tried(self, count: int, generator: torch.Generator) -> Starts:
        """Draw tried commands."""
        assert self._tried is not None
        pose = self._draw(GROUP - 1, self._store.length, count, generator)
        which = self._draw(0, self._tried.commanded.shape[2], count, generator)
        return self._at(self._tried, torch.stack((self._draw(0, self._store.count, count, generator), pose, which), 1))

    def blocked(self, count: int, generator: torch.Generator) -> Starts:
        """Draw motions of which walls shorten at least one: of the tried ones where there are some, else of walks."""
        chosen = self._blocked[self._draw(0, len(self._blocked), count, generator)]
        return self._along(*chosen.T) if self._tried is None else self._at(self._tried, chosen)

    def look(self, starts: Starts, generator: torch.Generator, scanned: float = 0.0) -> MotionBatch:
        """Add frames: the last four, and four that look ahead.

        Args:
            starts: samples.
            generator: source of all randomness.
            scanned: share of the samples that are in scanned places: views of the scan may be among those that look
                ahead.
        """
        store, current = self._store, self._store.poses[starts.walk, starts.pose]
        end = commanded_path(starts.commanded)[:, -1]
        look = current.clone()
        look[:, 2] += torch.atan2(end[:, 0], end[:, 1])
        candidates = store.candidates(starts.walk)
        past = candidates.frame[None] < (starts.pose + 1 - GROUP)[:, None].clamp(min=1)
        allowed = (candidates.walk[None] == (starts.walk % store.per_map)[:, None]) & past
        in_scan = torch.rand(len(current), 1, device=store.device, generator=generator) < scanned
        allowed |= candidates.scanned & in_scan
        score = view_overlap(look[:, None], candidates.poses).masked_fill(~allowed, -1.0)
        latents, seen = store.take(starts.walk, candidates, score.topk(4, dim=1).indices)
        rows, recent = starts.walk[:, None], starts.pose[:, None] - torch.arange(3, -1, -1, device=store.device)
        latents = torch.cat((latents, store.latents[rows, recent]), dim=1)
        seen = torch.cat((seen, store.poses[rows, recent]), dim=1)
        return MotionBatch(latents, relative_planar(seen, current[:, None]), starts.commanded, starts.realised)

    def _draw(self, first: int, end: int, count: int, generator: torch.Generator) -> torch.Tensor:
        return torch.randint(first, end, (count,), device=self._store.device, generator=generator)

    def _along(self, walk: torch.Tensor, pose: torch.Tensor) -> Starts:
        # Motion m of a walk leads from pose m to pose m + 1.
        place = walk[:, None], pose[:, None] + torch.arange(MOTIONS, device=self._store.device)
        return Starts(walk, pose, self._walked.commanded[place], self._walked.realised[place])

    def _at(self, tried: Motions, place: torch.Tensor) -> Starts:
        walk, pose, which = place.T
        return Starts(walk, pose, tried.commanded[walk, pose, which], tried.realised[walk, pose, which])

    def _blocked_walks(self) -> torch.Tensor:
        """Find (walk, pose) [k, 2] where one of the next four motions is shortened."""
        soon = self._walked.short().unfold(1, MOTIONS, 1).any(-1)
        soon[:, : GROUP - 1] = False
        return soon.nonzero()

    def _blocked_tries(self, tried: Motions) -> torch.Tensor:
        """Find (walk, pose, command) [k, 3] where one of the four motions is shortened."""
        soon = tried.short().any(-1)
        soon[:, : GROUP - 1] = False
        return soon.nonzero()


def train_motion(
    model: MotionHead,
    store: LatentStore,
    walked: Motions,
    tried: Motions,
    held_out: tuple[LatentStore, Motions],
    stage: MotionStage,
    log: Callable[[dict[str, float]], None],
    seed: int = 0,
    ranks: Ranks = ALONE,
) -> MotionHead:
    """Train in place and return ``model`` with averaged weights.

    Args:
        model: the head.
        store: latents of the walks.
        walked: motions of the walks.
        tried: commands tried at their poses; may be none.
        held_out: walks of other maps and their motions.
        stage: settings.
        log: called with losses, and at the end with measures on the held-out walks.
        seed: seed of all draws.
        ranks: processes that train together.
    """
    generator = torch.Generator(store.device).manual_seed(ranks.seed(seed))
    optimizer, ema = Optimizer(model, None, stage.rate, ranks=ranks), Ema(model, stage.ema)
    progress = Progress(stage.steps, stage.max_seconds, ranks, store.device)
    sampler = MotionSampler(store, walked, tried)
    batch_size = ranks.share(stage.batch)
    blocked = round(stage.blocked_share * batch_size) if sampler.has_blocked else 0
    trials = min(batch_size - blocked, round(stage.tried_share * batch_size)) if sampler.has_tried else 0
    while not progress.finished:
        parts = [sampler.walked(batch_size - blocked - trials, generator)]
        parts += [sampler.tried(trials, generator)] if trials else []
        parts += [sampler.blocked(blocked, generator)] if blocked else []
        batch = sampler.look(Starts.join(parts), generator, 0.5 * store.has_views)
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
    walked: Motions,
    generator: torch.Generator,
    samples: int,
    scanned: float = 0.0,
) -> dict[str, float]:
    """Measure accuracy on held-out maps: errors in metres, and how often blocked and free motions are recognised."""
    sampler = MotionSampler(store, walked)
    batch = sampler.look(sampler.walked(samples, generator), generator, scanned)
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
