"""A policy network as an agent: build it, store it, load it, let it act."""

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

from li_env.agents.base import DrawingAgent
from li_env.agents.macro_actions import MacroActions
from li_env.agents.micro_batches import by_blocks
from li_env.agents.ppo.action_history import HISTORY, history_space, no_memory, recall, remember
from li_env.agents.ppo.networks import GoalFeatures
from li_env.rollouts import View
from li_env.tensor_files import read_tensors, write_tensors
from li_env.validation import shown

POLICY = "policy.safetensors"
"""Name of the weights in an agent's folder."""


def policy_arguments() -> dict[str, Any]:
    """Of the policy network."""
    return {"features_extractor_class": GoalFeatures, "net_arch": [128], "activation_fn": torch.nn.ReLU}


class PolicyAgent(DrawingAgent):
    """A trained policy that acts.

    Args:
        policy: over frames and sensors, with the moves as actions.
        moves: of the action space.
        seed: of the draws; ``None`` takes the most likely move instead of drawing.
    """

    def __init__(self, policy: ActorCriticPolicy, moves: MacroActions, seed: int | None = 0) -> None:
        super().__init__(seed or 0)
        self.policy, self._moves, self._greedy = policy, moves, seed is None

    @classmethod
    def load(
        cls,
        folder: str | Path,
        observation_space: spaces.Space[Any],
        moves: MacroActions,
        seed: int | None = 0,
        device: str = "cpu",
        weights: str = "policy.safetensors",
    ) -> PolicyAgent:
        """Load what `train` left in ``folder``; ``weights`` may name a snapshot.

        Raises:
            ValueError: no such file, or weights of another task or network.
        """
        path = Path(folder) / weights
        if not path.is_file():
            raise ValueError(
                f"agent={shown(str(folder))} has no {weights}; allowed: a folder that li-env train agent made"
            )
        policy = build_policy(observation_space, moves)
        load_policy(policy, path)
        return cls(policy.to(device).eval(), moves, seed)

    def act(self, views: Sequence[View]) -> tuple[list[np.ndarray], list[Any]]:
        """See `li_env.agents.base.Agent`; the memory is that of `li_env.agents.ppo.action_history`."""
        choices = self.choose(views)
        remembered = [
            remember(self.memory(view), view.observation, choice)  # type: ignore[arg-type]
            for view, choice in zip(views, choices.tolist(), strict=True)
        ]
        return self._moves.actions(choices), remembered

    def memory(self, view: View) -> np.ndarray:
        """What is remembered of an episode."""
        return no_memory(self._moves) if view.memory is None else recall(view.memory, view.info["blocked"])

    def choose(self, views: Sequence[View]) -> np.ndarray:
        """Indices [n] of the moves to make."""
        batch = stack_observations([{**view.observation, HISTORY: self.memory(view).ravel()} for view in views])
        with torch.inference_mode():
            tensors, _ = self.policy.obs_to_tensor(batch)
            assert isinstance(tensors, dict)
            chances = by_blocks(self._chances, tensors)["chances"].double().cpu().numpy()
        if self._greedy:
            return chances.argmax(1)
        draws = np.array([[view.generator.random()] for view in views])
        return np.minimum((draws >= np.cumsum(chances, 1)).sum(1), chances.shape[1] - 1)

    def _chances(self, observations: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Probability [n, moves] of every move."""
        chosen = self.policy.get_distribution(observations).distribution
        assert isinstance(chosen, torch.distributions.Categorical)
        return {"chances": chosen.probs}


def build_policy(observation_space: spaces.Space[Any], moves: MacroActions) -> MultiInputActorCriticPolicy:
    """A policy as `train` makes it, untrained, for observations as the environment gives them.

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
            for name, space in {**observation_space.spaces, HISTORY: history_space(moves)}.items()
        }
    )
    return MultiInputActorCriticPolicy(turned, moves.space, lambda _: 0.0, **policy_arguments())


def stack_observations(observations: Sequence[Any]) -> dict[str, np.ndarray]:
    """A batch of Dict observations, frames channels first."""
    batch = {name: np.stack([observation[name] for observation in observations]) for name in observations[0]}
    return {name: array.transpose(0, 3, 1, 2) if array.ndim == 4 else array for name, array in batch.items()}


def store_policy(policy: torch.nn.Module, path: Path) -> None:
    """Write the weights as safetensors, complete or not at all."""
    # the actor and the critic share their eyes: equal tensors are written once each
    write_tensors(path, {name: tensor.detach().cpu().clone() for name, tensor in policy.state_dict().items()})


def load_policy(policy: torch.nn.Module, path: Path) -> None:
    """Fill a policy from what `store_policy` wrote.

    Raises:
        ValueError: a damaged file, or weights of another task or network.
    """
    wanted = {name: tuple(tensor.shape) for name, tensor in policy.state_dict().items()}
    policy.load_state_dict(read_tensors(path, wanted, "this task"))
