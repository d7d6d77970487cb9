"""Numbers about a scan, for ``li-env scan check`` and ``show``."""

from __future__ import annotations

from typing import Any

import numpy as np

from li_env.scans.agreement import Agreement
from li_env.scans.checks import spot_distances
from li_env.scans.scan import Scan


def lens_of(scan: Scan, focal: tuple[float, float]) -> np.ndarray:
    """Return the intrinsics of a scan, those of the world's lens where it has none.

    Args:
        scan: with or without intrinsics.
        focal: (fx / width, fy / height) of the world.
    """
    if scan.intrinsics is not None:
        return scan.intrinsics
    height, width = scan.images.shape[1:3]
    return np.array([focal[0] * width, focal[1] * height, width / 2, height / 2])


def field_of_view(scan: Scan, intrinsics: np.ndarray) -> tuple[float, float]:
    """Return the (horizontal, vertical) field of view of a scan's first view in degrees."""
    fx, fy, cx, cy = intrinsics if intrinsics.ndim == 1 else intrinsics[0]
    height, width = scan.images.shape[1:3]
    ends = ((-cx / fx, (width - cx) / fx), (-cy / fy, (height - cy) / fy))
    horizontal, vertical = (float(np.degrees(np.arctan(high) - np.arctan(low))) for low, high in ends)
    return horizontal, vertical


def numbers_of(scan: Scan) -> dict[str, Any]:
    """Return counts, size, lens, spacing and tilt of a scan, in words for a table."""
    nearest = spot_distances(scan.poses)
    height, width = scan.images.shape[1:3]
    extent = np.ptp(scan.poses[:, :3, 3], axis=0)
    spacing = "one spot" if not len(nearest) else (
        f"{np.median(nearest):.3g} to the nearest (median), {nearest.max():.3g} at most"
    )  # fmt: skip
    lens = "the world's"
    if scan.intrinsics is not None:
        lens = "{:.0f} x {:.0f} degrees".format(*field_of_view(scan, scan.intrinsics))
    return {
        "views": len(scan),
        "spots": max(1, len(nearest)),
        "image": f"{height} x {width}",
        "field of view": lens,
        "extent": " x ".join(f"{side:.3g}" for side in extent) + " (x, y, z)",
        "spacing": spacing,
        "tilt": f"{np.median(scan.tilts):.1f} degrees (median), {scan.tilts.max():.1f} at most",
        "map": "unknown" if scan.map_seed is None else scan.map_seed,
        "hash": scan.content_hash[:16],
    }


def agreement_in_words(found: Agreement) -> str:
    """Say how many views were compared and how many disagree."""
    count = len(found.margins)
    if not found.compared:
        hint = (
            f"; they fit as {found.convention}"
            if found.convention
            else ": too few views, too far from each other, or plain"
        )
        return f"no view agrees with its neighbours{hint}"
    left = count - found.compared
    rest = f", {left} are too far from others or too plain" if left else ""
    return f"{found.compared} compared{rest}; {len(found.wrong)} disagree"


def wrong_in_words(found: Agreement, most: int = 8) -> str:
    """List the views that disagree with their poses."""
    named = [
        f"{view} (fits the pose of view {found.fits[view]})" if view in found.fits else str(view)
        for view in found.wrong[:most]
    ]
    more = f" and {len(found.wrong) - most} more" if len(found.wrong) > most else ""
    return ", ".join(named) + more
