import torch

from li_env.worlds.freedoom.autoencoder import Autoencoder, AutoencoderConfig, to_frames, to_pixels


def test_shapes_and_normalised_latents() -> None:
    torch.manual_seed(0)
    model = Autoencoder(AutoencoderConfig())
    frames = torch.randint(0, 256, (2, 96, 128, 3), dtype=torch.uint8)
    with torch.no_grad():
        latents = model.encode(frames)
        decoded = model.decode(latents)
    assert latents.shape == (2, 64, 6, 8)
    torch.testing.assert_close(latents.mean(1), torch.zeros(2, 6, 8), atol=1e-5, rtol=0)
    torch.testing.assert_close(latents.var(1, unbiased=False), torch.ones(2, 6, 8), atol=1e-3, rtol=0)
    assert decoded.shape == frames.shape and decoded.dtype == torch.uint8


def test_pixels_round_trip_exactly() -> None:
    frames = torch.arange(256, dtype=torch.uint8).repeat(1, 3, 3)[..., None].repeat(1, 1, 1, 3)
    assert torch.equal(to_frames(to_pixels(frames)), frames)


def test_pixels_beyond_the_range_are_clamped() -> None:
    extreme = torch.tensor([-7.0, 7.0]).view(1, 1, 1, 2).expand(1, 3, 1, 2)
    assert to_frames(extreme).flatten().tolist() == [0, 0, 0, 255, 255, 255]
