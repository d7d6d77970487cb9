"""The freedoom world's dynamics: the shared video transformer with planar cameras and clean-latent prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from li_env.worlds.common.block_reuse import BlockReuse
from li_env.worlds.common.step_reuse import StepReuse
from li_env.worlds.common.tile_attention import SparseAttention
from li_env.worlds.common.transformer import BlockCache, CameraTables, TransformerConfig, VideoTransformer
from li_env.worlds.freedoom.geometry import FEATURES, camera_tables, token_features
from li_env.worlds.freedoom.sizes import SMALL

LATENT_CHANNELS = 64


def default_transformer() -> TransformerConfig:
    """Return the shape of the model of every size: 15.7 M parameters, 8 blocks of width 384, 6 heads."""
    return TransformerConfig(
        in_channels=LATENT_CHANNELS + FEATURES,
        out_channels=LATENT_CHANNELS,
        hidden_size=384,
        heads=6,
        depth=8,
        mlp_ratio=3.5,
        modulation="shared",
    )


@dataclass(frozen=True)
class Cameras:
    """Features and tables of T latents seen from the chunk's reference camera."""

    features: torch.Tensor
    tables: CameraTables = field(repr=False)

    @classmethod
    def of(cls, planar: torch.Tensor, slots: torch.Tensor, grid: tuple[int, int]) -> Cameras:
        """Make cameras from planar poses and time slots.

        ``planar`` is [B, T, 3] (x, z in metres, yaw in radians), ``slots`` [T] is relative to the chunk, ``grid`` has
        the (rows, columns) of tokens.
        """
        return cls(token_features(planar, grid), camera_tables(planar, slots, grid))


class DynamicsModel(nn.Module):
    """Predicts clean latents of the current chunk from noisy ones, cameras and a context.

    Latents are tokens [B, T, n, C] here. Noise follows the straight path ``x_sigma = (1 - sigma) x + sigma noise``.

    Args:
        config: shape of the transformer; `default_transformer` by default.
        grid: (rows, columns) of the n tokens of a latent. The weights do not depend on it.
    """

    def __init__(self, config: TransformerConfig | None = None, grid: tuple[int, int] = SMALL.token_grid) -> None:
        super().__init__()
        self.grid = grid
        self.config = config or default_transformer()
        self.transformer = VideoTransformer(self.config)
        self._initialize()

    def _initialize(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=module.in_features**-0.5)
                nn.init.zeros_(module.bias)
        # Blocks start as the identity and the output at zero, the usual start of a diffusion transformer.
        if self.config.modulation == "shared":
            nn.init.zeros_(self.transformer.img_mod.linear.weight)
        nn.init.zeros_(self.transformer.final_layer.linear.weight)
        last: nn.Linear = self.transformer.final_layer.adaLN_modulation[1]  # type: ignore[assignment]
        nn.init.zeros_(last.weight)

    def cameras(self, planar: torch.Tensor, slots: torch.Tensor) -> Cameras:
        """Make the cameras of latents of this model, see `Cameras.of`."""
        return Cameras.of(planar, slots, self.grid)

    def context_pass(
        self, latents: torch.Tensor, sigma: torch.Tensor, cameras: Cameras, sparse: SparseAttention | None = None
    ) -> list[BlockCache]:
        """Compute keys and values of context latents [B, T, n, C] with noise of level ``sigma`` [B, T] (0 = clean).

        With ``sparse`` they are in tile order, for calls of `forward` with the same ``sparse``.
        """
        tiles = None if sparse is None else sparse.context
        return self.transformer.context_pass(self.tokens(latents, cameras), sigma * 1000, cameras.tables, tiles=tiles)

    def forward(
        self,
        noisy: torch.Tensor,
        sigma: torch.Tensor,
        cameras: Cameras,
        context: Sequence[BlockCache] | None,
        sparse: SparseAttention | None = None,
        reuse: StepReuse | None = None,
        shared: BlockReuse | None = None,
    ) -> torch.Tensor:
        """Predict clean latents [B, T, n, C] from noisy ones at noise levels ``sigma`` [B, T].

        With ``shared`` blocks may be reused from the chunk before.
        """
        tiles = None if sparse is None else sparse.denoising
        tokens = self.tokens(noisy, cameras)
        return self.transformer(tokens, sigma * 1000, cameras.tables, context, tiles=tiles, reuse=reuse, shared=shared)

    def tokens(self, latents: torch.Tensor, cameras: Cameras) -> torch.Tensor:
        """Join latents [B, T, n, C] and their camera features to the tokens of the transformer."""
        return torch.cat((latents, cameras.features.to(latents.dtype)), dim=-1)
