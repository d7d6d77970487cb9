"""The fused decoder is the decoder."""

from __future__ import annotations

import pytest
import torch

from li_env.worlds.freedoom.autoencoder import AutoencoderConfig, Decoder
from li_env.worlds.freedoom.autoencoder_fused import FusedDecoder


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    torch.manual_seed(0)
    made = Decoder(AutoencoderConfig(latent_channels=8, decoder=(16, 32, 32, 48))).requires_grad_(False)
    # Every bias and norm counts: fresh ones are zero, or nearly so.
    for parameter in made.parameters():
        if parameter.ndim == 1:
            parameter.add_(0.3 * torch.randn(parameter.shape))
    return made


def test_same_function_up_to_rounding(decoder):
    latents = torch.randn(3, 8, 3, 5)
    exact = decoder.double()(latents.double())
    out = FusedDecoder(decoder.float())(latents)
    assert out.shape == (3, 3, 48, 80)
    error = (out.double() - exact).norm() / exact.norm()
    assert error < 1e-5


def test_bfloat16_is_as_exact_as_the_plain_decoder():
    torch.manual_seed(1)
    plain = Decoder(AutoencoderConfig(latent_channels=8, decoder=(16, 32, 32, 48))).requires_grad_(False)
    latents = torch.randn(2, 8, 3, 4)
    exact = plain(latents)
    half = plain.bfloat16()
    errors = [(function(latents.bfloat16()).float() - exact).norm() for function in (FusedDecoder(half), half)]
    assert errors[0] < 1.2 * errors[1]
