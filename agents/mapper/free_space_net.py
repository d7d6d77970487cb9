"""Learning to see how far one can walk: a small network from a frame to free ways along rays of the view."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from li_env.agents.micro_batches import by_blocks

RAYS = 16
"""Evenly spaced over the picture's width, from its left edge to its right one."""

REACH = 8.0
"""Length units beyond which a way counts as free."""

_GAINS = (0.6, 1.4)  # of each colour: colours say nothing about ways
_BETA = 0.05  # of the loss: squared below, absolute above


def ray_angles(fov: float) -> np.ndarray:
    """Degrees [`RAYS`] from the middle of the view, positive to the right; ``fov`` is its width in degrees."""
    aside = 2 * (np.arange(RAYS) + 0.5) / RAYS - 1
    return np.degrees(np.arctan(aside * np.tan(np.radians(fov / 2))))


class FreeSpaceNet(nn.Module):
    """Frames to free ways. Convolutional along the width, so that what is learned on the left holds on the right.

    Args:
        frame_size: (height, width), multiples of 32 and 8.
    """

    def __init__(self, frame_size: tuple[int, int]) -> None:
        super().__init__()
        height, width = frame_size
        if height % 32 or width != 8 * RAYS:
            raise ValueError(f"frame_size={frame_size} is not allowed; allowed: a multiple of 32 by {8 * RAYS}")
        self.columns = nn.Sequential(
            nn.AvgPool2d(2),
            nn.Conv2d(3, 24, 5, 2, 2), nn.ReLU(),
            nn.Conv2d(24, 48, 3, 2, 1), nn.ReLU(),
            nn.Conv2d(48, 48, 3, (2, 1), 1), nn.ReLU(),
            nn.Conv2d(48, 48, 3, (2, 1), 1), nn.ReLU(),
            nn.Conv2d(48, 96, (height // 32, 3), 1, (0, 1)), nn.ReLU(),
        )  # fmt: skip
        self.along = nn.Sequential(
            nn.Conv1d(96, 96, 5, padding=2), nn.ReLU(),
            nn.Conv1d(96, 64, 3, padding=1), nn.ReLU(),
            nn.Conv1d(64, 1, 1),
        )  # fmt: skip

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Free ways [n, `RAYS`] in units of `REACH`, not yet cut to [0, 1], of frames [n, 3, H, W] in 0 to 255."""
        return self.along(self.columns(frames.float() / 255 - 0.5).squeeze(2)).squeeze(1)

    def look(self, frames: np.ndarray) -> torch.Tensor:
        """Free ways [n, `RAYS`] in length units, at most `REACH`, of frames uint8 [n, H, W, 3], each by itself."""
        with torch.inference_mode():
            batch = torch.from_numpy(np.ascontiguousarray(frames.transpose(0, 3, 1, 2)))
            rows = {"frames": batch.to(next(self.parameters()).device)}
            return by_blocks(lambda block: {"ways": self(block["frames"])}, rows)["ways"].clamp(0, 1) * REACH


class FreeSpaceTrainer:
    """Fits an eye to frames whose free ways are known.

    Args:
        eye: changed in place.
        steps: gradient steps in all; the learning rate rises and falls over them.
        batch_size: frames of a step.
        learning_rate: the highest, of AdamW.
        seed: of the order, the colours and the mirroring.
    """

    def __init__(self, eye: FreeSpaceNet, steps: int, batch_size: int, learning_rate: float, seed: int) -> None:
        self._eye, self._steps, self._batch = eye, steps, batch_size
        self._generator = torch.Generator().manual_seed(seed)
        self._optimiser = torch.optim.AdamW(eye.parameters(), learning_rate, weight_decay=1e-3)
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(self._optimiser, learning_rate, steps)

    def fit(self, frames: torch.Tensor, ways: torch.Tensor, steps: int) -> float:
        """Take ``steps`` steps on frames uint8 [n, 3, H, W] and their ways [n, `RAYS`]; returns the mean loss."""
        device, losses = frames.device, []
        for _ in range(steps):
            rows = torch.randint(len(frames), (self._batch,), generator=self._generator).to(device)
            gains = torch.empty(self._batch, 3, 1, 1).uniform_(*_GAINS, generator=self._generator).to(device)
            seen, target = (frames[rows] * gains).clamp(0, 255), ways[rows] / REACH
            if float(torch.rand((), generator=self._generator)) < 0.5:
                seen, target = seen.flip(-1), target.flip(-1)
            loss = nn.functional.smooth_l1_loss(self._eye(seen), target, beta=_BETA)
            self._optimiser.zero_grad()
            loss.backward()
            self._optimiser.step()
            self._schedule.step()
            losses.append(loss.detach())
        return float(torch.stack(losses).mean())
