"""Network of the policy: frames, goal sensor and last steps to macro actions, value and expected bumps.

Everything inside is float32. Observations are those of the environment, on any device: frames uint8 [..., H, W, 3].
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from torch import nn

from li_env.agents.macro_actions import STOP, MacroActions
from li_env.agents.ppo.action_history import HISTORY, history_space
from li_env.agents.ppo.mirror import FRAMES, mirrored

DISTANCE_SCALE = 10.0
"""Length units that make a goal distance of 1 for the network."""

GAINS = "gains"
"""Key of the factors [..., 3] of red, green and blue in an observation, where a training changes colours."""

_STOP_LOGIT = -3.0  # before any training: an agent that stops by chance never learns where walking leads


class Answer(NamedTuple):
    """What the network says about T steps of B episodes.

    Attributes:
        logits: [T, B, macro actions].
        values: [T, B], discounted rewards to come in the scale of the training.
        bumps: [T, B, macro actions], logits of the share of a macro action's motion that walls will refuse.
        hidden: [B, numbers], the memory after the last step; no numbers without one.
    """

    logits: torch.Tensor
    values: torch.Tensor
    bumps: torch.Tensor
    hidden: torch.Tensor


class NavigationNet(nn.Module):
    """Convolutions for the frames, a layer that joins them with the sensors, a recurrent memory, three heads.

    A symmetric network looks at what it sees and at the mirror image, each with a memory of its own, and answers with
    the mean of both answers, the second one mirrored back. So it does to the left exactly what it does to the right.

    Args:
        space: Dict space of the observations, with ``rgb``; a goal's picture is stacked on the frame.
        macro_actions: choices.
        recurrent: whether there is a memory (GRU) from step to step.
        symmetric: whether left and right are exactly alike.
        width: of the layers.
    """

    def __init__(
        self,
        space: spaces.Dict,
        macro_actions: MacroActions,
        recurrent: bool = False,
        symmetric: bool = False,
        width: int = 256,
    ) -> None:
        super().__init__()
        self._symmetric = symmetric
        self._other: torch.Tensor
        self.register_buffer("_other", torch.as_tensor(macro_actions.mirrored()), persistent=False)
        shape, choices = space["rgb"].shape, len(macro_actions.table)
        assert shape is not None
        self.frames = [name for name in FRAMES if name in space.spaces]
        self.has_pointgoal = "pointgoal" in space.spaces
        sensors = 4 * self.has_pointgoal + int(np.prod(history_space(macro_actions).shape))
        self.look = _frame_net(3 * len(self.frames), shape[0], shape[1], width)
        self.join = nn.Sequential(nn.Linear(width + sensors, width), nn.ReLU())
        self.memory = nn.GRUCell(width, width) if recurrent else None
        size = 2 * width if recurrent else width
        self.policy, self.value, self.bump = nn.Linear(size, choices), nn.Linear(size, 1), nn.Linear(size, choices)
        nn.init.orthogonal_(self.policy.weight, 0.01)
        nn.init.zeros_(self.policy.bias)
        if choices > STOP:
            with torch.no_grad():
                self.policy.bias[STOP] = _STOP_LOGIT
        if self.memory is not None:
            for name, parameter in self.memory.named_parameters():
                nn.init.orthogonal_(parameter) if "weight" in name else nn.init.zeros_(parameter)

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.value.weight.device

    def start(self, episodes: int) -> torch.Tensor:
        """Return the memory [episodes, numbers] at the start of episodes."""
        size = 0 if self.memory is None else self.memory.hidden_size
        return torch.zeros(episodes, size * (1 + self._symmetric), device=self.device)

    def features(self, observations: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Return what one step shows: [..., width]."""
        lead = observations[HISTORY].shape[:-1]
        frames = [observations[name].flatten(0, len(lead) - 1).movedim(-1, 1).float() / 255 for name in self.frames]
        if GAINS in observations:
            gains = observations[GAINS].flatten(0, len(lead) - 1)[..., None, None]
            frames = [frame * gains for frame in frames]
        parts = [self.look(torch.cat(frames, 1)).unflatten(0, lead)]
        if self.has_pointgoal:
            distance, bearing = observations["pointgoal"].unbind(-1)
            near = torch.exp(-distance)  # the last length units decide whether to stop
            parts.append(torch.stack([distance / DISTANCE_SCALE, near, bearing.sin(), bearing.cos()], -1))
        return self.join(torch.cat([*parts, observations[HISTORY]], -1))

    def forward(self, observations: Mapping[str, torch.Tensor], hidden: torch.Tensor, starts: torch.Tensor) -> Answer:
        """Answer T steps of B episodes, one after another.

        Args:
            observations: tensors [T, B, ...] on the device of the weights.
            hidden: [B, numbers], the memory before the first step.
            starts: [T, B], 1 where a step is the first of its episode: the memory begins anew there.
        """
        if not self._symmetric:
            return self._answer(observations, hidden, starts)
        twin = mirrored(observations, self._other)
        both = {name: torch.cat([each, twin[name]], 1) for name, each in observations.items()}
        answer = self._answer(both, torch.cat(hidden.chunk(2, 1)), torch.cat([starts, starts], 1))
        (policy, mirror), (bump, far) = answer.logits.chunk(2, 1), answer.bumps.chunk(2, 1)
        return Answer(
            (policy + mirror.index_select(-1, self._other)) / 2,
            torch.stack(answer.values.chunk(2, 1)).mean(0),
            (bump + far.index_select(-1, self._other)) / 2,
            torch.cat(answer.hidden.chunk(2), 1),
        )

    def _answer(self, observations: Mapping[str, torch.Tensor], hidden: torch.Tensor, starts: torch.Tensor) -> Answer:
        seen = self.features(observations)
        if self.memory is not None:
            remembered = []
            for step, going in zip(seen, 1 - starts, strict=True):
                hidden = self.memory(step, hidden * going[:, None])
                remembered.append(hidden)
            seen = torch.cat([seen, torch.stack(remembered)], -1)
        return Answer(self.policy(seen), self.value(seen)[..., 0], self.bump(seen), hidden)


def _frame_net(channels: int, height: int, width: int, size: int) -> nn.Sequential:
    """Make the network of Mnih et al. 2015 on frames at half their resolution: [n, channels, H, W] -> [n, size]."""
    layers = nn.Sequential(
        nn.AvgPool2d(2),
        nn.Conv2d(channels, 32, 8, 4), nn.ReLU(),
        nn.Conv2d(32, 64, 4, 2), nn.ReLU(),
        nn.Conv2d(64, 64, 3, 1), nn.ReLU(),
        nn.Flatten(),
    )  # fmt: skip
    with torch.no_grad():
        flat = layers(torch.zeros(1, channels, height, width)).shape[1]
    # Without the norm the frame drowns the four numbers of the goal.
    return nn.Sequential(*layers, nn.Linear(flat, size), nn.LayerNorm(size), nn.ReLU())
