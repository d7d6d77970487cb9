"""Inverse model: which motion lies between two frames, learned from the game on maps of the training split.

It judges whether generated frames show the motion that was commanded. Its own error on frames of the game, on maps that
it was not trained on, stands beside every number that it gives.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.functional import avg_pool2d, huber_loss, interpolate, normalize, pad

from li_env.accel.geometry.camera import relative_motion
from li_env.doom.explorers import STEP, TURN
from li_env.doom.renderer import MAP_UNITS_PER_METRE
from li_env.worlds.freedoom.sizes import SMALL

SCALE = (TURN, STEP / MAP_UNITS_PER_METRE, STEP / MAP_UNITS_PER_METRE)
"""Degrees, metres right and metres forward that a held key makes: motions are learned in these units."""

REACH = (2, 8)
"""Largest shifts, down and across, in cells of four pixels: more than a held key moves most surfaces."""

FEATURES = 32
"""Channels of the compared features."""

_JUDGED_TOGETHER = 512


@dataclass(frozen=True)
class TrainingSize:
    """Size of a training.

    Attributes:
        maps: training maps.
        walks: walks on each of them.
        length: frames of a walk.
        steps: gradient steps.
        batch: pairs of frames per step.
    """

    maps: int
    walks: int
    length: int
    steps: int
    batch: int


SIZES = {"cpu": TrainingSize(12, 4, 64, 300, 32), "cuda": TrainingSize(96, 4, 128, 3000, 128)}
"""Sizes by device: minutes on either."""


class InverseModel(nn.Module):
    """Network that compares features of two frames at neighbouring places, and reads the motion from the comparison.

    Features of the second frame are shifted by up to `REACH` cells of four pixels; the similarity at every shift says
    where a surface has moved, whatever its texture.
    """

    def __init__(self, frame_size: tuple[int, int] = SMALL.frame_size) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *_stage(3, 24, 2), *_stage(24, FEATURES, 2), nn.Conv2d(FEATURES, FEATURES, 3, padding=1)
        )
        down, across = REACH
        shifts = (2 * down + 1) * (2 * across + 1)
        self.compare = nn.Sequential(*_stage(shifts + FEATURES, 64, 2), *_stage(64, 96, 2), *_stage(96, 96, 2))
        height, width = (-(-side // 32) for side in frame_size)
        self.head = nn.Sequential(nn.Linear(height * width * 96, 128), nn.SiLU(), nn.Linear(128, 3))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Estimate motions [B, 3] in units of `SCALE` from pairs [B, 6, H, W] of frames in [0, 1]."""
        early, late = (self.features(frame - 0.5) for frame in pixels.split(3, dim=1))
        similar = _similarities(normalize(early, dim=1), normalize(late, dim=1))
        return self.head(self.compare(torch.cat((4 * similar, early), dim=1)).flatten(1))


def _stage(before: int, after: int, stride: int) -> list[nn.Module]:
    return [nn.Conv2d(before, after, 3, stride=stride, padding=1), nn.GroupNorm(8, after), nn.SiLU()]


def _similarities(early: torch.Tensor, late: torch.Tensor) -> torch.Tensor:
    """Multiply unit features [B, C, h, w] with those of the other frame at every shift: [B, shifts, h, w]."""
    down, across = REACH
    height, width = early.shape[-2:]
    padded = pad(late, (across, across, down, down))
    return torch.stack(
        [
            (early * padded[..., row : row + height, column : column + width]).sum(1)
            for row in range(2 * down + 1)
            for column in range(2 * across + 1)
        ],
        dim=1,
    )


def pair_motions(poses: np.ndarray) -> np.ndarray:
    """Return the motions (yaw degrees, right, forward metres) [..., L - 1, 3] between poses [..., L, 4, 4]."""
    paths = poses.reshape(-1, *poses.shape[-3:])
    motions = [
        [(move.yaw, move.right, move.forward) for move in map(relative_motion, path[:-1], path[1:])] for path in paths
    ]
    return np.array(motions).reshape(*poses.shape[:-3], -1, 3)


def train(frames: np.ndarray, poses: np.ndarray, size: TrainingSize, device: torch.device, seed: int) -> InverseModel:
    """Train on walks of the game.

    Pairs are also shown mirrored, in reversed order, and blurred, because generated frames are less sharp than the
    game's.

    Args:
        frames: uint8 [n, L, H, W, 3].
        poses: [n, L, 4, 4].
        size: of the training.
        device: where to train.
        seed: of weights and draws.
    """
    generator = torch.Generator().manual_seed(seed)
    pixels = _small(frames).permute(0, 1, 4, 2, 3).to(device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = InverseModel((pixels.shape[3], pixels.shape[4])).to(device)
    forth = torch.from_numpy(pair_motions(poses) / SCALE).float().to(device)
    back = torch.from_numpy(pair_motions(poses[:, ::-1])[:, ::-1] / SCALE).float().to(device)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=size.steps, pct_start=0.1)
    for _ in range(size.steps):
        walk, place = (
            torch.randint(most, (size.batch,), generator=generator).to(device)
            for most in (len(frames), frames.shape[1] - 1)
        )
        reverse = (torch.rand(size.batch, generator=generator) < 0.5).to(device)
        early, late = pixels[walk, place].float() / 255, pixels[walk, place + 1].float() / 255
        flag = reverse[:, None, None, None]
        pair = torch.cat((torch.where(flag, late, early), torch.where(flag, early, late)), dim=1)
        motion = torch.where(reverse[:, None], back[walk, place], forth[walk, place])
        if torch.rand((), generator=generator) < 0.5:
            pair, motion = pair.flip(-1), motion * motion.new_tensor([-1.0, -1.0, 1.0])
        loss = huber_loss(model(_blurred(pair, generator)), motion, delta=0.2)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return model.eval()


@torch.no_grad()
def estimate(model: InverseModel, frames: np.ndarray, device: torch.device) -> np.ndarray:
    """Estimate the motions [n, L - 1, 3] (yaw degrees, right, forward metres) of frames uint8 [n, L, H, W, 3]."""
    small = _small(frames)
    pairs = torch.cat((small[:, :-1], small[:, 1:]), dim=-1)
    flat = pairs.flatten(0, 1)
    found = []
    for begin in range(0, len(flat), _JUDGED_TOGETHER):
        part = flat[begin : begin + _JUDGED_TOGETHER].to(device)
        found.append(model(part.permute(0, 3, 1, 2).float() / 255).cpu())
    return (torch.cat(found).double().numpy() * SCALE).reshape(*pairs.shape[:2], 3)


def _small(frames: np.ndarray) -> torch.Tensor:
    """Average frames uint8 [n, L, H, W, 3] to the rows of the small size, for which `REACH` is made."""
    shrink = frames.shape[2] // SMALL.frame_size[0]
    pixels = torch.from_numpy(frames)
    if shrink <= 1:
        return pixels
    squares = pixels.unflatten(3, (-1, shrink)).unflatten(2, (-1, shrink))
    return torch.stack([walk.float().mean((2, 4)).round().to(torch.uint8) for walk in squares])


def _blurred(pair: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return pictures as they are or blurred, by halving or quartering their size, one of three at random."""
    factor = int(torch.randint(3, (), generator=generator))
    if not factor:
        return pair
    small = avg_pool2d(pair, 2**factor)
    return interpolate(small, size=pair.shape[-2:], mode="bilinear", align_corners=False)
