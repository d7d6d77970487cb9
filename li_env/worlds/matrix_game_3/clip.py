"""One clip from its conditions: the step that the environment and the comparison with the original share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from li_env.worlds.common.step_reuse import StepReuse
from li_env.worlds.matrix_game_3.layout import TokenLayout
from li_env.worlds.matrix_game_3.model import ClipConditions, MatrixGame3Model
from li_env.worlds.matrix_game_3.sampler import sample, timestep_of


def generate_clip(
    model: MatrixGame3Model,
    conditions: ClipConditions,
    layout: TokenLayout,
    known: torch.Tensor,
    noise: torch.Tensor,
    sigmas: Sequence[float],
    reuse: StepReuse | None = None,
) -> torch.Tensor:
    """Denoise the new latents of B clips of one shape.

    The original denoises the given latents along with the new ones and overwrites them after every step; nothing of
    that is ever read, so here they only serve as context.

    Args:
        model: the transformer.
        conditions: what controls the clip.
        layout: of its tokens; best one that drops all given latents.
        known: [B, M + K, C, h, w], memory and given latents.
        noise: [B, n, C, h, w], standard normal.
        sigmas: noise levels, decreasing to 0.
        reuse: which of the model calls run their blocks; None for all.

    Returns:
        [B, n, C, h, w] in the model's type.
    """
    cache = model.prepare(conditions, layout)
    dense = replace(cache, layout=layout.all_dense())
    known, first = known.to(model.dtype), sigmas[: layout.attention.dense_steps]

    def velocity(x: torch.Tensor, sigma: float) -> torch.Tensor:
        own = dense if sigma in first else cache
        out = model(torch.cat((known, x), dim=1), timestep_of(sigma, x.dtype), own, reuse)
        return out[:, out.shape[1] - x.shape[1] :]

    return sample(velocity, noise.to(model.dtype), sigmas)
