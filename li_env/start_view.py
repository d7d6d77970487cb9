"""Start views: the first frame of an episode, with its camera pose and prompt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from li_env.accel.view_bank import ViewBank
from li_env.accel.world import BaseWorld
from li_env.fitted_scans import FittedScan, nearest_view
from li_env.images import fit_image
from li_env.validation import check_pose, check_whole

SAME_VIEW = 1e-5
"""Poses this close show the same picture: episode files round them to six digits."""

NEAR_SHARE = 0.25
NEAR_DEGREES = 30.0
"""Largest distance (share of the view distance) and angle from a start pose to the view that stands for its picture."""


def start_view(
    world: BaseWorld, options: Mapping[str, Any], draw: float
) -> tuple[np.ndarray | None, np.ndarray, str, int]:
    """Choose the start view that the reset options ask for.

    A world that can render (`BaseWorld.render_start`) gives the start frame where another pose or prompt is asked for.

    Args:
        world: the world.
        options: ``image`` or ``start``, ``pose``, ``prompt``; ``scan`` (a `FittedScan`) with ``view`` or ``pose``.
        draw: number in [0, 1) that picks a start frame, or a view of the scan, if the options name none.

    Returns:
        Start frame uint8 [H, W, 3] (None: to be generated from the views of the scan), pose [4, 4], prompt, index of
        the start frame or -1 for another picture.

    Raises:
        ValueError: an option that is not allowed, or a world without start frames.
    """
    scan: FittedScan | None = options.get("scan")
    if scan is not None:
        check_scan_options(options)
        if "image" not in options and "start" not in options:
            return *_scanned_view(world, scan, options, draw), _prompt(options, ""), -1
        _distance_to(scan, check_pose("pose", options["pose"]), world)
    elif "view" in options:
        raise ValueError("reset option 'view' needs a scan: reset(options={'scan': ..., 'view': k})")
    if "image" in options:
        image, pose, prompt, index = fit_image(options["image"], world.spec.frame_size), np.eye(4), "", -1
    else:
        index = _start_index(world, options, draw)
        views = world.start_views
        image = fit_image(np.asarray(views.images[index]), world.spec.frame_size)
        pose = np.eye(4) if views.poses is None else np.array(views.poses[index], dtype=np.float64)
        prompt = "" if views.prompts is None else views.prompts[index]
    own = pose, prompt
    if "pose" in options:
        pose = check_pose("pose", options["pose"])
    prompt = _prompt(options, prompt)
    elsewhere = prompt != own[1] or not np.allclose(pose, own[0], atol=SAME_VIEW)
    if elsewhere and "image" not in options:
        rendered = world.render_start(prompt, pose)
        image = image if rendered is None else rendered
    return image, pose, prompt, index


def _start_index(world: BaseWorld, options: Mapping[str, Any], draw: float) -> int:
    views = world.start_views
    if len(views) == 0:
        raise ValueError(f"world {world.spec.name!r} has no start frames: reset(options={{'image': ...}})")
    index = options.get("start", int(draw * len(views)))
    whole = isinstance(index, int | np.integer) and not isinstance(index, bool)
    if not whole or not 0 <= index < len(views):
        raise ValueError(f"start={index!r} is not a start frame; allowed: 0 to {len(views) - 1}")
    return int(index)


def moved_note(world: BaseWorld, bank: ViewBank | None, asked: Any, pose: np.ndarray) -> str | None:
    """Say where an episode began if a view stands for the picture of the pose that was asked for; else None."""
    if bank is None or asked is None or np.allclose(asked, pose, atol=SAME_VIEW):
        return None
    view, _ = nearest_view(bank.poses, pose)
    away = float(np.linalg.norm(np.asarray(asked)[:3, 3] - pose[:3, 3]))
    return f"the episode begins at view {view}, {away:.2g} {world.spec.length_unit}s from the pose that was asked for"


def check_scan_options(options: Mapping[str, Any]) -> None:
    """Refuse options of the start view that do not go with a scan.

    Raises:
        ValueError: names the options.
    """
    pictures = [name for name in ("image", "start") if name in options]
    if "view" in options and (pictures or "pose" in options):
        others = ", ".join(name for name in ("image", "start", "pose") if name in options)
        raise ValueError(f"reset option 'view' excludes {others}: the view brings its picture and pose")
    if pictures and "pose" not in options:
        raise ValueError(
            f"reset options 'scan' and {pictures[0]!r} need 'pose': where in the scan the picture was taken"
        )


def _scanned_view(
    world: BaseWorld, scan: FittedScan, options: Mapping[str, Any], draw: float
) -> tuple[np.ndarray | None, np.ndarray]:
    """Return the picture and pose of a view, or a pose inside the scan whose picture is to be generated."""
    images, poses = scan.scan.images, scan.bank.poses
    if "pose" not in options:
        view = check_whole("view", options.get("view", int(draw * len(poses))), 0, len(poses) - 1)
        return images[view], poses[view].copy()
    pose = check_pose("pose", options["pose"])
    view, distance = _distance_to(scan, pose, world)
    if np.allclose(poses[view], pose, atol=SAME_VIEW):
        return images[view], pose
    if not world.needs_start_frame:
        return None, pose
    cosine = (np.trace(poses[view, :3, :3].T @ pose[:3, :3]) - 1) / 2
    turn = float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))
    most = NEAR_SHARE * world.spec.view_distance
    if distance > most or turn > NEAR_DEGREES:
        raise ValueError(
            f"pose is {distance:.3g} {world.spec.length_unit}s and {turn:.0f} degrees from the nearest view, and world "
            f"{world.spec.name!r} starts from a picture; allowed: at most {most:.3g} and {NEAR_DEGREES:g} degrees"
        )
    return images[view], poses[view].copy()


def _distance_to(scan: FittedScan, pose: np.ndarray, world: BaseWorld) -> tuple[int, float]:
    """Return the nearest view and its distance.

    Raises:
        ValueError: farther than a view sees.
    """
    view, distance = nearest_view(scan.bank.poses, pose)
    sees, unit = world.spec.view_distance, world.spec.length_unit
    if distance > sees:
        raise ValueError(
            f"pose at {np.round(pose[:3, 3], 3).tolist()} is {distance:.4g} {unit}s from the nearest view of the scan; "
            f"allowed: at most {sees:g}, as far as a view sees"
        )
    return view, distance


def _prompt(options: Mapping[str, Any], own: str) -> str:
    prompt = options.get("prompt", own)
    if not isinstance(prompt, str):
        raise ValueError(f"prompt={prompt!r} is not usable; allowed: a string")
    return prompt
