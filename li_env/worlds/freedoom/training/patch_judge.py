"""Judge of single frames: real or decoded, one verdict per patch."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import leaky_relu, relu


class PatchJudge(nn.Module):
    """Strided convolutions whose verdicts each see 46 x 46 pixels (Isola et al. 2017, arXiv 1611.07004).

    Group normalisation keeps a verdict independent of the other frames of the batch.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, width, 4, stride=2, padding=1)
        self.second = nn.Conv2d(width, 2 * width, 4, stride=2, padding=1)
        self.third = nn.Conv2d(2 * width, 4 * width, 4, stride=2, padding=1)
        self.norms = nn.ModuleList(nn.GroupNorm(8, channels) for channels in (2 * width, 4 * width))
        self.verdict = nn.Conv2d(4 * width, 1, 4, padding=1)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Pictures [B, 3, H, W] in [-1, 1] -> verdicts [B, 1, H/8 - 1, W/8 - 1]; higher means more real."""
        h = leaky_relu(self.first(pixels), 0.2)
        h = leaky_relu(self.norms[0](self.second(h)), 0.2)
        h = leaky_relu(self.norms[1](self.third(h)), 0.2)
        verdicts: torch.Tensor = self.verdict(h)
        return verdicts


def hinge_loss(real: torch.Tensor, made: torch.Tensor) -> torch.Tensor:
    """Hinge loss of a judge from its verdicts on real and on made frames."""
    return relu(1 - real.float()).mean() + relu(1 + made.float()).mean()
