"""Latents of rendered trajectories on the training device, and the batches drawn from them."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from li_env.worlds.freedoom.geometry import relative_planar

GROUP = 4
"""Latents per retrieved group and per chunk."""

VIEW_METRES = 12.0
FALLOFF_METRES = 6.25


@dataclass(frozen=True)
class Window:
    """Sizes of a context: ``recent`` latents of the recent window and ``retrieved`` ones before the chunk.

    With neither, the batch is made of first chunks: the chunk's own first latent is given.
    """

    recent: int
    retrieved: int

    @property
    def context(self) -> int:
        return self.recent + self.retrieved


@dataclass(frozen=True)
class Batch:
    """Samples: context [B, m, n, C] and target chunk [B, T, n, C], with planar poses seen from the reference camera."""

    context: torch.Tensor
    context_poses: torch.Tensor
    target: torch.Tensor
    target_poses: torch.Tensor


class LatentStore:
    """Trajectories as latents [N, L, n, C] (half precision) and planar poses [N, L, 3] on one device."""

    def __init__(self, latents: torch.Tensor, poses: torch.Tensor) -> None:
        if latents.shape[:2] != poses.shape[:2]:
            raise ValueError(f"latents {tuple(latents.shape)} and poses {tuple(poses.shape)} disagree")
        self.latents, self.poses = latents, poses
        self.count, self.length = latents.shape[:2]
        self.device = latents.device

    def sample(self, window: Window, size: int, generator: torch.Generator) -> Batch:
        """Draw ``size`` chunks at random positions with their contexts."""
        earliest = max(window.context, 0)
        track = torch.randint(self.count, (size,), device=self.device, generator=generator)
        start = torch.randint(earliest, self.length - GROUP + 1, (size,), device=self.device, generator=generator)
        return self.gather(track, start, window, generator)

    def gather(
        self, track: torch.Tensor, start: torch.Tensor, window: Window, generator: torch.Generator | None
    ) -> Batch:
        """Return the samples that begin at latent ``start`` of trajectories ``track`` (both [B])."""
        current = start[:, None] + torch.arange(GROUP, device=self.device)
        context = self.context_indices(track, start, window, generator)
        reference = self.poses[track, (start - 1).clamp(min=0)][:, None]
        if window.context == 0:
            reference = self.poses[track, start][:, None]
        rows = track[:, None]
        return Batch(
            context=self.latents[rows, context],
            context_poses=relative_planar(self.poses[rows, context], reference),
            target=self.latents[rows, current],
            target_poses=relative_planar(self.poses[rows, current], reference),
        )

    def context_indices(
        self, track: torch.Tensor, start: torch.Tensor, window: Window, generator: torch.Generator | None
    ) -> torch.Tensor:
        """Return latent indices [B, m] of the contexts, increasing."""
        recent = start[:, None] - torch.arange(window.recent, 0, -1, device=self.device)
        if not window.retrieved:
            return recent
        groups = retrieve(self.poses[track], start, window, generator)
        memory = (groups[..., None] * GROUP + torch.arange(GROUP, device=self.device)).flatten(1)
        return torch.cat((memory, recent), dim=1).sort(dim=1).values


def retrieve(
    poses: torch.Tensor, start: torch.Tensor, window: Window, generator: torch.Generator | None
) -> torch.Tensor:
    """Choose aligned groups [B, retrieved / GROUP] for chunks at ``start`` [B] of trajectories ``poses`` [B, L, 3].

    Groups are ranked by how much of the coming views they see, discounted by distance; a taken group lowers its
    neighbours' rank. With a generator, one sample in four takes random groups instead and half of the two-group samples
    keep the first group of the episode, so that the model meets every policy of the planner.
    """
    batch, length = poses.shape[:2]
    device = poses.device
    count = length // GROUP
    current = start[:, None] + torch.arange(GROUP, device=device)
    query = torch.gather(poses, 1, current.clamp(max=length - 1)[..., None].expand(-1, -1, 3))[:, ::2]
    centre = torch.arange(count, device=device) * GROUP + GROUP // 2
    score = view_overlap(query, poses[:, centre])
    allowed = (centre + GROUP // 2)[None] <= (start - window.recent)[:, None]
    if generator is not None:
        random = torch.rand(batch, 1, device=device, generator=generator) < 0.25
        noise = torch.rand(batch, count, device=device, generator=generator)
        score = torch.where(random, noise, score)
    score = score.masked_fill(~allowed, -1.0)
    taken: list[torch.Tensor] = []
    for turn in range(window.retrieved // GROUP):
        best = score.argmax(dim=1)
        if turn == 1 and generator is not None:
            keep_first = (torch.rand(batch, device=device, generator=generator) < 0.5) & (taken[0] != 0)
            best = torch.where(keep_first, torch.zeros_like(best), best)
        taken.append(best)
        near = (torch.arange(count, device=device)[None] - best[:, None]).abs()
        score = score * (1 - 0.5 * (near == 1).float())
        score = score.masked_fill(near == 0, -2.0)
    return torch.stack(taken, dim=1)


def view_overlap(query: torch.Tensor, candidates: torch.Tensor) -> torch.Tensor:
    """Return the share of sample points in the query views that each candidate sees, discounted by distance.

    Args:
        query: [B, q, 3] planar poses. candidates: [B, m, 3].

    Returns:
        [B, m] in [0, 1].
    """
    angles = torch.linspace(-0.7, 0.7, 6, device=query.device)
    depths = torch.tensor([1.0, 3.0, 6.0, 10.0], device=query.device)
    yaw = query[:, :, None, None, 2] + angles[:, None]
    x = (query[:, :, None, None, 0] + depths * yaw.sin()).flatten(1)
    z = (query[:, :, None, None, 1] + depths * yaw.cos()).flatten(1)
    dx, dz = x[:, None] - candidates[..., 0, None], z[:, None] - candidates[..., 1, None]
    cos, sin = candidates[..., 2, None].cos(), candidates[..., 2, None].sin()
    right, forward = cos * dx - sin * dz, sin * dx + cos * dz
    seen = (forward > 0) & (right.abs() < forward) & (dx.square() + dz.square() < VIEW_METRES**2)
    distance = (query[:, :1, :2] - candidates[..., :2]).norm(dim=-1)
    return seen.float().mean(-1) * torch.exp(-distance / FALLOFF_METRES)
