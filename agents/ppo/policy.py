"""Policy network as an agent: build it, store it, load it, let it act."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.policies import ActorCriticPolicy, MultiInputActorCriticPolicy
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.vec_env import VecTransposeImage

from li_env import View
from li_env.agents.base import DrawingAgent
from li_env.agents.macro_actions import MacroActions
from li_env.agents.micro_batches import in_micro_batches
from li_env.agents.ppo.action_history import HISTORY, add_action, history_of, history_space, with_history
from li_env.agents.ppo.networks import GoalFeatures
from li_env.tensor_files import read_tensors, write_tensors
from li_env.validation import shown

POLICY = "policy.safetensors"
"""File name of the weights in an agent's folder."""


def policy_arguments() -> dict[str, Any]:
    """Return the arguments of the policy network, as SB3 takes them."""
    return {"features_extractor_class": GoalFeatures, "net_arch": [128], "activation_fn": torch.nn.ReLU}


class PolicyAgent(DrawingAgent):
    """Trained policy that acts.

    Args:
        policy: network over frames and sensors, with macro actions as actions.
        macro_actions: macro actions of the action space.
        seed: seed of the draws; ``None`` takes the most likely macro action instead of drawing.
    """

    def __init__(self, policy: ActorCriticPolicy, macro_actions: MacroActions, seed: int | None = 0) -> None:
        super().__init__(seed or 0)
        self.policy, self._macro_actions, self._greedy = policy, macro_actions, seed is None

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
        policy = build_policy(observation_space, macro_actions)
        load_policy(policy, path)
        return cls(policy.to(device).eval(), macro_actions, seed)

    def act(self, views: Sequence[View]) -> tuple[list[np.ndarray], list[Any]]:
        """Answer every view; the agent state is a history of `li_env.agents.ppo.action_history`."""
        indices = self.choose(views)
        histories = [
            add_action(history_of(view, self._macro_actions), view.observation, index)  # type: ignore[arg-type]
            for view, index in zip(views, indices.tolist(), strict=True)
        ]
        return self._macro_actions.actions(indices), histories

    def choose(self, views: Sequence[View]) -> np.ndarray:
        """Return the indices [n] of the macro actions to take."""
        seen = [with_history(view.observation, history_of(view, self._macro_actions)) for view in views]
        with torch.inference_mode():
            tensors, _ = self.policy.obs_to_tensor(stack_observations(seen))
            assert isinstance(tensors, dict)
            found = in_micro_batches(self._probabilities, tensors)
        probabilities = found["probabilities"].double().cpu().numpy()
        if self._greedy:
            return probabilities.argmax(1)
        draws = np.array([[view.generator.random()] for view in views])
        return np.minimum((draws >= np.cumsum(probabilities, 1)).sum(1), probabilities.shape[1] - 1)

    def _probabilities(self, observations: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return the probabilities [n, macro actions]."""
        chosen = self.policy.get_distribution(observations).distribution
        assert isinstance(chosen, torch.distributions.Categorical)
        return {"probabilities": chosen.probs}


def build_policy(observation_space: spaces.Space[Any], macro_actions: MacroActions) -> MultiInputActorCriticPolicy:
    """Build an untrained policy as a training makes it, for observations as the environment gives them.

    Raises:
        ValueError: observations without a goal sensor or with several frames.
    """
    if not isinstance(observation_space, spaces.Dict) or not is_image_space(observation_space["rgb"]):
        raise ValueError("learning agents need a goal task and observation='frame'")
    turned = spaces.Dict(
        {
            name: VecTransposeImage.transpose_space(space)
            if isinstance(space, spaces.Box) and is_image_space(space)
            else space
            for name, space in {**observation_space.spaces, HISTORY: history_space(macro_actions)}.items()
        }
    )
    return MultiInputActorCriticPolicy(turned, macro_actions.space, lambda _: 0.0, **policy_arguments())


def stack_observations(observations: Sequence[Any]) -> dict[str, np.ndarray]:
    """Stack Dict observations to a batch, frames channels first."""
    batch = {name: np.stack([observation[name] for observation in observations]) for name in observations[0]}
    return {name: array.transpose(0, 3, 1, 2) if array.ndim == 4 else array for name, array in batch.items()}


def store_policy(policy: torch.nn.Module, path: Path) -> None:
    """Write the weights as safetensors, whole or not at all."""
    # The actor and the critic share the feature extractor: clones, because safetensors refuses shared storage.
    write_tensors(path, {name: tensor.detach().cpu().clone() for name, tensor in policy.state_dict().items()})


def load_policy(policy: torch.nn.Module, path: Path) -> None:
    """Fill a policy with weights that `store_policy` wrote.

    Raises:
        ValueError: a damaged file, or weights of another task or network.
    """
    wanted = {name: tuple(tensor.shape) for name, tensor in policy.state_dict().items()}
    policy.load_state_dict(read_tensors(path, wanted, "this task"))
