"""The benchmark of the autoencoder: its stub has the published layers, and a toy run measures everything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

from tests.benchmark_scripts import benchmark_script


@pytest.fixture(scope="module")
def benchmark_module() -> Iterator[ModuleType]:
    with benchmark_script("hy_worldplay_vae_h200") as module:
        yield module


def test_stub_has_the_published_layers(benchmark_module: ModuleType) -> None:
    diffusers = pytest.importorskip("diffusers")
    with torch.device("meta"):
        ours = benchmark_module.Decoder(benchmark_module.Sizes())
        theirs = diffusers.AutoencoderKLHunyuanVideo15().decoder
    found = {name: tuple(value.shape) for name, value in ours.state_dict().items()}
    assert found == {name: tuple(value.shape) for name, value in theirs.state_dict().items()}


def test_toy_run(benchmark_module: ModuleType, tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    benchmark_module.main(["--tiny", "--device", "cpu", "--repeats", "1", "--out", str(out)])
    result = json.loads(out.read_text(encoding="utf-8"))
    assert [entry["episodes"] for entry in result["decode"]] == [1, 2]
    assert all(entry["chunk_ms"] > 0 and entry["largest_difference_of_255"] <= 1 for entry in result["decode"])
    assert len(result["layers"]) == 11 and all(layer["torch_ms"] > 0 for layer in result["layers"])
