"""Choice of views of a scan for a chunk, for a whole batch at once on the training device.

Every sample point of the coming views wants the best look at it that any chosen view gives, where a look is better the
smaller the angle between it and the coming one and the nearer the cameras are. Views are taken one by one, each time
the one that improves these looks most.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

VIEW_METRES = 12.0
ANGLES = 6
DEPTHS = (1.0, 2.5, 5.0, 9.0)
ANGLE_FALLOFF = 0.5
"""Radians between two looks at a point after which the second is worth 1 / e."""
OFFSET_FALLOFF = 5.0
"""Metres between cameras after which a look is worth 1 / e: what lies between may hide the point."""

CLOSENESS_SHARE = 1e-3
"""Worth of a view for its nearness alone, so that budgets are filled where no view shows anything."""


@dataclass(frozen=True)
class Candidates:
    """Views to choose from, planar ``poses`` [B, m, 3]: those of a scan, then frames of walks.

    ``walk`` and ``frame`` [m] number the walks of the map and their frames; in the scan ``walk`` is negative.
    """

    poses: torch.Tensor
    walk: torch.Tensor
    frame: torch.Tensor

    @property
    def scanned(self) -> torch.Tensor:
        """Which candidates are of the scan: bool [m]."""
        return self.walk < 0


def view_points(query: torch.Tensor, depths: tuple[float, ...]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return sample points in views ``query`` [B, q, 3]: x, z and the yaw of the ray to each, all [B, p]."""
    angles = torch.linspace(-0.7, 0.7, ANGLES, device=query.device)
    yaw = query[:, :, None, None, 2] + angles[:, None]
    reach = torch.tensor(depths, device=query.device).expand(*yaw.shape[:3], -1)
    x = (query[:, :, None, None, 0] + reach * yaw.sin()).flatten(1)
    z = (query[:, :, None, None, 1] + reach * yaw.cos()).flatten(1)
    return x, z, yaw.expand_as(reach).flatten(1)


def seen_points(candidates: torch.Tensor, dx: torch.Tensor, dz: torch.Tensor) -> torch.Tensor:
    """Return which points candidates [B, m, 3] see; ``dx`` and ``dz`` [B, m, p] lead to them: bool [B, m, p]."""
    cos, sin = candidates[..., 2, None].cos(), candidates[..., 2, None].sin()
    right, forward = cos * dx - sin * dz, sin * dx + cos * dz
    return (forward > 0) & (right.abs() < forward) & (dx.square() + dz.square() < VIEW_METRES**2)


def camera_distance(query: torch.Tensor, candidates: torch.Tensor) -> torch.Tensor:
    """Return the metres [B, m] from the first view of ``query`` to each candidate."""
    return (query[:, :1, :2] - candidates[..., :2]).norm(dim=-1)


def looks(query: torch.Tensor, candidates: torch.Tensor) -> torch.Tensor:
    """Rate each candidate's look at sample points of the coming views: [B, m, p] in [0, 1].

    Args:
        query: [B, q, 3] planar poses (x, z in metres, yaw in radians). candidates: [B, m, 3].
    """
    x, z, direction = view_points(query, DEPTHS)
    dx, dz = x[:, None] - candidates[..., 0, None], z[:, None] - candidates[..., 1, None]
    turn = torch.atan2(dx, dz) - direction[:, None]
    turn = torch.atan2(turn.sin(), turn.cos()).abs()
    offset = camera_distance(query, candidates)[..., None]
    return seen_points(candidates, dx, dz) * torch.exp(-turn / ANGLE_FALLOFF - offset / OFFSET_FALLOFF)


def choose_views(query: torch.Tensor, candidates: torch.Tensor, allowed: torch.Tensor, count: int) -> torch.Tensor:
    """Choose ``count`` views one after another, each the one that improves the best looks most: indices [B, count].

    Args:
        query, candidates: as in `looks`.
        allowed: bool [B or 1, m]; where fewer than ``count`` are, the others fill up.
    """
    rating = looks(query, candidates)
    near = CLOSENESS_SHARE * torch.exp(-camera_distance(query, candidates) / OFFSET_FALLOFF) - 2.0 * (~allowed)
    best = rating.new_zeros(rating.shape[0], 1, rating.shape[2])
    chosen: list[torch.Tensor] = []
    for _ in range(count):
        gain = (rating - best).clamp(min=0).mean(-1) + near
        pick = gain.argmax(dim=1)
        chosen.append(pick)
        best = torch.maximum(best, rating[torch.arange(len(pick), device=pick.device), pick][:, None])
        near = near.scatter(1, pick[:, None], -10.0)
    return torch.stack(chosen, dim=1)


def drop_at_random(
    candidates: Candidates, own: torch.Tensor, before: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Draw which candidates a sample may use, so that the model meets scans of every kind: bool [B, m].

    Of the scan all, a half, a quarter or a tenth of the views are there; frames of other walks of the map (as of a
    video) in half of the samples; the own walk's frames up to ``before`` in half of them; and in one of twelve all
    frames of the own walk, the coming ones too: a scan along the very path. One sample in ten has only a few views,
    from anywhere.

    Args:
        own: [B], number of the walk in its map. before: [B], first frame of it that the recent window holds.
    """
    device, size = candidates.poses.device, len(own)

    def chance(share: float) -> torch.Tensor:
        return torch.rand(size, 1, device=device, generator=generator) < share

    uniform = torch.rand(size, len(candidates.walk), device=device, generator=generator)
    kept = torch.tensor([1.0, 0.5, 0.25, 0.1], device=device)
    share = kept[torch.randint(len(kept), (size, 1), device=device, generator=generator)]
    scan = candidates.scanned & (uniform < share)
    same = candidates.walk[None] == own[:, None]
    past = candidates.frame[None] < before[:, None]
    walks = ~candidates.scanned
    others, mine, path = walks & ~same & chance(0.5), walks & same & past & chance(0.5), walks & same & chance(1 / 12)
    everything = scan | others | mine | path
    return torch.where(chance(0.1), everything & (uniform < 0.03), everything)
