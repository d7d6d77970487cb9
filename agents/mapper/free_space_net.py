"""Free-space network: from a frame to clearances along rays of the view, and its training step."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from li_env.agents.micro_batches import in_micro_batches

RAYS = 16
"""Rays of the view, evenly spaced over the picture from its left edge to its right edge."""

REACH = 8.0
"""Length units at which a clearance ends."""

_GAINS = (0.6, 1.4)  # brightness of each colour in training: colours say nothing about clearances
_BETA = 0.05  # the loss is squared below this error and absolute above


def ray_angles(fov: float) -> np.ndarray:
    """Return the angles [`RAYS`] of the rays in degrees, positive to the right.

    Args:
        fov: width of the view in degrees.
    """
    aside = 2 * (np.arange(RAYS) + 0.5) / RAYS - 1
    return np.degrees(np.arctan(aside * np.tan(np.radians(fov / 2))))


class FreeSpaceNet(nn.Module):
    """Network from frames to clearances, convolutional along the width: what it learns on the left holds on the right.

    Args:
        frame_size: (height, width): a multiple of 32, and 8 per ray.

    Raises:
        ValueError: another frame size.
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
        """Return clearances [n, `RAYS`] in units of `REACH`, not yet cut to [0, 1].

        Args:
            frames: [n, 3, H, W] from 0 to 255.
        """
        return self.along(self.columns(frames.float() / 255 - 0.5).squeeze(2)).squeeze(1)

    def predict(self, frames: np.ndarray) -> torch.Tensor:
        """Return clearances [n, `RAYS`] in length units, at most `REACH`; no frame depends on the others.

        Args:
            frames: uint8 [n, H, W, 3].
        """
        with torch.inference_mode():
            batch = torch.from_numpy(np.ascontiguousarray(frames.transpose(0, 3, 1, 2)))
            rows = {"frames": batch.to(next(self.parameters()).device)}
            found = in_micro_batches(lambda part: {"clearances": self(part["frames"])}, rows)
            return found["clearances"].clamp(0, 1) * REACH


class FreeSpaceTrainer:
    """Optimiser of a free-space network on frames whose clearances are known.

    Args:
        net: network, changed in place.
        steps: gradient steps of the whole training; the learning rate rises and falls over them.
        batch_size: frames per step.
        learning_rate: highest learning rate of AdamW.
        seed: seed of the order, the colours and the mirroring.
    """

    def __init__(self, net: FreeSpaceNet, steps: int, batch_size: int, learning_rate: float, seed: int) -> None:
        self._net, self._batch = net, batch_size
        self._generator = torch.Generator().manual_seed(seed)
        self._optimiser = torch.optim.AdamW(net.parameters(), learning_rate, weight_decay=1e-3)
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(self._optimiser, learning_rate, steps)

    def fit(self, frames: torch.Tensor, clearances: torch.Tensor, steps: int) -> float:
        """Take gradient steps and return their mean loss.

        Args:
            frames: uint8 [n, 3, H, W].
            clearances: [n, `RAYS`] in length units.
            steps: number of gradient steps.
        """
        device, losses = frames.device, []
        for _ in range(steps):
            rows = torch.randint(len(frames), (self._batch,), generator=self._generator).to(device)
            gains = torch.empty(self._batch, 3, 1, 1).uniform_(*_GAINS, generator=self._generator).to(device)
            inputs, target = (frames[rows] * gains).clamp(0, 255), clearances[rows] / REACH
            if float(torch.rand((), generator=self._generator)) < 0.5:
                inputs, target = inputs.flip(-1), target.flip(-1)
            loss = nn.functional.smooth_l1_loss(self._net(inputs), target, beta=_BETA)
            self._optimiser.zero_grad()
            loss.backward()
            self._optimiser.step()
            self._schedule.step()
            losses.append(loss.detach())
        return float(torch.stack(losses).mean())
