"""Latents of rendered trajectories on the training device, and the batches drawn from them."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from li_env.worlds.freedoom.geometry import relative_planar
from li_env.worlds.freedoom.training.views import (
    Candidates,
    camera_distance,
    choose_views,
    drop_at_random,
    seen_points,
    view_points,
)

GROUP = 4
"""Latents per retrieved group and per chunk."""

FALLOFF_METRES = 6.25
OVERLAP_DEPTHS = (1.0, 3.0, 6.0, 10.0)
"""Metres to the points at which the overlap of two views is looked at."""


@dataclass(frozen=True)
class Window:
    """Sizes of a context: ``views`` of a scan, ``retrieved`` latents before the chunk, ``recent`` ones just before it.

    With none of them, the batch is made of first chunks whose own first latent is given; with views alone, of first
    chunks whose own first latent is given in every second sample.
    """

    recent: int
    retrieved: int
    views: int = 0

    @property
    def past(self) -> int:
        return self.recent + self.retrieved

    @property
    def context(self) -> int:
        return self.past + self.views


@dataclass(frozen=True)
class Batch:
    """Samples: context [B, m, n, C] and target chunk [B, T, n, C], with planar poses seen from the reference camera.

    The first ``views`` latents of the context are of a scan.
    """

    context: torch.Tensor
    context_poses: torch.Tensor
    target: torch.Tensor
    target_poses: torch.Tensor
    views: int = 0


class LatentStore:
    """Trajectories as latents [N, L, n, C] (half precision) and planar poses [N, L, 3] on one device.

    Args:
        views: [M, V, n, C], scans of the maps, with ``view_poses`` [M, V, 3]. Trajectories of one of the M maps are
            neighbouring rows, equally many for each map.
    """

    def __init__(
        self,
        latents: torch.Tensor,
        poses: torch.Tensor,
        views: torch.Tensor | None = None,
        view_poses: torch.Tensor | None = None,
    ) -> None:
        if latents.shape[:2] != poses.shape[:2]:
            raise ValueError(f"latents {tuple(latents.shape)} and poses {tuple(poses.shape)} disagree")
        self.latents, self.poses = latents, poses
        self.count, self.length = latents.shape[:2]
        self.device = latents.device
        if views is None or view_poses is None or not views.shape[1]:
            views, view_poses = latents[:, :0], poses[:, :0]
        self.views, self.view_poses = views, view_poses
        self.per_map = self.count // len(self.views)

    @property
    def has_views(self) -> bool:
        return self.views.shape[1] > 0

    def sample(self, window: Window, size: int, generator: torch.Generator) -> Batch:
        """Draw ``size`` chunks at random positions with their contexts."""
        track = torch.randint(self.count, (size,), device=self.device, generator=generator)
        start = torch.randint(window.past, self.length - GROUP + 1, (size,), device=self.device, generator=generator)
        return self.gather(track, start, window, generator)

    def gather(
        self, track: torch.Tensor, start: torch.Tensor, window: Window, generator: torch.Generator | None
    ) -> Batch:
        """Return the samples that begin at latent ``start`` of trajectories ``track`` (both [B])."""
        current = start[:, None] + torch.arange(GROUP, device=self.device)
        context = self.context_indices(track, start, window, generator)
        newest = start if window.past == 0 else start - 1
        reference = self.poses[track, newest][:, None]
        rows = track[:, None]
        latents, poses = self.latents[rows, context], self.poses[rows, context]
        if window.views:
            seen, seen_poses = self.near_views(track, start, window, generator)
            latents, poses = torch.cat((seen, latents), dim=1), torch.cat((seen_poses, poses), dim=1)
        return Batch(
            context=latents,
            context_poses=relative_planar(poses, reference),
            target=self.latents[rows, current],
            target_poses=relative_planar(self.poses[rows, current], reference),
            views=window.views,
        )

    def context_indices(
        self, track: torch.Tensor, start: torch.Tensor, window: Window, generator: torch.Generator | None
    ) -> torch.Tensor:
        """Return indices [B, m] of the latents before the chunk that are context, increasing."""
        recent = start[:, None] - torch.arange(window.recent, 0, -1, device=self.device)
        if not window.retrieved:
            return recent
        groups = retrieve(self.poses[track], start, window, generator)
        memory = (groups[..., None] * GROUP + torch.arange(GROUP, device=self.device)).flatten(1)
        return torch.cat((memory, recent), dim=1).sort(dim=1).values

    def near_views(
        self, track: torch.Tensor, start: torch.Tensor, window: Window, generator: torch.Generator | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Choose views of the map for chunks at ``start``: latents [B, views, n, C] and poses [B, views, 3].

        Without a generator the scan alone is searched. With one, walks are candidates too and candidates are missing
        at random, see `drop_at_random`.
        """
        candidates = self.candidates(track)
        query = self.poses[track[:, None], start[:, None] + torch.arange(0, GROUP, 2, device=self.device)]
        if generator is None:
            allowed = candidates.scanned[None]
        else:
            allowed = drop_at_random(candidates, track % self.per_map, start - window.recent, generator)
        chosen = choose_views(query, candidates.poses, allowed, window.views)
        if generator is not None:  # their order must not matter
            order = torch.rand(chosen.shape, device=self.device, generator=generator).argsort(dim=1)
            chosen = chosen.gather(1, order)
        return self.take(track, candidates, chosen)

    def candidates(self, track: torch.Tensor) -> Candidates:
        """Return all views of the maps of ``track`` [B]: the scan, then the map's walks one after another."""
        maps = track // self.per_map
        walks = self.poses.unflatten(0, (-1, self.per_map))[maps].flatten(1, 2)
        scan = self.views.shape[1]
        number = torch.arange(scan + self.per_map * self.length, device=self.device) - scan
        poses = torch.cat((self.view_poses[maps], walks), dim=1)
        return Candidates(poses, number // self.length, number % self.length)

    def take(
        self, track: torch.Tensor, candidates: Candidates, chosen: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return latents [B, k, n, C] and poses [B, k, 3] of the candidates ``chosen`` [B, k]."""
        return self.candidate_latents(track, chosen), candidates.poses.gather(1, chosen[..., None].expand(-1, -1, 3))

    def candidate_latents(self, track: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        """Return latents [B, k, n, C] of the candidates ``chosen`` [B, k]."""
        maps, scan = (track // self.per_map)[:, None], self.views.shape[1]
        number = (chosen - scan).clamp(min=0)
        walked = self.latents[maps * self.per_map + number // self.length, number % self.length]
        if not scan:
            return walked
        viewed = self.views[maps, chosen.clamp(max=scan - 1)]
        return torch.where((chosen < scan)[..., None, None], viewed, walked)


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
    x, z, _ = view_points(query, OVERLAP_DEPTHS)
    dx, dz = x[:, None] - candidates[..., 0, None], z[:, None] - candidates[..., 1, None]
    seen = seen_points(candidates, dx, dz)
    return seen.float().mean(-1) * torch.exp(-camera_distance(query, candidates) / FALLOFF_METRES)
