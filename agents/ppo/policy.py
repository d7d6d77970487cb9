"""Policy network as an agent: build it, store it, load it, let it act."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from li_env import View
from li_env.agents.base import DrawingAgent
from li_env.agents.macro_actions import MacroActions
from li_env.agents.micro_batches import in_micro_batches
from li_env.agents.ppo.action_history import add_action, history_of, with_history
from li_env.agents.ppo.mirror import FRAMES
from li_env.agents.ppo.networks import NavigationNet
from li_env.agents.run_folder import STATE, read_state
from li_env.tensor_files import read_tensors, write_tensors
from li_env.validation import shown

POLICY = "policy.safetensors"
"""File name of the weights in an agent's folder."""


class PolicyAgent(DrawingAgent):
    """Trained policy that acts.

    Args:
        net: network over frames and sensors, with macro actions as actions.
        macro_actions: macro actions of the action space.
        seed: seed of the draws; ``None`` takes the most likely macro action instead of drawing.
    """

    def __init__(self, net: NavigationNet, macro_actions: MacroActions, seed: int | None = 0) -> None:
        super().__init__(seed or 0)
        self.net, self._macro_actions, self._greedy = net, macro_actions, seed is None

    @classmethod
    def load(
        cls,
        folder: str | Path,
        observation_space: spaces.Space[Any],
        macro_actions: MacroActions,
        seed: int | None = 0,
        device: str = "cpu",
        weights: str = POLICY,
    ) -> PolicyAgent:
        """Load an agent from the folder of a training; ``weights`` may name a snapshot.

        Raises:
            ValueError: no such file, or weights of another task or network.
        """
        path = Path(folder) / weights
        if not path.is_file():
            raise ValueError(
                f"agent={shown(str(folder))} has no {weights}; allowed: a folder that li-env train agent made"
            )
        settings = read_state(Path(folder) / STATE)["config"]
        recurrent, symmetric = (bool(settings.get(name, False)) for name in ("recurrent", "symmetric"))
        net = build_policy(observation_space, macro_actions, recurrent, symmetric)
        load_policy(net, path)
        return cls(net.to(device).eval(), macro_actions, seed)

    def act(self, views: Sequence[View]) -> tuple[list[np.ndarray], list[Any]]:
        """Answer every view; the agent state is (history of `li_env.agents.ppo.action_history`, recurrent memory)."""
        if not views:
            return [], []
        seen = self._seen(views)
        indices, memories = self.choose(seen, views)
        return self._macro_actions.actions(indices), self._after(seen, views, indices, memories)

    def follow(self, views: Sequence[View], actions: Sequence[np.ndarray]) -> tuple[np.ndarray, list[Any]]:
        """Watch another agent: what this one would do, and its agent states after the other's actions.

        Args:
            views: with agent states of this agent.
            actions: continuous actions that are taken; the nearest macro actions count.

        Returns:
            probabilities [n, macro actions] and agent states.
        """
        seen = self._seen(views)
        probabilities, memories = self._probabilities(seen, views)
        return probabilities, self._after(seen, views, self._macro_actions.nearest(actions), memories)

    def choose(self, seen: Sequence[Any], views: Sequence[View]) -> tuple[np.ndarray, np.ndarray]:
        """Choose macro actions.

        Args:
            seen: observations of the views, with their histories.
            views: for their agent states and their draws.

        Returns:
            the indices [n] of the macro actions and the recurrent memories [n, numbers] after them.
        """
        probabilities, memories = self._probabilities(seen, views)
        if self._greedy:
            return probabilities.argmax(1), memories
        draws = np.array([[view.generator.random()] for view in views])
        return np.minimum((draws >= np.cumsum(probabilities, 1)).sum(1), probabilities.shape[1] - 1), memories

    def _seen(self, views: Sequence[View]) -> list[dict[str, Any]]:
        return [with_history(view.observation, history_of(view, self._macro_actions)) for view in views]

    def _after(
        self, seen: Sequence[Any], views: Sequence[View], indices: np.ndarray, memories: np.ndarray
    ) -> list[Any]:
        """Return the agent states after macro actions."""
        histories = [
            add_action(history_of(view, self._macro_actions), observation, index)
            for view, observation, index in zip(views, seen, indices.tolist(), strict=True)
        ]
        return list(zip(histories, memories, strict=True))

    def _probabilities(self, seen: Sequence[Any], views: Sequence[View]) -> tuple[np.ndarray, np.ndarray]:
        """Return the probabilities [n, macro actions] and the recurrent memories [n, numbers] after this step."""
        empty = self.net.start(1)[0].cpu().numpy()
        hidden = [view.memory[1] if isinstance(view.memory, tuple) else empty for view in views]
        rows = {**stack_observations(seen), "hidden": np.stack(hidden)}
        with torch.inference_mode():
            found = in_micro_batches(
                self._answer, {name: torch.from_numpy(each).to(self.net.device) for name, each in rows.items()}
            )
        return found["probabilities"].double().cpu().numpy(), found["hidden"].cpu().numpy()

    def _answer(self, rows: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return ``probabilities`` [n, macro actions] and ``hidden`` [n, numbers]."""
        hidden = rows.pop("hidden")
        answer = self.net({name: each[None] for name, each in rows.items()}, hidden, hidden.new_zeros(1, len(hidden)))
        return {"probabilities": answer.logits[0].softmax(-1), "hidden": answer.hidden}


def policy_space(observation_space: spaces.Space[Any]) -> spaces.Dict:
    """Return the Dict space of what a policy sees beside its history: frames alone become ``rgb``.

    Raises:
        ValueError: observations with several frames, or without any.
    """
    named = observation_space if isinstance(observation_space, spaces.Dict) else spaces.Dict({"rgb": observation_space})
    for name in FRAMES:
        space = named.spaces.get(name)
        shape = getattr(space, "shape", None)
        if (space is not None or name == "rgb") and (shape is None or len(shape) != 3 or shape[2] != 3):
            raise ValueError("learning agents need observation='frame' in colour")
    return named


def build_policy(
    observation_space: spaces.Space[Any],
    macro_actions: MacroActions,
    recurrent: bool = False,
    symmetric: bool = False,
) -> NavigationNet:
    """Build an untrained policy for observations as the environment gives them.

    Raises:
        ValueError: observations that a policy cannot use.
    """
    return NavigationNet(policy_space(observation_space), macro_actions, recurrent, symmetric)


def stack_observations(observations: Sequence[Any]) -> dict[str, np.ndarray]:
    """Stack Dict observations to a batch."""
    return {name: np.stack([observation[name] for observation in observations]) for name in observations[0]}


def store_policy(policy: torch.nn.Module, path: Path) -> None:
    """Write the weights as safetensors, whole or not at all."""
    write_tensors(path, {name: tensor.detach().cpu().contiguous() for name, tensor in policy.state_dict().items()})


def load_policy(policy: torch.nn.Module, path: Path) -> None:
    """Fill a policy with weights that `store_policy` wrote.

    Raises:
        ValueError: a damaged file, or weights of another task or network.
    """
    wanted = {name: tuple(tensor.shape) for name, tensor in policy.state_dict().items()}
    policy.load_state_dict(read_tensors(path, wanted, "this task"))
