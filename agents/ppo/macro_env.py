"""Vector environment that PPO sees: macro actions as actions, the action history in the observation."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from li_env.agents.macro_actions import MacroActions
from li_env.agents.ppo.action_history import (
    HISTORY,
    add_action,
    add_bump,
    empty_history,
    history_space,
    with_history,
)


class MacroActionVecEnv(VecEnvWrapper):
    """Wrapper of an SB3 vector environment with macro actions and `li_env.agents.ppo.action_history`.

    Args:
        venv: environment with ``continuous`` actions and Dict observations.
        macro_actions: macro actions of its action space.
    """

    def __init__(self, venv: VecEnv, macro_actions: MacroActions) -> None:
        assert isinstance(venv.observation_space, spaces.Dict)
        seen = spaces.Dict({**venv.observation_space.spaces, HISTORY: history_space(macro_actions)})
        super().__init__(venv, observation_space=seen, action_space=macro_actions.space)
        self._macro_actions = macro_actions
        self._histories = [empty_history(macro_actions)] * venv.num_envs
        self._before: dict[str, np.ndarray] = {}
        self._indices = np.zeros(venv.num_envs, dtype=int)

    def reset(self) -> VecEnvObs:
        self._histories = [empty_history(self._macro_actions)] * self.num_envs
        return self._with_histories(self.venv.reset())

    def step_async(self, actions: np.ndarray) -> None:
        """Pass on the continuous actions of macro actions [num_envs]."""
        self._indices = actions
        self.venv.step_async(self._macro_actions.table[actions])

    def step_wait(self) -> VecEnvStepReturn:
        """Return the step with its histories; an ended episode leaves an empty history."""
        observations, rewards, dones, infos = self.venv.step_wait()
        for env, done in enumerate(dones.tolist()):
            before = {name: array[env] for name, array in self._before.items() if name == "pointgoal"}
            history = add_action(self._histories[env], before, int(self._indices[env]))
            self._histories[env] = add_bump(history, infos[env]["blocked"])
            if done:
                last = infos[env]["terminal_observation"]
                infos[env]["terminal_observation"] = with_history(last, self._histories[env])
                self._histories[env] = empty_history(self._macro_actions)
        return self._with_histories(observations), rewards, dones, infos

    def _with_histories(self, observations: Any) -> dict[str, np.ndarray]:
        self._before = observations
        return {**observations, HISTORY: np.stack([history.ravel() for history in self._histories])}
