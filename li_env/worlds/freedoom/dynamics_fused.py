"""Fused inference path of the freedoom world's dynamics, and the choice between execution modes."""

from __future__ import annotations

from typing import Literal

import torch

from li_env.kernels.backend import uses_triton
from li_env.worlds.common.step_reuse import StepReuse
from li_env.worlds.common.tile_attention import SparseAttention
from li_env.worlds.common.transformer_fused import Context, context_pass, denoise
from li_env.worlds.freedoom.dynamics import Cameras, DynamicsModel

Execution = Literal["plain", "fused", "graphs"]
EXECUTIONS: tuple[Execution, ...] = ("plain", "fused", "graphs")


class FusedDynamics:
    """Fused inference path of `DynamicsModel`: the same function up to rounding.

    Args:
        model: whose weights are used.
    """

    def __init__(self, model: DynamicsModel) -> None:
        self._model = model

    def context_pass(
        self, latents: torch.Tensor, sigma: torch.Tensor, cameras: Cameras, sparse: SparseAttention | None = None
    ) -> Context:
        tokens, tiles = self._model.tokens(latents, cameras), None if sparse is None else sparse.context
        # Branches of the context are made once for all denoising calls: a world this small has the memory for them.
        return context_pass(self._model.transformer, tokens, sigma * 1000, cameras.tables, tiles=tiles, keep=True)

    def __call__(
        self,
        noisy: torch.Tensor,
        sigma: torch.Tensor,
        cameras: Cameras,
        context: Context | None,
        sparse: SparseAttention | None = None,
        reuse: StepReuse | None = None,
    ) -> torch.Tensor:
        tokens, tiles = self._model.tokens(noisy, cameras), None if sparse is None else sparse.denoising
        model, time = self._model.transformer, sigma * 1000
        return denoise(model, tokens, time, cameras.tables, context, tiles=tiles, reuse=reuse)


def is_fast(device: torch.device) -> bool:
    """Return whether the device has bfloat16 and runs the Triton kernels (compute capability 8.0 or newer)."""
    return device.type == "cuda" and uses_triton(device)
