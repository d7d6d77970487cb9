import math

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from li_env.accel.geometry.camera import CameraMotion, follow
from li_env.worlds.freedoom.dynamics import LATENT_CHANNELS
from li_env.worlds.freedoom.geometry import planar_poses
from li_env.worlds.freedoom.motion_head import MotionHead, commanded_path

steps = st.lists(st.tuples(st.floats(-15, 15), st.floats(-0.75, 0.75), st.floats(-0.75, 0.75)), min_size=1, max_size=4)


@given(steps)
def test_commanded_path_is_the_cameras_path(moves: list[tuple[float, float, float]]) -> None:
    poses = follow(np.eye(4), [CameraMotion(yaw=yaw, right=right, forward=ahead) for yaw, right, ahead in moves])
    commands = torch.tensor([[(math.radians(yaw), right, ahead) for yaw, right, ahead in moves]])
    np.testing.assert_allclose(commanded_path(commands)[0].numpy(), planar_poses(poses, np.eye(4)), atol=1e-5)


def test_realised_motion_is_the_command_or_a_shorter_one() -> None:
    torch.manual_seed(0)
    head = MotionHead().requires_grad_(False)
    torch.nn.init.normal_(head.out.weight, std=1.0)
    commands = torch.randn(64, 4, 3)
    latents, poses = torch.randn(64, 3, 48, LATENT_CHANNELS), torch.randn(64, 3, 3)
    logits, _ = head(latents, poses, commands)
    feasible = head.realised(latents, poses, commands)
    free = logits <= 0
    assert 0 < free.sum() < free.numel()
    assert torch.equal(feasible[free], commands[free])
    assert torch.equal(feasible[..., 0], commands[..., 0])
    assert (feasible[..., 1:].norm(dim=-1) <= commands[..., 1:].norm(dim=-1) + 1e-5).all()
