"""The benchmark of the autoencoder: its stand-in has the published layers, and a toy run measures everything."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

SCRIPT = Path(__file__).parents[4] / "benchmarks" / "hy_worldplay_vae_h200.py"


@pytest.fixture(scope="module")
def benchmark_script() -> ModuleType:
    sys.path.insert(0, str(SCRIPT.parent))  # as when it is run as a script
    spec = importlib.util.spec_from_file_location("hy_worldplay_vae_h200", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    sys.path.remove(str(SCRIPT.parent))
    return module


def test_stand_in_has_the_published_layers(benchmark_script: ModuleType) -> None:
    diffusers = pytest.importorskip("diffusers")
    with torch.device("meta"):
        ours = benchmark_script.Decoder(benchmark_script.Sizes())
        theirs = diffusers.AutoencoderKLHunyuanVideo15().decoder
    found = {name: tuple(value.shape) for name, value in ours.state_dict().items()}
    assert found == {name: tuple(value.shape) for name, value in theirs.state_dict().items()}


def test_toy_run(benchmark_script: ModuleType, tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    benchmark_script.main(["--tiny", "--device", "cpu", "--repeats", "1", "--out", str(out)])
    result = json.loads(out.read_text(encoding="utf-8"))
    assert [entry["episodes"] for entry in result["decode"]] == [1, 2]
    assert all(entry["chunk_ms"] > 0 and entry["largest_difference_of_255"] <= 1 for entry in result["decode"])
    assert len(result["layers"]) == 11 and all(layer["torch_ms"] > 0 for layer in result["layers"])
