"""Left and right exchanged: observations, and the macro actions in them."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from li_env.agents.macro_actions import MacroActions
from li_env.agents.ppo.action_history import HISTORY, mirrored_history

FRAMES = ("rgb", "imagegoal")
"""Keys of observations that are frames."""


def mirrored(observations: Mapping[str, torch.Tensor], macro_actions: MacroActions) -> dict[str, torch.Tensor]:
    """Return what a mirrored world would show.

    Args:
        observations: tensors by key: frames [..., H, W, 3], ``pointgoal`` [..., 2], ``history`` [..., numbers]; others
            stay as they are.
        macro_actions: macro actions that the history names.
    """
    turned = {name: each.flip(-2) if name in FRAMES else each for name, each in observations.items()}
    if "pointgoal" in observations:
        turned["pointgoal"] = observations["pointgoal"] * observations["pointgoal"].new_tensor([1, -1])
    return {**turned, HISTORY: mirrored_history(observations[HISTORY], macro_actions)}
