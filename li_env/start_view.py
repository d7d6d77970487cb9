"""Start views: the first frame of an episode, with its camera pose and prompt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from li_env.accel.world import BaseWorld
from li_env.images import fit_image
from li_env.validation import check_pose

SAME_VIEW = 1e-5
"""Poses this close show the same picture: episode files round them to six digits."""


def start_view(world: BaseWorld, options: Mapping[str, Any], draw: float) -> tuple[np.ndarray, np.ndarray, str, int]:
    """Choose the start view that the reset options ask for.

    A world that can render (`BaseWorld.render_start`) gives the start frame where another pose or prompt is asked for.

    Args:
        world: the world.
        options: ``image`` or ``start``, ``pose``, ``prompt``.
        draw: number in [0, 1) that picks a start frame if the options name none.

    Returns:
        Start frame uint8 [H, W, 3], pose [4, 4], prompt, index of the start frame or -1 for an image of the user's.

    Raises:
        ValueError: an option that is not allowed, or a world without start frames.
    """
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
    prompt = options.get("prompt", prompt)
    if not isinstance(prompt, str):
        raise ValueError(f"prompt={prompt!r} is not usable; allowed: a string")
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
