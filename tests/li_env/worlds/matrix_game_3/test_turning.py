"""Poses of the original where rounding decides: angles across 180 degrees, cameras that turn without moving.

The original interpolates poses at frames that are there (so nothing changes but the last bit), computes the relative
poses of a clip in float32 and divides by the longest step. Where a camera only turns, that step is rounding residue.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from li_env.worlds.matrix_game_3.camera_map import clip_poses, memory_pose
from li_env.worlds.matrix_game_3.kinematics import camera_to_world, follow_rows
from li_env.worlds.matrix_game_3.time_axis import ClipSizes, latent_of, pose_frame
from tests.reference.matrix_game_3.original import rows_of
from tests.reference.matrix_game_3.retrieval import original_memory

ROLLOUTS = {
    "walk, then turn": [("u", "d"), ("j", "q"), ("k", "q"), ("i", "q")],
    "backwards, then turn both ways": [("i", "s"), ("l", "q"), ("u", "q"), ("l", "q")],
    "turn at the start": [("l", "q"), ("l", "q"), ("j", "q"), ("i", "q")],
    "walk and turn across 180 degrees": [("l", "w"), ("l", "w"), ("l", "a"), ("l", "s")],
    "stand still": [("u", "w"), ("u", "q"), ("u", "q"), ("j", "q")],
}


def rows(actions: list[tuple[str, str]], drawn: int | None) -> list[tuple[np.ndarray, np.ndarray]]:
    """Mouse and keyboard of every clip; with a seed the mouse moves otherwise in every frame."""
    clips = [rows_of(*tokens, 40 if index else 57) for index, tokens in enumerate(actions)]
    if drawn is None:
        return clips
    generator = np.random.default_rng(drawn)
    return [(generator.uniform(-0.1, 0.1, mouse.shape).astype(np.float32), keys) for mouse, keys in clips]


def walked(first: np.ndarray, mouse: np.ndarray, keyboard: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Poses of the frames and the one after them: float32 angles and places, steps in float64."""
    f32 = np.float32
    poses, pose = [], first
    for (up, right), keys in zip(mouse, keyboard, strict=True):
        x, y, z, pitch, yaw = (f32(value) for value in pose)
        poses.append([x, y, z, pitch, yaw])
        turned = yaw + (f32(15) * right if abs(right) >= f32(0.02) else f32(0))
        turned -= f32(360) * (f32(turned > 180) - f32(turned < -180))
        ahead, aside = keys[0] - keys[1], keys[3] - keys[2]
        length = 8.73 if ahead and aside else 12.35
        angle = np.deg2rad(float((yaw + turned) / f32(2)))
        step = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * length
        place = np.array([x, y], np.float64) + (step[:, 0] * float(ahead) + step[:, 1] * float(aside))
        pose = np.array([*place, z, pitch + (f32(15) * up if abs(up) >= f32(0.02) else f32(0)), turned], np.float64)
    return np.array(poses, np.float64), pose


def at_frames(cameras: np.ndarray, frames: np.ndarray, wanted: np.ndarray) -> torch.Tensor:
    """Interpolate cameras [n, 4, 4] with SciPy at some of their own frames, float32."""
    interpolate, transform = pytest.importorskip("scipy.interpolate"), pytest.importorskip("scipy.spatial.transform")
    mirror = np.diag([1.0, 1.0, -1.0])  # SciPy knows no left-handed rotations
    turns = transform.Slerp(frames, transform.Rotation.from_matrix(cameras[:, :3, :3] @ mirror))
    poses = np.tile(np.eye(4), (len(wanted), 1, 1))
    poses[:, :3, :3] = turns(wanted).as_matrix()
    poses[:, :3, 3] = interpolate.interp1d(frames, cameras[:, :3, 3], axis=0)(wanted)
    single = torch.from_numpy(poses).float()
    single[:, :3, :3] @= torch.from_numpy(mirror).float()
    return single


def related(poses: torch.Tensor, to_the_one_before: bool) -> torch.Tensor:
    def back(each: torch.Tensor) -> torch.Tensor:
        turned = each[:, :3, :3].mT
        moved = -torch.bmm(turned, each[:, :3, 3:])
        last = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=each.dtype).expand(len(each), 1, 4)
        return torch.cat((torch.cat((turned, moved), dim=2), last), dim=1)

    result = torch.matmul(back(poses[:1]), poses)
    result[0] = torch.eye(4, dtype=poses.dtype)
    if to_the_one_before:
        result = torch.cat((result[:1], torch.bmm(back(result[:-1]), result[1:])))
    longest = result[:, :3, 3].norm(dim=1).max()
    result[:, :3, 3] /= longest if longest > 0 else 1
    return result


@pytest.mark.parametrize(("name", "drawn"), [*itertools.product(ROLLOUTS, [None]), ("turn at the start", 3)])
def test_relative_poses_of_every_clip(name: str, drawn: int | None) -> None:
    frames, next_pose, all_poses = 0, np.zeros(5), np.zeros((0, 5))
    for number, (mouse, keyboard) in enumerate(rows(ROLLOUTS[name], drawn)):
        expected, expected_next = walked(next_pose, mouse, keyboard)
        poses, next_pose = follow_rows(next_pose, mouse, keyboard, original=True)
        assert np.array_equal(poses, expected) and np.array_equal(next_pose, expected_next)
        all_poses = np.concatenate((all_poses, poses))
        frames += len(mouse)
        cameras, clip = camera_to_world(all_poses), ClipSizes().clip(number)
        assert clip.end_frame == frames
        own = np.array([pose_frame(latent) for latent in range(clip.first_latent, clip.end_latent)])
        span = np.arange(clip.first_frame, clip.end_frame)
        theirs = related(at_frames(cameras[span], span, own), True)
        np.testing.assert_allclose(clip_poses(cameras[own], original=True), theirs.numpy(), atol=1e-5, rtol=0)
        if number == 0:
            continue
        memory = original_memory(cameras, clip)
        for frame, reference in zip(memory.frames, memory.references, strict=True):
            last = pose_frame(latent_of(frame))
            block = np.arange(last - 3, last + 1)
            seen = at_frames(cameras[block], block, block[-1:])
            pair = torch.cat((torch.from_numpy(cameras[reference])[None], seen))
            ours = memory_pose(cameras[last], cameras[reference], original=True)
            np.testing.assert_allclose(ours, related(pair, False)[1].numpy(), atol=1e-5, rtol=0)


def test_by_default_a_camera_that_only_turns_takes_no_step() -> None:
    poses, _ = follow_rows(np.array([311.7, -86.45, 0.0, 0.0, 13.5]), *rows_of("l", "q", 57))
    relative = clip_poses(camera_to_world(poses[::4]))
    assert not relative[:, :3, 3].any()
