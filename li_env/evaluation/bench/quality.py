"""Quality of the frames of one rollout: against the reference, against themselves in revisits, against the game.

Chunks before ``warmup`` are left out of every mean: there all variants do the same work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from li_env import metrics
from li_env.accel.geometry.camera import MotionLimits
from li_env.accel.runtime.chunk import ChunkResult
from li_env.accel.world_spec import WorldSpec
from li_env.evaluation.perceptual import Perceptual
from li_env.frames import engine_frames, fresh_frames


@dataclass(frozen=True)
class Quality:
    """Measures of one rollout; None where there is nothing to compare with.

    Attributes:
        psnr, ssim: against the reference, one mean per chunk (warm-up chunks included).
        pooled_psnr: against the reference, of the mean squared error over all frames after the warm-up; unlike a mean
            of decibels it is not lifted by frames that are equal.
        self_psnr, self_ssim: mean over the pairs of `revisited_pairs`.
        pairs: their number.
        game_psnr, game_ssim: mean against the game's frames.
        sharpness: gradient energy, generated / real, over all frames.
        game_self_psnr: of the game's own frames on the same pairs: what the difference of poses alone costs.
        self_pooled_psnr, game_pooled_psnr: as ``self_psnr`` and ``game_psnr``, of the mean squared error.
        perceptual: mean distance by measure, then by ``off``, ``revisits`` and ``game``, as far as there is one.
    """

    psnr: tuple[float, ...] | None
    ssim: tuple[float, ...] | None
    pooled_psnr: float | None
    self_psnr: float | None
    self_ssim: float | None
    pairs: int
    game_psnr: float | None
    game_ssim: float | None
    sharpness: float | None
    game_self_psnr: float | None
    self_pooled_psnr: float | None = None
    game_pooled_psnr: float | None = None
    perceptual: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Difference:
    """Difference between the frames of two rollouts along the same path.

    Attributes:
        psnr, ssim: mean over the frames of every chunk, the start frame left out.
        pooled_psnr: of all frames after the warm-up together (`metrics.pooled_psnr`).
    """

    psnr: tuple[float, ...]
    ssim: tuple[float, ...]
    pooled_psnr: float


def compare(made: Sequence[np.ndarray], reference: Sequence[np.ndarray], warmup: int) -> Difference:
    """Compare two rollouts chunk by chunk.

    Args:
        made: new frames uint8 [n, H, W, 3] of every chunk, each frame once.
        reference: frames of the other rollout, as many.
        warmup: chunks that the pooled PSNR leaves out, fewer than there are.
    """
    both = [(_tensor(chunk), _tensor(other)) for chunk, other in zip(made, reference, strict=True)]
    decibels = [metrics.psnr(*pair) for pair in both]
    return Difference(
        tuple(float(values.mean()) for values in decibels),
        tuple(float(metrics.ssim(*pair).mean()) for pair in both),
        metrics.pooled_psnr(torch.cat(decibels[warmup:])),
    )


def rate(
    spec: WorldSpec,
    start: np.ndarray,
    chunks: Sequence[ChunkResult],
    reference: Sequence[ChunkResult] | None,
    real: np.ndarray | None,
    warmup: int,
    perceptual: Sequence[Perceptual] = (),
) -> Quality:
    """Measure a rollout.

    Args:
        spec: constants of the world.
        start: the start frame, uint8 [H, W, 3].
        chunks: the rollout.
        reference: the same path under the reference preset; None for the reference itself.
        real: the game's frames, uint8 [latents, H, W, 3].
        warmup: chunks to leave out.
        perceptual: further measures.
    """
    looked: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
    psnr = ssim = pooled = None
    if reference is not None:
        made, other = ([fresh_frames(chunk) for chunk in part] for part in (chunks, reference))
        difference = compare(made, other, warmup)
        looked["off"] = _tensor(np.concatenate(made[warmup:])), _tensor(np.concatenate(other[warmup:]))
        psnr, ssim, pooled = difference.psnr, difference.ssim, difference.pooled_psnr
    # The frame of every latent is the last that it stands for.
    shown = list(engine_frames(spec, start, chunks))[:: spec.latent_frames]
    frames, poses = np.stack([record.frame for record in shown]), np.stack([record.pose for record in shown])
    begin = sum(len(chunk.poses) for chunk in chunks[:warmup])
    pairs = revisited_pairs(poses, spec.motion, begin, 2 * spec.chunk_latents)
    self_psnr = self_ssim = game_self = self_pooled = game_pooled = None
    if len(pairs):
        earlier, later = looked["revisits"] = _tensor(frames[pairs[:, 0]]), _tensor(frames[pairs[:, 1]])
        self_pooled = metrics.pooled_psnr(metrics.psnr(earlier, later))
        self_psnr, self_ssim = float(metrics.psnr(earlier, later).mean()), float(metrics.ssim(earlier, later).mean())
    game_psnr = game_ssim = sharpness = None
    if real is not None:
        generated, truth = looked["game"] = _tensor(frames[begin:]), _tensor(real[begin:])
        game_pooled = metrics.pooled_psnr(metrics.psnr(generated, truth))
        game_psnr = float(metrics.psnr(generated, truth).mean())
        game_ssim = float(metrics.ssim(generated, truth).mean())
        sharpness = metrics.sharpness(generated, truth)
        if len(pairs):
            game_self = float(metrics.psnr(_tensor(real[pairs[:, 0]]), _tensor(real[pairs[:, 1]])).mean())
    return Quality(
        *(psnr, ssim, pooled, self_psnr, self_ssim, len(pairs), game_psnr, game_ssim, sharpness, game_self),
        self_pooled_psnr=self_pooled,
        game_pooled_psnr=game_pooled,
        perceptual={
            measure.name: {against: float(measure(*pair).mean()) for against, pair in looked.items()}
            for measure in perceptual
        },
    )


def revisited_pairs(poses: np.ndarray, motion: MotionLimits, begin: int, gap: int) -> np.ndarray:
    """Find pairs (earlier, later) of latents with nearly the same view: int [n, 2].

    Each latent from ``begin`` on is paired with the earlier latent of the most similar pose. That latent must lie at
    least ``gap`` latents back, the poses within half a latent's motion (length and angle), and the camera must have
    been elsewhere in between.

    Args:
        poses: [L, 4, 4].
        motion: the world's motion per latent, the unit of similarity.
        begin: first later latent.
        gap: fewest latents between the two.
    """
    turned = np.einsum("aij,bij->ab", poses[:, :3, :3], poses[:, :3, :3])
    degrees = np.degrees(np.arccos(np.clip((turned - 1.0) / 2.0, -1.0, 1.0)))
    metres = np.linalg.norm(poses[:, None, :3, 3] - poses[None, :, :3, 3], axis=-1)
    # slightly above half a motion: a path on a grid of whole motions is often exactly half a motion off
    distance = np.maximum(metres / motion.translation, degrees / motion.rotation)
    pairs = []
    for later in range(max(begin, gap), len(poses)):
        order = np.argsort(distance[later, : later - gap + 1], kind="stable")
        for earlier in order[distance[later, order] <= 0.5 + 1e-6]:
            if (distance[later, earlier + 1 : later] > 1.0 - 1e-6).any():
                pairs.append((int(earlier), later))
                break
    return np.array(pairs, dtype=int).reshape(-1, 2)


def _tensor(frames: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(frames))
