from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from li_env.accel.geometry.camera import CameraMotion, follow
from li_env.accel.plan import AttentionPlan, ChunkPlan
from li_env.accel.runtime.chunk import ChunkResult
from li_env.evaluation.bench.quality import rate, revisited_pairs
from tests.analytic_world import SPEC

STILL = CameraMotion()
FORWARD, BACK, RIGHT = CameraMotion(forward=0.75), CameraMotion(forward=-0.75), CameraMotion(yaw=15.0)


def path(motions: list[CameraMotion]) -> np.ndarray:
    return np.concatenate([np.eye(4)[None], follow(np.eye(4), motions)])


def rollout(frames: np.ndarray, poses: np.ndarray, first: int = 4) -> list[ChunkResult]:
    plan = ChunkPlan(0, "warmup", 0.0, (), (), (1.0, 0.0), AttentionPlan(), "")
    pieces = zip(np.split(frames, range(first, len(frames), 4)), np.split(poses, range(4, len(poses), 4)), strict=True)
    return [
        ChunkResult(
            *(dataclasses.replace(plan, chunk=chunk), p, (), (STILL,) * (len(p) - (chunk == 0))),
            *(f, torch.zeros(len(p), 1), False, {}),
        )
        for chunk, (f, p) in enumerate(pieces)
    ]


def noise(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 16, 16, 3)).astype(np.uint8)


def test_out_and_back_pairs_are_mirror_images():
    pairs = revisited_pairs(path([FORWARD] * 8 + [BACK] * 8), SPEC.motion, begin=0, gap=8)
    assert pairs.tolist() == [[4, 12], [3, 13], [2, 14], [1, 15], [0, 16]]


def test_the_warm_up_holds_no_later_frame():
    pairs = revisited_pairs(path([FORWARD] * 8 + [BACK] * 8), SPEC.motion, begin=15, gap=8)
    assert pairs.tolist() == [[1, 15], [0, 16]]


def test_a_full_turn_comes_back_and_a_straight_walk_does_not():
    assert revisited_pairs(path([RIGHT] * 25), SPEC.motion, 0, 8).tolist() == [[0, 24], [1, 25]]
    assert len(revisited_pairs(path([FORWARD] * 25), SPEC.motion, 0, 8)) == 0


def test_standing_still_is_no_revisit():
    assert len(revisited_pairs(path([CameraMotion()] * 20), SPEC.motion, 0, 8)) == 0


def test_same_place_other_direction_is_no_revisit():
    assert len(revisited_pairs(path([FORWARD] * 4 + [RIGHT] * 12 + [FORWARD] * 4), SPEC.motion, 0, 8)) == 0


def test_equal_and_unequal_chunks_against_the_reference():
    poses, frames = path([FORWARD] * 15), noise(16)
    other = frames.copy()
    other[8:12] = 255 - other[8:12]
    other[1] = 0  # in the warm-up chunk; the start frame does not count
    quality = rate(SPEC, other[0], rollout(other, poses), rollout(frames, poses), None, warmup=1)
    assert quality.psnr[1] == quality.psnr[3] == 99.0
    assert quality.psnr[0] < 99.0
    error = np.mean((other[4:].astype(float) - frames[4:]) ** 2)
    assert quality.pooled_psnr == pytest.approx(10 * np.log10(255**2 / error), abs=1e-3)
    assert quality.ssim[1] == pytest.approx(1.0)
    assert quality.ssim[2] < 0.1
    assert quality.self_psnr is None
    assert quality.game_psnr is None


def test_revisits_compare_frames_of_one_rollout():
    poses = path([FORWARD] * 8 + [BACK] * 7)
    frames = noise(16)
    frames[12:] = frames[[4, 3, 2, 1]]
    quality = rate(SPEC, frames[0], rollout(frames, poses), None, None, warmup=3)
    assert (quality.self_psnr, quality.pairs) == (99.0, 4)
    assert quality.psnr is None


def test_the_game_is_met_after_the_warm_up():
    poses, real = path([FORWARD] * 8 + [BACK] * 7), noise(16)
    frames = real.copy()
    frames[:4] = 0
    quality = rate(SPEC, frames[0], rollout(frames, poses), None, real, warmup=1)
    assert (quality.game_psnr, quality.sharpness) == (99.0, 1.0)
    assert quality.game_self_psnr < 20
    assert quality.pairs == 4
    dull = rate(SPEC, real[0], rollout(np.full_like(real, 90), poses), None, real, warmup=1)
    assert dull.sharpness == 0.0
    assert dull.game_psnr < 20


def test_worlds_with_several_frames_per_latent_are_met_at_the_last_one():
    spec = dataclasses.replace(SPEC, latent_frames=4)
    poses, real = path([FORWARD] * 7), noise(8)
    frames = np.concatenate([real[:1], np.repeat(real[1:], 4, axis=0)])
    changed = frames.copy()
    changed[[index for index in range(1, 29) if index % 4]] = 0  # every frame but the last of its latent
    chunks = [
        dataclasses.replace(chunk, frames=part)
        for chunk, part in zip(rollout(real, poses), np.split(changed, [13]), strict=True)
    ]
    chunks[0].frames[0] = 0  # the start frame as the world makes it again does not count
    assert rate(spec, real[0], chunks, None, real, warmup=0).game_psnr == 99.0
