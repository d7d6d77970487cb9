"""Batched rollouts on a training device: many episodes on known trajectories, the model's own latents as context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from li_env.worlds.common.transformer import BlockCache
from li_env.worlds.freedoom.dynamics import Cameras, DynamicsModel
from li_env.worlds.freedoom.geometry import relative_planar
from li_env.worlds.freedoom.sampler import sample_chunk
from li_env.worlds.freedoom.training.store import GROUP, LatentStore, Window, retrieve


@dataclass(frozen=True)
class Grounding:
    """Scans in which rollouts take place: ``count`` views for every chunk of the walks that begin at ``first`` [B].

    With a generator some views are missing, as in training.
    """

    store: LatentStore
    track: torch.Tensor
    first: torch.Tensor
    count: int
    generator: torch.Generator | None = None

    def at(self, chunk: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return latents [B, count, n, C] and poses [B, count, 3] of the views for a chunk."""
        window = Window(0, 0, self.count)
        return self.store.near_views(self.track, self.first + chunk * GROUP, window, self.generator)


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
    grounding: Grounding | None = None,
) -> list[BlockCache] | None:
    """Run the context pass of chunk ``chunk`` after finished ``latents`` [B, >= 4 chunk, n, C] at ``poses``.

    Views of ``grounding`` come first.
    """
    if window.context == 0 and grounding is None:
        return None
    size, device = len(latents), latents.device
    start = torch.full((size,), chunk * GROUP, device=device)
    indices = start[:, None] - torch.arange(window.recent, 0, -1, device=device)
    if window.retrieved:
        groups = retrieve(poses, start, window, None)
        memory = (groups[..., None] * GROUP + torch.arange(GROUP, device=device)).flatten(1)
        indices = torch.cat((memory, indices), dim=1).sort(dim=1).values
    rows = torch.arange(size, device=device)[:, None]
    past, past_poses = latents[rows, indices], poses[rows, indices]
    if grounding is not None:
        seen, seen_poses = grounding.at(chunk)
        past, past_poses = torch.cat((seen.to(past.dtype), past), dim=1), torch.cat((seen_poses, past_poses), dim=1)
    count = past.shape[1]
    reference = poses[:, max(chunk * GROUP - 1, 0), None]
    cameras = model.cameras(relative_planar(past_poses, reference), torch.arange(-count, 0, device=device))
    levels = torch.full((size, count), label, device=device)
    return model.context_pass(past, levels, cameras)


def chunk_cameras(model: DynamicsModel, poses: torch.Tensor, chunk: int) -> Cameras:
    """Return cameras of the chunk's own latents, seen from the newest finished one (or the first, in chunk 0)."""
    begin = chunk * GROUP
    reference = poses[:, max(begin - 1, 0), None]
    return model.cameras(
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
    grounding: Grounding | None = None,
) -> torch.Tensor:
    """Generate ``chunks`` chunks of every episode.

    Args:
        first: [B, n, C], latents of the start frames.
        poses: [B, >= 4 * chunks, 3], planar poses.
        label: noise level that the context is declared to have.
        real, real_chunks: use these real latents [B, L, n, C] for the first ``real_chunks`` chunks.
        grounding: scans to retrieve views from, beside ``recent`` and ``memory`` latents of the own past.

    Returns:
        [B, 4 * chunks, n, C].
    """
    size, tokens, channels = first.shape
    out = first.new_zeros(size, chunks * GROUP, tokens, channels, dtype=torch.float32)
    if real is not None:
        out[:, : real_chunks * GROUP] = real[:, : real_chunks * GROUP].float()
    for chunk in range(real_chunks, chunks):
        begin = chunk * GROUP
        context = chunk_context(model, out, poses, chunk, window_at(chunk, recent, memory), label, grounding)
        noise = torch.randn(size, GROUP, tokens, channels, device=first.device, generator=generator)
        known = first[:, None].float() if chunk == 0 else None
        cameras = chunk_cameras(model, poses, chunk)
        out[:, begin : begin + GROUP] = sample_chunk(model, noise, known, sigmas, cameras, context).float()
    return out
