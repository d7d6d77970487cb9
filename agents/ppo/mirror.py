"""Left and right exchanged: observations, and the macro actions in them."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from li_env.agents.ppo.action_history import HISTORY, mirrored_history

FRAMES = ("rgb", "imagegoal")
"""Keys of observations that are frames."""


def mirrored(observations: Mapping[str, torch.Tensor], other: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return what a mirrored world would show.

    Args:
        observations: tensors by key: frames [..., H, W, 3], ``pointgoal`` [..., 2], ``history`` [..., numbers]; others
            stay as they are.
        other: int64 [macro actions], the macro action in the mirror of each, on the device of the observations. Nothing
            here comes from the host: it would have to wait for the device, and no step could be captured.
    """
    turned = {name: each.flip(-2) if name in FRAMES else each for name, each in observations.items()}
    if "pointgoal" in observations:
        distance, bearing = observations["pointgoal"].unbind(-1)
        turned["pointgoal"] = torch.stack([distance, -bearing], -1)
    return {**turned, HISTORY: mirrored_history(observations[HISTORY], other)}
