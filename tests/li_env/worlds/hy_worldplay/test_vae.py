"""The streaming autoencoder against the original's numbers, and its streams."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from li_env.worlds.hy_worldplay.vae import StreamingVAE, diffusers_name
from tests.oracle import load_oracle, oracle_folder

ORACLE = "hy_worldplay_vae_tiny"
needs_oracle = pytest.mark.skipif(
    not (oracle_folder() / f"{ORACLE}.safetensors").is_file(), reason=f"{ORACLE} is not in LI_ENV_ORACLES"
)


def build(config: dict[str, Any]) -> Any:
    diffusers = pytest.importorskip("diffusers")
    torch.manual_seed(0)
    return diffusers.AutoencoderKLHunyuanVideo15(
        latent_channels=config["latent_channels"],
        block_out_channels=tuple(config["block_out_channels"]),
        layers_per_block=config["layers_per_block"],
        spatial_compression_ratio=config["spatial"],
        temporal_compression_ratio=config["temporal"],
        scaling_factor=config.get("scaling_factor", 1.0),
    )


@pytest.fixture(scope="module")
def oracle() -> tuple[StreamingVAE, dict[str, torch.Tensor], float]:
    description, arrays = load_oracle(ORACLE)
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    vae = build(description["config"])
    prefix = "weights/"
    weights = {
        diffusers_name(name.removeprefix(prefix)): tensor for name, tensor in tensors.items() if name.startswith(prefix)
    }
    vae.load_state_dict(weights, strict=True)
    return StreamingVAE(vae), tensors, description["tolerance"]


@pytest.fixture(scope="module")
def tiny() -> StreamingVAE:
    config = {"latent_channels": 4, "block_out_channels": [8, 8, 8, 16, 16], "layers_per_block": 1}
    return StreamingVAE(build(config | {"spatial": 16, "temporal": 4, "scaling_factor": 1.25}))


@needs_oracle
@torch.no_grad()
@pytest.mark.parametrize("sizes", [None, 1, 2, 3])
def test_streamed_decode_matches_oracle(oracle: Any, sizes: int | None) -> None:
    vae, tensors, tolerance = oracle
    latents, caches, videos = tensors["in/z"], None, []
    for part in latents.split(sizes or latents.shape[2], dim=2):
        video, caches = vae.decode_video(part, caches)
        videos.append(video)
    torch.testing.assert_close(torch.cat(videos, 2), tensors["out/decode_cached"], rtol=0, atol=tolerance)


@needs_oracle
@torch.no_grad()
def test_all_frames_at_once_match_oracle(oracle: Any) -> None:
    vae, tensors, tolerance = oracle
    found = vae.vae.decode(tensors["in/z"]).sample
    torch.testing.assert_close(found, tensors["out/decode_full"], rtol=0, atol=tolerance)
    if found.shape[2] > 1:  # what the streaming decoder is for
        assert (found - tensors["out/decode_cached"]).abs().max() > 10 * tolerance


@needs_oracle
@torch.no_grad()
def test_image_encode_matches_oracle(oracle: Any) -> None:
    vae, tensors, tolerance = oracle
    found = vae.vae.encode(tensors["in/image"]).latent_dist.mode()
    torch.testing.assert_close(found, tensors["out/encode_mode"], rtol=0, atol=tolerance)


def test_encode_image_scales_pixels_and_latent(tiny: StreamingVAE) -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    video = torch.from_numpy(image).permute(2, 0, 1)[None, :, None] / 255 * 2 - 1
    with torch.no_grad():
        expected = tiny.vae.encode(video).latent_dist.mode()[0, :, 0] * 1.25
    torch.testing.assert_close(tiny.encode_image(image), expected)


def test_decode_undoes_the_scaling(tiny: StreamingVAE) -> None:
    latents = torch.randn(1, 4, 1, 2, 3)
    with torch.no_grad():
        expected = tiny.vae.decode(latents / 1.25).sample
    torch.testing.assert_close(tiny.decode_video(latents, None)[0], expected, rtol=0, atol=1e-5)


def test_frames_and_forks(tiny: StreamingVAE) -> None:
    first, second, other = torch.randn(3, 4, 4, 2, 3)
    frames, stream = tiny.decode(first, None)
    assert frames.shape == (13, 32, 48, 3) and frames.dtype == np.uint8
    kept = [cache.clone() for cache in stream.caches]
    once, _ = tiny.decode(second, stream)
    assert once.shape == (16, 32, 48, 3)
    tiny.decode(other, stream)
    assert all(torch.equal(cache, copy) for cache, copy in zip(stream.caches, kept, strict=True))
    again, _ = tiny.decode(second, stream)
    np.testing.assert_array_equal(once, again)


def test_batched_episodes_do_not_mix(tiny: StreamingVAE) -> None:
    chunks = list(torch.randn(3, 4, 4, 2, 3))
    begun = [tiny.decode(chunk, None)[1] for chunk in chunks[:2]]
    streams = [begun[0], None, begun[1]]
    frames, after = tiny.decode_batch(chunks, streams)
    for chunk, stream, found, rest in zip(chunks, streams, frames, after, strict=True):
        alone, expected = tiny.decode(chunk, stream)
        assert np.abs(found.astype(int) - alone).max() <= 1
        for ours, theirs in zip(rest.caches, expected.caches, strict=True):
            assert ours.shape == theirs.shape and ours.untyped_storage().nbytes() == ours.numel() * 4
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_latents_of_a_wrong_shape_are_named(tiny: StreamingVAE) -> None:
    with pytest.raises(ValueError, match=r"latents: shape \(0, 4, 2, 3\); allowed: \[T, C, h, w\] with T >= 1"):
        tiny.decode(torch.zeros(0, 4, 2, 3), None)
