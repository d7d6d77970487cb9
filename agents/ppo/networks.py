"""Network of the policy: a small convolutional network for the frame, beside the goal sensor and the history."""

from __future__ import annotations

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn

from li_env.agents.ppo.action_history import HISTORY

DISTANCE_SCALE = 10.0
"""Length units that make a goal distance of 1 for the network."""


class GoalFeatures(BaseFeaturesExtractor):
    """Features of a Dict observation: frames (``rgb``, ``imagegoal``), ``pointgoal``, ``history``.

    Args:
        observation_space: Dict space, its frames as SB3 turns them: uint8 [3, H, W].
        size: number of features of every frame.
    """

    def __init__(self, observation_space: spaces.Dict, size: int = 256) -> None:
        self.frames = [name for name in ("rgb", "imagegoal") if name in observation_space.spaces]
        self.has_pointgoal = "pointgoal" in observation_space.spaces
        history = int(np.prod(observation_space[HISTORY].shape or ()))
        super().__init__(observation_space, size * len(self.frames) + 4 * self.has_pointgoal + history)
        shape = observation_space["rgb"].shape
        assert shape is not None
        self.look = nn.ModuleDict({name: _frame_net(shape, size) for name in self.frames})

    def forward(self, observations: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return features [n, `features_dim`]; SB3 has scaled the frames to [0, 1]."""
        features = [self.look[name](observations[name]) for name in self.frames]
        if self.has_pointgoal:
            distance, bearing = observations["pointgoal"].unbind(-1)
            near = torch.exp(-distance)  # the last length units decide whether to stop
            features.append(torch.stack([distance / DISTANCE_SCALE, near, bearing.sin(), bearing.cos()], -1))
        return torch.cat([*features, observations[HISTORY]], -1)


def _frame_net(shape: tuple[int, ...], size: int) -> nn.Sequential:
    """Make the network of Mnih et al. 2015 on the frame at half its resolution: [3, H, W] -> [size]."""
    layers = nn.Sequential(
        nn.AvgPool2d(2),
        nn.Conv2d(shape[0], 32, 8, 4), nn.ReLU(),
        nn.Conv2d(32, 64, 4, 2), nn.ReLU(),
        nn.Conv2d(64, 64, 3, 1), nn.ReLU(),
        nn.Flatten(),
    )  # fmt: skip
    with torch.no_grad():
        flat = layers(torch.zeros(1, *shape)).shape[1]
    # Without the norm the frame drowns the four numbers of the goal.
    return nn.Sequential(*layers, nn.Linear(flat, size), nn.LayerNorm(size), nn.ReLU())
