"""Stub of a video autoencoder for measuring speed, and for tests without weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from li_env.accel.world import DecodeStream

PIXELS = 16
"""Video pixels per latent pixel along each side."""

FRAMES = 4
"""Frames per latent, but for the first of a video, which is one frame."""

COLOURS = 3


class StubCodec:
    """A latent pixel is a block of colour: the first three channels are its mean colour in [-1, 1], the others 0.

    Args:
        channels: of a latent.
        device: of latents.
    """

    def __init__(self, channels: int, device: torch.device) -> None:
        self._channels, self._device = channels, device

    def encode_image(self, image: np.ndarray) -> torch.Tensor:
        """Encode an image uint8 [H, W, 3] to a latent [C, H / 16, W / 16]."""
        pixels = torch.from_numpy(np.ascontiguousarray(image)).to(self._device).float() / 127.5 - 1
        colours = torch.nn.functional.avg_pool2d(pixels.permute(2, 0, 1), PIXELS)
        latent = torch.zeros((self._channels, *colours.shape[1:]), device=self._device)
        latent[:COLOURS] = colours
        return latent

    def encode_still(self, image: np.ndarray) -> torch.Tensor:
        """Encode an image as `encode_image`: every latent of a still video is the same."""
        return self.encode_image(image)

    def encoder_key(self) -> str:
        return ""

    def decode_batch(
        self, latents: Sequence[torch.Tensor], streams: Sequence[DecodeStream]
    ) -> tuple[list[np.ndarray], list[DecodeStream]]:
        """Decode latents [T, C, h, w] to frames uint8: four per latent, one of the first latent of a video."""
        return [self._frames(part, stream is None) for part, stream in zip(latents, streams, strict=True)], [
            True for _ in streams
        ]

    def _frames(self, latents: torch.Tensor, first: bool) -> np.ndarray:
        colours = (latents[:, :COLOURS].float().clamp(-1, 1) + 1) * 127.5
        pictures = colours.round().to(torch.uint8).permute(0, 2, 3, 1)
        for axis in (1, 2):
            pictures = pictures.repeat_interleave(PIXELS, dim=axis)
        frames = pictures.repeat_interleave(FRAMES, dim=0)
        return frames[FRAMES - 1 if first else 0 :].cpu().numpy()


def coloured_blocks(grid: tuple[int, int]) -> np.ndarray:
    """Make two start frames uint8 [2, H, W, 3] of random colours, one per latent pixel of this ``grid``."""
    blocks = np.random.default_rng(0).integers(0, 256, (2, *grid, COLOURS), dtype=np.uint8)
    return blocks.repeat(PIXELS, axis=1).repeat(PIXELS, axis=2)
