"""The camera map against the original, and views from one place."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from li_env.accel.geometry.camera import CameraMotion
from li_env.worlds.matrix_game_3.camera_map import camera_values, clip_poses, distinct_views, memory_pose
from li_env.worlds.matrix_game_3.controls import follow_motions
from li_env.worlds.matrix_game_3.time_axis import latent_of, pose_frame
from tests.li_env.worlds.matrix_game_3.stored import camera_tokens, stored, token_grid

CPU = torch.device("cpu")


def cameras() -> np.ndarray:
    """Return the trajectory that the stored maps belong to."""
    name = next(name for name in ("mixed", "random") if f"kin.{name}.extrinsics" in stored()[1])
    return stored()[1][f"kin.{name}.extrinsics"].numpy()


@pytest.mark.parametrize("original", [True, False])
def test_first_and_later_clip(original: bool) -> None:
    tensors = stored()[1]
    first = tensors["plucker.first_clip.out"]
    following, start = tensors["plucker.next_clip.out"], int(tensors["plucker.next_clip.start"])
    for expected, frames in (
        (first, [pose_frame(latent) for latent in range(first.shape[2])]),
        (following, [start + 3 + 4 * latent for latent in range(following.shape[2])]),
    ):
        ours = camera_values(clip_poses(cameras()[frames], original), token_grid(), CPU)
        torch.testing.assert_close(ours, camera_tokens(expected)[0], atol=1e-5, rtol=0)


def test_memory_view() -> None:
    tensors = stored()[1]
    memory, reference = tensors["plucker.memory.indices"].tolist()
    pose = cameras()[pose_frame(latent_of(memory))]
    for original in (True, False):
        relative = memory_pose(pose, cameras()[reference], original)
        np.testing.assert_allclose(relative, tensors["plucker.memory.rel_pose"][0].numpy(), atol=1e-6, rtol=0)
        ours = camera_values(relative[None], token_grid(), CPU)
        torch.testing.assert_close(ours, camera_tokens(tensors["plucker.memory.out"])[0], atol=1e-5, rtol=0)


def test_memory_view_of_an_agent_that_stood_still() -> None:
    """Expect no step by default where the original blows rounding residue up to length 1."""
    tensors = stored()[1]
    pose = tensors["plucker.memory_still.block_c2w"][-1].numpy()
    reference = tensors["plucker.memory_still.ref_c2w"].numpy()
    expected = tensors["plucker.memory_still.rel_pose"].numpy()
    np.testing.assert_allclose(memory_pose(pose, reference, original=True), expected, atol=1e-9, rtol=0)
    assert np.linalg.norm(expected[:3, 3]) > 0.99
    ours = memory_pose(pose, reference)
    np.testing.assert_allclose(ours[:3, :3], expected[:3, :3], atol=1e-6)
    assert not ours[:3, 3].any()


def test_the_original_picture_size() -> None:
    """704x1280: the first token's first pixel looks 45 degrees to the left and up, but for half a pixel."""
    values = camera_values(np.eye(4)[None], (22, 40), CPU)
    assert values.shape == (1, 880, 6144)
    ray = values[0, 0].view(6, 16, 16, 2, 2)[3:, 0, 0, 0, 0]
    expected = torch.tensor([0.5 / 640 - 1, 0.5 / 352 - 1, 1.0])
    torch.testing.assert_close(ray, expected / expected.norm(), atol=1e-6, rtol=0)


def test_views_of_a_held_key_are_one_view() -> None:
    """14 latents of walking and turning 10 km away: the identity, and the same step 13 times."""
    start = np.eye(4)
    start[:3, 3] = 7000.0, -3.0, 7000.0
    motions = (CameraMotion(yaw=6.0, forward=0.494),) * 13
    poses = np.concatenate([start[None], follow_motions(start, motions)])
    views, numbers = distinct_views(clip_poses(poses))
    assert numbers.tolist() == [0] + [1] * 13
    assert np.array_equal(views[0], np.eye(4)) and np.linalg.norm(views[1][:3, 3]) == pytest.approx(1)
    again = views[numbers]
    np.testing.assert_allclose(again, clip_poses(poses), atol=1e-6)
    assert len(distinct_views(clip_poses(poses, original=True))[0]) > 5, "rounded poses differ"


def test_views_keep_their_order() -> None:
    poses = np.stack([np.eye(4) * scale for scale in (3.0, 1.0, 3.0, 2.0, 1.0)])
    views, numbers = distinct_views(poses)
    assert views[:, 0, 0].tolist() == [3.0, 1.0, 2.0] and numbers.tolist() == [0, 1, 0, 2, 1]
