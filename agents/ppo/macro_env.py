"""What PPO sees of a vector environment: a choice of moves, and the short memory in the observation."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from li_env.agents.macro_actions import MacroActions
from li_env.agents.ppo.action_history import HISTORY, history_space, no_memory, recall, remember


class MacroActionVecEnv(VecEnvWrapper):
    """An SB3 vector environment with moves as actions and `li_env.agents.ppo.action_history` as a part of observations.

    Args:
        venv: with ``continuous`` actions and Dict observations.
        moves: of its action space.
    """

    def __init__(self, venv: VecEnv, moves: MacroActions) -> None:
        assert isinstance(venv.observation_space, spaces.Dict)
        seen = spaces.Dict({**venv.observation_space.spaces, HISTORY: history_space(moves)})
        super().__init__(venv, observation_space=seen, action_space=moves.space)
        self._moves = moves
        self._memories = [no_memory(moves)] * venv.num_envs
        self._before: dict[str, np.ndarray] = {}
        self._choices = np.zeros(venv.num_envs, dtype=int)

    def reset(self) -> VecEnvObs:
        """Start episodes."""
        self._memories = [no_memory(self._moves)] * self.num_envs
        return self._shown(self.venv.reset())

    def step_async(self, actions: np.ndarray) -> None:
        """Translate and pass on."""
        self._choices = actions
        self.venv.step_async(self._moves.table[actions])

    def step_wait(self) -> VecEnvStepReturn:
        """Pass back, with memories; ended episodes forget."""
        observations, rewards, dones, infos = self.venv.step_wait()
        for world, done in enumerate(dones.tolist()):
            before = {name: array[world] for name, array in self._before.items() if name == "pointgoal"}
            made = remember(self._memories[world], before, int(self._choices[world]))
            self._memories[world] = recall(made, infos[world]["blocked"])
            if done:
                last = infos[world]["terminal_observation"]
                infos[world]["terminal_observation"] = {**last, HISTORY: self._memories[world].ravel()}
                self._memories[world] = no_memory(self._moves)
        return self._shown(observations), rewards, dones, infos

    def _shown(self, observations: Any) -> dict[str, np.ndarray]:
        self._before = observations
        return {**observations, HISTORY: np.stack([memory.ravel() for memory in self._memories])}
