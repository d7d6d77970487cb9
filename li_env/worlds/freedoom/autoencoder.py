"""Frame autoencoder of the freedoom world: 96x128 RGB <-> 6x8 tokens of 64 channels (16x in each direction).

Every token is normalised over its channels (LayerNorm without weights), so that latents have a fixed scale and the
diffusion model needs no statistics.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import layer_norm, pixel_shuffle, pixel_unshuffle, silu


@dataclass(frozen=True)
class AutoencoderConfig:
    """Channels at 1/4, 1/8 and 1/16 (encoder) and 1/2, 1/4, 1/8, 1/16 (decoder) of the frame."""

    latent_channels: int = 64
    encoder: tuple[int, int, int] = (64, 128, 224)
    decoder: tuple[int, int, int, int] = (48, 96, 160, 256)
    decoder_blocks: tuple[int, int, int, int] = (2, 2, 2, 1)


class ResidualBlock(nn.Module):
    """GroupNorm, SiLU, 3x3 convolution, twice, plus the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(channels // 16, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm2 = nn.GroupNorm(channels // 16, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.conv1(silu(self.norm1(x)))
        out: torch.Tensor = x + self.conv2(silu(self.norm2(h)))
        return out


class Encoder(nn.Module):
    """Frames -> latents, three levels after a 4x space-to-depth."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        fine, middle, coarse = config.encoder
        self.stem = nn.Conv2d(48, fine, 3, padding=1)
        self.levels = nn.Sequential(
            ResidualBlock(fine),
            nn.Conv2d(fine, middle, 2, stride=2),
            ResidualBlock(middle),
            nn.Conv2d(middle, coarse, 2, stride=2),
            ResidualBlock(coarse),
            nn.GroupNorm(coarse // 16, coarse),
            nn.SiLU(),
            nn.Conv2d(coarse, config.latent_channels, 3, padding=1),
        )

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Encode pixels [B, 3, H, W] in [-1, 1] to latents [B, C, H/16, W/16], normalised per token."""
        h = self.levels(self.stem(pixel_unshuffle(pixels, 4)))
        return layer_norm(h.permute(0, 2, 3, 1).float(), h.shape[1:2]).permute(0, 3, 1, 2)


class Decoder(nn.Module):
    """Latents -> frames; every level doubles the resolution by a pixel shuffle."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.stem = nn.Conv2d(config.latent_channels, config.decoder[-1], 3, padding=1)
        self.blocks = nn.ModuleList()
        self.ups = nn.ModuleList()
        for level in reversed(range(4)):
            channels = config.decoder[level]
            self.blocks.append(nn.Sequential(*(ResidualBlock(channels) for _ in range(config.decoder_blocks[level]))))
            target = config.decoder[level - 1] if level else 3
            self.ups.append(nn.Conv2d(channels, 4 * target, 3 if level == 0 else 1, padding=1 if level == 0 else 0))

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        """Decode latents [B, C, h, w] to pixels [B, 3, 16h, 16w], about [-1, 1] (not clamped)."""
        h = self.stem(latents)
        for blocks, up in zip(self.blocks, self.ups, strict=True):
            h = pixel_shuffle(up(blocks(h)), 2)
        return h


class Autoencoder(nn.Module):
    """Encoder and decoder of single frames."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)

    def encode(self, frames: torch.Tensor) -> torch.Tensor:
        """Encode frames uint8 [B, H, W, 3] to latents [B, C, H/16, W/16] float32."""
        latents: torch.Tensor = self.encoder(to_pixels(frames, self.encoder.stem.weight.dtype))
        return latents

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Decode latents [B, C, h, w] to frames uint8 [B, 16h, 16w, 3]."""
        return to_frames(self.decoder(latents.to(self.decoder.stem.weight.dtype)))


def to_pixels(frames: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Convert frames uint8 [B, H, W, 3] to pixels [B, 3, H, W] in [-1, 1]."""
    return frames.permute(0, 3, 1, 2).to(dtype) / 127.5 - 1


def to_frames(pixels: torch.Tensor) -> torch.Tensor:
    """Convert pixels [B, 3, H, W] in [-1, 1] (clamped) to frames uint8 [B, H, W, 3]."""
    return ((pixels.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
