import numpy as np
import pytest
import torch

from li_env.accel.geometry.camera import CameraMotion, follow
from li_env.evaluation.world.actions import following
from li_env.evaluation.world.inverse_model import TrainingSize, estimate, pair_motions, train

CPU = torch.device("cpu")


def test_motions_between_poses():
    motions = [CameraMotion(yaw=15.0), CameraMotion(forward=0.75), CameraMotion(yaw=-5.0, right=0.25)]
    poses = np.concatenate([np.eye(4)[None], follow(np.eye(4), motions)])
    np.testing.assert_allclose(pair_motions(poses), [[15, 0, 0], [0, 0, 0.75], [-5, 0.25, 0]], atol=1e-9)
    assert pair_motions(np.stack([poses, poses])).shape == (2, 3, 3)


def test_following_by_hand():
    made = np.array([[[15.0, 0.0, 0.0], [0.0, 0.0, 0.75]]])
    seen = np.array([[[9.0, 0.0, 0.0], [1.0, 0.3, 0.35]]])
    row = following(seen, made)
    assert row["pairs"] == 2 and row["yaw_error_degrees"] == 3.5 and row["shift_error_metres"] == 0.25
    assert row["standing_yaw_error_degrees"] == 7.5 and row["standing_shift_error_metres"] == 0.375
    assert row["followed"] == 0.5, "half a metre is more than half of a key's motion"
    assert row["yaw_correlation"] == pytest.approx(1.0) and row["forward_correlation"] == pytest.approx(1.0)
    assert following(seen, 0 * made)["yaw_correlation"] is None


def test_the_model_learns_turns_from_pictures_that_move():
    rng = np.random.default_rng(0)
    panoramas = rng.integers(0, 256, (6, 4, 40, 3)).astype(np.uint8).repeat(8, 1).repeat(8, 2)
    turns = rng.integers(-1, 2, (6, 15))  # 0 or 12 pixels to either side
    columns = 100 + 12 * np.concatenate([np.zeros((6, 1), int), np.cumsum(turns, axis=1)], axis=1)
    columns = (columns - 100 + 96) % 192  # a panorama of 320 columns holds every window of 64
    frames = np.stack(
        [[panorama[:, c : c + 64] for c in row] for panorama, row in zip(panoramas, columns, strict=True)]
    )
    keep = (np.abs(np.diff(columns, axis=1)) <= 12).all(1)
    assert keep.sum() >= 4
    headings = np.cumsum(np.concatenate([np.zeros((6, 1)), 10.0 * np.diff(columns, axis=1) / 12], axis=1), axis=1)
    poses = np.stack([[follow(np.eye(4), [CameraMotion(yaw=float(h))])[-1] for h in row] for row in headings])
    frames, poses = frames[keep], poses[keep]
    model = train(frames[:-1], poses[:-1], TrainingSize(0, 0, 16, 60, 16), CPU, seed=0)
    row = following(estimate(model, frames[-1:], CPU), pair_motions(poses[-1:]))
    assert row["yaw_error_degrees"] < 0.5 * row["standing_yaw_error_degrees"]
    assert row["yaw_correlation"] > 0.8
    again = train(frames[:-1], poses[:-1], TrainingSize(0, 0, 16, 2, 4), CPU, seed=0)
    twice = train(frames[:-1], poses[:-1], TrainingSize(0, 0, 16, 2, 4), CPU, seed=0)
    np.testing.assert_array_equal(estimate(again, frames, CPU), estimate(twice, frames, CPU))
