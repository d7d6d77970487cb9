"""Batched rollouts on a training device: many episodes on known trajectories, the model's own latents as context."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from li_env.worlds.common.transformer import BlockCache
from li_env.worlds.freedoom.dynamics import Cameras, DynamicsModel
from li_env.worlds.freedoom.geometry import relative_planar
from li_env.worlds.freedoom.sampler import sample_chunk
from li_env.worlds.freedoom.training.store import GROUP, Window, retrieve


def window_at(chunk: int, recent: int, memory: int) -> Window:
    """Return the context of chunk ``chunk`` under a budget: all while it fits, then ``recent`` plus ``memory``."""
    past = chunk * GROUP
    if past <= recent + memory:
        return Window(past if memory else min(past, recent), 0)
    return Window(recent, memory)


def chunk_context(
    model: DynamicsModel,
    latents: torch.Tensor,
    poses: torch.Tensor,
    chunk: int,
    window: Window,
    label: float,
) -> list[BlockCache] | None:
    """Run the context pass of chunk ``chunk`` after finished ``latents`` [B, >= 4 chunk, n, C] at ``poses``."""
    if window.context == 0:
        return None
    size, device = len(latents), latents.device
    start = torch.full((size,), chunk * GROUP, device=device)
    indices = start[:, None] - torch.arange(window.recent, 0, -1, device=device)
    if window.retrieved:
        groups = retrieve(poses, start, window, None)
        memory = (groups[..., None] * GROUP + torch.arange(GROUP, device=device)).flatten(1)
        indices = torch.cat((memory, indices), dim=1).sort(dim=1).values
    rows = torch.arange(size, device=device)[:, None]
    reference = poses[:, chunk * GROUP - 1, None]
    cameras = Cameras.of(
        relative_planar(poses[rows, indices], reference), torch.arange(-window.context, 0, device=device)
    )
    levels = torch.full(indices.shape, label, device=device)
    return model.context_pass(latents[rows, indices], levels, cameras)


def chunk_cameras(poses: torch.Tensor, chunk: int) -> Cameras:
    """Return cameras of the chunk's own latents, seen from the newest finished one (or the first, in chunk 0)."""
    begin = chunk * GROUP
    reference = poses[:, max(begin - 1, 0), None]
    return Cameras.of(
        relative_planar(poses[:, begin : begin + GROUP], reference), torch.arange(GROUP, device=poses.device)
    )


@torch.no_grad()
def roll_out(
    model: DynamicsModel,
    first: torch.Tensor,
    poses: torch.Tensor,
    chunks: int,
    sigmas: Sequence[float],
    generator: torch.Generator,
    recent: int = 12,
    memory: int = 8,
    label: float = 0.0,
    real: torch.Tensor | None = None,
    real_chunks: int = 0,
) -> torch.Tensor:
    """Generate ``chunks`` chunks of every episode.

    Args:
        first: [B, n, C], latents of the start frames.
        poses: [B, >= 4 * chunks, 3], planar poses.
        label: noise level that the context is declared to have.
        real, real_chunks: use these real latents [B, L, n, C] for the first ``real_chunks`` chunks.

    Returns:
        [B, 4 * chunks, n, C].
    """
    size, tokens, channels = first.shape
    out = first.new_zeros(size, chunks * GROUP, tokens, channels, dtype=torch.float32)
    if real is not None:
        out[:, : real_chunks * GROUP] = real[:, : real_chunks * GROUP].float()
    for chunk in range(real_chunks, chunks):
        begin = chunk * GROUP
        context = chunk_context(model, out, poses, chunk, window_at(chunk, recent, memory), label)
        noise = torch.randn(size, GROUP, tokens, channels, device=first.device, generator=generator)
        known = first[:, None].float() if chunk == 0 else None
        cameras = chunk_cameras(poses, chunk)
        out[:, begin : begin + GROUP] = sample_chunk(model, noise, known, sigmas, cameras, context).float()
    return out
