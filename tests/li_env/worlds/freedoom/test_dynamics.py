import pytest
import torch

from li_env.worlds.common.transformer import TransformerConfig
from li_env.worlds.freedoom.dynamics import LATENT_CHANNELS, Cameras, DynamicsModel
from li_env.worlds.freedoom.geometry import FEATURES, relative_planar
from li_env.worlds.freedoom.sampler import sample_chunk

TOKENS = 48


@pytest.fixture(scope="module")
def model() -> DynamicsModel:
    torch.manual_seed(0)
    config = TransformerConfig(LATENT_CHANNELS + FEATURES, LATENT_CHANNELS, 128, 2, 3, modulation="shared")
    model = DynamicsModel(config)
    for parameter in model.parameters():  # zero-initialised layers would hide mistakes
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.05)
    return model.requires_grad_(False)


def cameras(frames: int, first_slot: int, seed: int = 1) -> Cameras:
    planar = torch.randn(2, frames, 3, generator=torch.Generator().manual_seed(seed))
    return Cameras.of(planar, torch.arange(first_slot, first_slot + frames), (6, 8))


def test_context_pass_leaves_the_keys_and_values_of_a_full_pass(model: DynamicsModel) -> None:
    latents, levels, views = torch.randn(2, 8, TOKENS, LATENT_CHANNELS), torch.zeros(2, 8), cameras(8, -8)
    caches = model.context_pass(latents, levels, views)
    transformer = model.transformer
    z, vector, _ = transformer.embed(torch.cat((latents, views.features), dim=-1), levels * 1000, None)
    for block, cache in zip(transformer.double_blocks, caches, strict=True):
        z, own = block(z, vector, views.tables, None)
        for ours, expected in zip(cache, own, strict=True):
            torch.testing.assert_close(ours, expected)


def test_one_step_is_the_clean_prediction(model: DynamicsModel) -> None:
    noise, views = torch.randn(2, 4, TOKENS, LATENT_CHANNELS), cameras(4, 0)
    expected = model(noise, torch.ones(2, 4), views, None)
    torch.testing.assert_close(sample_chunk(model, noise, None, (1.0, 0.0), views, None), expected)


class LinearPrediction(torch.nn.Module):
    """Predicts ``sigma * slope`` whatever it is shown."""

    slope = 2.0

    def forward(self, x, levels, cameras, context, sparse):  # type: ignore[no-untyped-def]
        return torch.full_like(x, self.slope) * levels[..., None, None]


def test_steps_continue_the_prediction_linearly() -> None:
    """Use the value halfway to 0 in the last step if the prediction falls linearly with sigma."""
    noise = torch.randn(1, 4, TOKENS, LATENT_CHANNELS)
    out = sample_chunk(LinearPrediction(), noise, None, (1.0, 0.5, 0.0), cameras(4, 0), None)  # type: ignore[arg-type]
    torch.testing.assert_close(out, torch.full_like(noise, 0.25 * LinearPrediction.slope))


def test_known_first_frame_is_kept_and_seen(model: DynamicsModel) -> None:
    noise, views = torch.randn(2, 4, TOKENS, LATENT_CHANNELS), cameras(4, 0)
    known = torch.randn(2, 1, TOKENS, LATENT_CHANNELS)
    sigmas = (1.0, 0.5, 0.0)
    out = sample_chunk(model, noise, known, sigmas, views, None)
    assert torch.equal(out[:, :1], known)
    other = sample_chunk(model, noise, known + 1, sigmas, views, None)
    assert (other[:, 1:] - out[:, 1:]).abs().max() > 1e-3


def test_context_and_its_noise_label_matter(model: DynamicsModel) -> None:
    noise, views = torch.randn(2, 4, TOKENS, LATENT_CHANNELS), cameras(4, 0)
    latents = torch.randn(2, 4, TOKENS, LATENT_CHANNELS)

    def sample(context: torch.Tensor, level: float) -> torch.Tensor:
        cache = model.context_pass(context, torch.full((2, 4), level), cameras(4, -4, seed=2))
        return sample_chunk(model, noise, None, (1.0, 0.0), views, cache)

    base = sample(latents, 0.0)
    assert (sample(latents.flip(0), 0.0) - base).abs().max() > 1e-3
    assert (sample(latents, 0.3) - base).abs().max() > 1e-4


def test_batch_entries_do_not_mix(model: DynamicsModel) -> None:
    torch.manual_seed(3)
    planar = torch.randn(2, 4, 3)
    planar = relative_planar(planar, planar[:, :1])
    noise = torch.randn(2, 4, TOKENS, LATENT_CHANNELS)
    both = sample_chunk(model, noise, None, (1.0, 0.5, 0.0), model.cameras(planar, torch.arange(4)), None)
    for index in range(2):
        part = slice(index, index + 1)
        alone = sample_chunk(
            model, noise[part], None, (1.0, 0.5, 0.0), model.cameras(planar[part], torch.arange(4)), None
        )
        torch.testing.assert_close(alone, both[part], atol=1e-4, rtol=1e-4)
