"""The streaming autoencoder against the original's numbers, its two rules for the first latent, and its streams."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from li_env.worlds.matrix_game_3.vae import LATENT_MEAN, LATENT_STD, StreamingVAE, diffusers_name
from tests.oracle import load_oracle, oracle_folder

ORACLE = "matrix_game_3_vae_tiny"
TOLERANCE = 1e-4  # the two formulas of the norm differ by up to 4e-5
needs_oracle = pytest.mark.skipif(
    not (oracle_folder() / f"{ORACLE}.safetensors").is_file(), reason=f"{ORACLE} is not in LI_ENV_ORACLES"
)
TINY = {
    "dim": 8,
    "dec_dim": 8,
    "z_dim": 6,
    "dim_mult": [1, 2, 4, 4],
    "num_res_blocks": 1,
    "temperal_downsample": [False, True, True],
    "patch_size": 2,
}


def build(config: dict[str, Any], mean: list[float], std: list[float]) -> Any:
    diffusers = pytest.importorskip("diffusers")
    torch.manual_seed(0)
    channels = 3 * config["patch_size"] ** 2
    return diffusers.AutoencoderKLWan(
        base_dim=config["dim"],
        decoder_base_dim=config["dec_dim"],
        z_dim=config["z_dim"],
        dim_mult=config["dim_mult"],
        num_res_blocks=config["num_res_blocks"],
        temperal_downsample=config["temperal_downsample"],
        latents_mean=mean,
        latents_std=std,
        is_residual=True,
        in_channels=channels,
        out_channels=channels,
        patch_size=config["patch_size"],
        scale_factor_spatial=16,
    )


@pytest.fixture(scope="module")
def oracle() -> tuple[StreamingVAE, dict[str, torch.Tensor]]:
    description, arrays = load_oracle(ORACLE)
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    vae = build(description["config"], tensors["latent_mean"].tolist(), tensors["latent_std"].tolist())
    weights = {
        diffusers_name(name.removeprefix("weights.")): tensor
        for name, tensor in tensors.items()
        if name.startswith("weights.")
    }
    vae.load_state_dict(weights, strict=True)
    return StreamingVAE(vae, first_latent="double"), tensors


@pytest.fixture(scope="module", params=[8, 4], ids=["full", "light"])
def tiny(request: pytest.FixtureRequest) -> StreamingVAE:
    config = TINY | {"dec_dim": request.param}
    return StreamingVAE(build(config, [0.1, -0.2, 0.3, 0.0, 0.5, -0.4], [1.0, 1.5, 0.5, 2.0, 0.8, 1.2]))


def stream_parts(tensors: dict[str, torch.Tensor], kind: str) -> list[torch.Tensor]:
    """Return inputs (``z``) or outputs (``out``) of the streaming calls, in their order."""
    numbers = sorted(int(name[len(f"stream.{kind}") :]) for name in tensors if name.startswith(f"stream.{kind}"))
    return [tensors[f"stream.{kind}{number}"] for number in numbers]


@needs_oracle
@torch.no_grad()
def test_streamed_decode_matches_oracle(oracle: Any) -> None:
    vae, tensors = oracle
    caches = None
    for latents, expected in zip(stream_parts(tensors, "z"), stream_parts(tensors, "out"), strict=True):
        video, caches = vae.decode_video(latents, caches)
        torch.testing.assert_close(video.clamp(-1, 1), expected, rtol=0, atol=TOLERANCE)


@needs_oracle
@torch.no_grad()
def test_decode_in_one_call_matches_oracle(oracle: Any) -> None:
    vae, tensors = oracle
    video, _ = vae.decode_video(torch.cat(stream_parts(tensors, "z"), dim=2), None)
    torch.testing.assert_close(video[0].clamp(-1, 1), tensors["decode_full.out"], rtol=0, atol=TOLERANCE)


@needs_oracle
def test_encode_matches_oracle(oracle: Any) -> None:
    vae, tensors = oracle
    pairs = {"encode.image": "encode.latent", "encode.video": "encode.video_latent"}
    for given in [name for name in pairs if name in tensors]:
        found = vae.encode_video(tensors[given][None])[0]
        torch.testing.assert_close(found, tensors[pairs[given]], rtol=0, atol=TOLERANCE)
    assert pairs.keys() & tensors.keys()


@torch.no_grad()
@pytest.mark.parametrize("sizes", [[2, 1, 2], [1, 1, 3], [5]])
def test_bypass_is_the_rule_of_diffusers(tiny: StreamingVAE, sizes: list[int]) -> None:
    latents = torch.randn(2, 6, 5, 2, 3)
    expected = tiny.vae.decode(latents * tiny.std + tiny.mean).sample
    caches, videos = None, []
    for part in latents.split(sizes, dim=2):
        video, caches = tiny.decode_video(part, caches)
        videos.append(video)
    torch.testing.assert_close(torch.cat(videos, 2).clamp(-1, 1), expected, rtol=0, atol=1e-5)


@torch.no_grad()
def test_the_rules_differ_only_by_what_the_first_latent_leaves_behind(tiny: StreamingVAE) -> None:
    other = StreamingVAE(tiny.vae, first_latent="double")
    latents = torch.randn(1, 6, 3, 2, 3)
    ours, theirs = (vae.decode_video(latents, None)[0] for vae in (tiny, other))
    assert ours.shape == theirs.shape == (1, 3, 9, 32, 48)
    assert (ours - theirs).abs().max() > 1e-3


def test_an_unknown_rule_is_named(tiny: StreamingVAE) -> None:
    with pytest.raises(ValueError, match="first_latent='skip' is unknown; allowed: bypass, double"):
        StreamingVAE(tiny.vae, first_latent="skip")  # type: ignore[arg-type]


def test_encode_image_scales_pixels(tiny: StreamingVAE) -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    video = torch.from_numpy(image).permute(2, 0, 1)[None, :, None] / 255 * 2 - 1
    torch.testing.assert_close(tiny.encode_image(image), tiny.encode_video(video)[0, :, 0])


def test_frames_forks_and_batches(tiny: StreamingVAE) -> None:
    first, second, other = torch.randn(3, 3, 6, 2, 3)
    frames, stream = tiny.decode(first, None)
    assert frames.shape == (9, 32, 48, 3) and frames.dtype == np.uint8
    kept = [cache.clone() for cache in stream.caches]
    once, _ = tiny.decode(second, stream)
    assert once.shape == (12, 32, 48, 3)
    tiny.decode(other, stream)
    assert all(torch.equal(cache, copy) for cache, copy in zip(stream.caches, kept, strict=True))
    _, begun = tiny.decode(other, None)
    together, _ = tiny.decode_batch([second, first, second], [stream, None, begun])
    assert np.abs(together[0].astype(int) - once).max() <= 1
    assert np.abs(together[1].astype(int) - frames).max() <= 1
    assert np.abs(together[2].astype(int) - tiny.decode(second, begun)[0]).max() <= 1


@needs_oracle
def test_latent_statistics_are_the_published_ones() -> None:
    _, arrays = load_oracle(ORACLE)
    np.testing.assert_allclose(LATENT_MEAN, arrays["latent_mean"], atol=1e-6)
    np.testing.assert_allclose(LATENT_STD, arrays["latent_std"], atol=1e-6)
