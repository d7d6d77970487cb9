"""Motion head of the freedoom world: commanded motion in, realised motion out, so that cameras stop at walls."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from li_env.accel.geometry.camera import CameraMotion
from li_env.worlds.freedoom.dynamics import LATENT_CHANNELS
from li_env.worlds.freedoom.geometry import FEATURES, token_features
from li_env.worlds.freedoom.sizes import SMALL

MOTIONS = 4
"""Most motions that one call looks at: those of one chunk."""

WIDTH, HEADS, LAYERS = 128, 4, 3


class MotionHead(nn.Module):
    """A small transformer over recent frames and the commands.

    Frames are given as latents with planar poses seen from the current camera. Every command becomes a token that
    carries its own motion and the pose it would lead to on a clear path.

    Args:
        grid: (rows, columns) of the tokens of a latent. The weights do not depend on it.
    """

    def __init__(self, grid: tuple[int, int] = SMALL.token_grid) -> None:
        super().__init__()
        self.grid = grid
        self.frame_in = nn.Linear(LATENT_CHANNELS + FEATURES, WIDTH)
        self.command_in = nn.Linear(FEATURES + 3, WIDTH)
        self.place = nn.Parameter(torch.randn(MOTIONS, WIDTH) * 0.02)
        layer = nn.TransformerEncoderLayer(
            WIDTH, HEADS, 2 * WIDTH, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.out = nn.Linear(WIDTH, 3)

    def forward(
        self, latents: torch.Tensor, poses: torch.Tensor, commands: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Predict what happens to each command.

        Args:
            latents: [B, F, n, C], frames to look at.
            poses: [B, F, 3], their planar poses seen from the current camera.
            commands: [B, M, 3], (yaw in radians, right, forward in metres) per latent, M <= 4.

        Returns:
            (blocked logits [B, M], displacement (right, forward) in metres [B, M, 2] in the axes of the command).
        """
        frames = torch.cat((latents, token_features(poses, self.grid).to(latents.dtype)), dim=-1).flatten(1, 2)
        path = commanded_path(commands)
        # The straight-ahead ray of a pose is a fair summary of it: the mean over its tokens' features.
        ahead = token_features(path, self.grid).mean(2)
        command = self.command_in(torch.cat((ahead, commands), dim=-1).to(latents.dtype))
        command = command + self.place[: commands.shape[1]].to(command.dtype)
        tokens = self.layers(torch.cat((command, self.frame_in(frames)), dim=1))
        out = self.out(tokens[:, : commands.shape[1]]).float()
        return out[..., 0], out[..., 1:] + commands[..., 1:]

    def realised(self, latents: torch.Tensor, poses: torch.Tensor, commands: torch.Tensor) -> torch.Tensor:
        """Return realised motions [B, M, 3]: the command if its path looks clear, else the prediction."""
        logits, displacement = self(latents, poses, commands)
        wanted = commands[..., 1:]
        length = displacement.norm(dim=-1, keepdim=True).clamp(min=1e-6)
        # Nothing pushes the player further than it wanted to go.
        displacement = displacement * (wanted.norm(dim=-1, keepdim=True) / length).clamp(max=1.0)
        displacement = torch.where((logits > 0)[..., None], displacement, wanted)
        return torch.cat((commands[..., :1], displacement), dim=-1)


def commanded_path(commands: torch.Tensor) -> torch.Tensor:
    """Return planar poses [B, M, 3] after each command on a clear path, seen from the camera before the first."""
    yaw = commands[..., 0].cumsum(-1)
    right, forward = commands[..., 1], commands[..., 2]
    x = (yaw.cos() * right + yaw.sin() * forward).cumsum(-1)
    z = (-yaw.sin() * right + yaw.cos() * forward).cumsum(-1)
    return torch.stack((x, z, yaw), dim=-1)


def realised_motions(commanded: tuple[CameraMotion, ...], moves: np.ndarray) -> tuple[CameraMotion, ...]:
    """Return realised motions ``moves`` [M, 3] (yaw, right, forward).

    A commanded motion that is equal in float32 is returned itself.
    """
    return tuple(
        motion
        if right == np.float32(motion.right) and forward == np.float32(motion.forward)
        else CameraMotion(yaw=motion.yaw, right=right, forward=forward)
        for motion, (_, right, forward) in zip(commanded, moves.tolist(), strict=True)
    )
