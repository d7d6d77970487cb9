"""Readable torch version."""

from __future__ import annotations

import torch

from li_env.kernels.rotary import apply_rotary


def naive_split_branches(
    x: torch.Tensor,
    out: torch.Tensor,
    matrices: torch.Tensor,
    frames: torch.Tensor,
    rotation: tuple[torch.Tensor, torch.Tensor] | None,
    weight: torch.Tensor | None,
) -> None:
    """Compute `split_branches` in readable torch."""
    batch, heads, _, width = out.shape
    heads_first = x.unflatten(-1, (heads, width)).transpose(1, 2)
    if weight is not None:
        exact = heads_first.float()
        normed = exact * torch.rsqrt(exact.square().mean(-1, keepdim=True) + 1e-6)
        heads_first = normed.to(x.dtype) * weight.to(x.dtype)
    if rotation is not None and rotation[0].ndim == 3:
        rotation = rotation[0][:, None], rotation[1][:, None]
    out[: batch // 2] = heads_first if rotation is None else apply_rotary(heads_first, *rotation)
    out[batch // 2 :] = _project(heads_first, matrices, frames)


def naive_join_branches(attended: torch.Tensor, matrices: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
    """Compute `join_branches` in readable torch."""
    rotated, projected = attended.chunk(2)
    both = torch.stack((rotated, _project(projected, matrices, frames)))
    return both.transpose(2, 3).flatten(3)


def _project(x: torch.Tensor, matrices: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
    """Multiply groups of four channels of x [B, H, S, D] by the matrix of the token's frame, in float32."""
    grouped = x.float().unflatten(-1, (-1, 4))
    product = torch.einsum("bhsgj,bsij->bhsgi", grouped, matrices[:, frames])
    return product.flatten(-2).to(x.dtype)
