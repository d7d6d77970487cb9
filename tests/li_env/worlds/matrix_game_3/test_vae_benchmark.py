"""The benchmark of the autoencoder: its stubs have the published layers, and a toy run measures everything."""

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
    with benchmark_script("matrix_game_3_vae_h200") as module:
        yield module


@pytest.mark.parametrize("decoder", ["full", "light", "lighter"])
def test_stub_has_the_published_layers(benchmark_module: ModuleType, decoder: str) -> None:
    diffusers = pytest.importorskip("diffusers")
    width = benchmark_module.DECODERS[decoder]
    with torch.device("meta"):
        ours = benchmark_module.Autoencoder(benchmark_module.Sizes(width=width))
        theirs = diffusers.AutoencoderKLWan(
            base_dim=160, decoder_base_dim=width, z_dim=48, is_residual=True, in_channels=12, out_channels=12,
            patch_size=2, scale_factor_spatial=16, latents_mean=[0.0] * 48, latents_std=[1.0] * 48,
        )  # fmt: skip
    expected = {
        name: tuple(value.shape)
        for name, value in theirs.state_dict().items()
        if name.startswith(("decoder.", "post_quant_conv."))
    }
    assert {name: tuple(value.shape) for name, value in ours.state_dict().items()} == expected
    for level, published in zip(ours.decoder.up_blocks, theirs.decoder.up_blocks, strict=True):
        if published.upsampler is not None:
            assert level.upsampler.mode == published.upsampler.mode
            for name in ("factor_t", "factor_s", "repeats"):
                assert getattr(level.avg_shortcut, name) == getattr(published.avg_shortcut, name)


def test_toy_run(benchmark_module: ModuleType, tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    benchmark_module.main(["--tiny", "--device", "cpu", "--repeats", "1", "--out", str(out)])
    decoders = json.loads(out.read_text(encoding="utf-8"))["decoders"]
    assert list(decoders) == ["full", "light", "lighter"]
    for entry in decoders.values():
        assert entry["decode"]["frames"] == 40 and entry["decode"]["chunk_ms"] > 0
        assert entry["decode"]["largest_difference_of_255"] <= 1
        assert all(layer["torch_ms"] > 0 for layer in entry["layers"])
