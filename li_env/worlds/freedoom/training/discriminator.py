"""Judge of generated chunks: a small transformer of the same blocks with one verdict per token."""

from __future__ import annotations

import torch
from torch import nn

from li_env.worlds.common.transformer import TransformerConfig, VideoTransformer
from li_env.worlds.freedoom.dynamics import LATENT_CHANNELS, Cameras
from li_env.worlds.freedoom.geometry import FEATURES


class Discriminator(nn.Module):
    """Real or generated, judged on the latents of one chunk and its cameras; higher means more real."""

    def __init__(self, hidden_size: int = 256, depth: int = 4) -> None:
        super().__init__()
        config = TransformerConfig(
            in_channels=LATENT_CHANNELS + FEATURES,
            out_channels=1,
            hidden_size=hidden_size,
            heads=hidden_size // 64,
            depth=depth,
            modulation="shared",
        )
        self.transformer = VideoTransformer(config)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.7 * module.in_features**-0.5)
                nn.init.zeros_(module.bias)

    def forward(self, latents: torch.Tensor, cameras: Cameras) -> torch.Tensor:
        """Judge latents [B, T, n, C]: verdicts [B, T, n]."""
        tokens = torch.cat((latents, cameras.features.to(latents.dtype)), dim=-1)
        time = torch.zeros(latents.shape[:2], device=latents.device)
        verdicts: torch.Tensor = self.transformer(tokens, time, cameras.tables)[..., 0]
        return verdicts.float()
