"""Adapter of the native vector environment to Stable-Baselines3: many episodes on one model under SB3's algorithms."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import deepcopy
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn

from li_env.vector.infos import info_of
from li_env.vector_env import LightInteractionVectorEnv

_FINAL = ("final_obs", "final_info")


class SB3VecEnv(VecEnv):
    """Stable-Baselines3 ``VecEnv`` around a `LightInteractionVectorEnv` in mode ``SAME_STEP``.

    Ended episodes are reset in the step that ends them, as SB3 expects. ``infos[i]["terminal_observation"]`` is the
    last observation of the ended episode. ``infos[i]["TimeLimit.truncated"]`` tells a cut from an end. The rest of
    ``infos[i]`` is the info of the ended episode, and what Gymnasium's wrappers around ``env`` added to it (such as
    ``episode``). ``reset_infos[i]`` is the info of the new episode. Image policies want one frame per step: build the
    environment with ``observation="frame"``.

    Seeds (`seed`) and reset options (`set_options`, one dictionary per environment or one for all) take effect at the
    next `reset`, as in SB3's own vector environments.

    Args:
        env: environment with observations on the host.

    Raises:
        ValueError: another kind of environment, another autoreset mode, or observations on a device.
    """

    def __init__(self, env: gymnasium.vector.VectorEnv[Any, Any, np.ndarray]) -> None:
        inner = env.unwrapped
        if not isinstance(inner, LightInteractionVectorEnv):
            raise ValueError(f"env={type(inner).__name__} is not usable; allowed: LightInteractionVectorEnv")
        if inner.autoreset_mode != AutoresetMode.SAME_STEP:
            mode = inner.autoreset_mode.value
            raise ValueError(f"autoreset_mode={mode!r} does not fit Stable-Baselines3; allowed: SameStep")
        if inner.device_obs:
            raise ValueError("device_obs=True does not fit Stable-Baselines3, which takes arrays; allowed: False")
        self.env, self._inner = env, inner
        self._actions: np.ndarray | None = None
        # Copies: VecNormalize changes Dict spaces in place.
        super().__init__(env.num_envs, deepcopy(env.single_observation_space), deepcopy(env.single_action_space))
        self.metadata = {**env.metadata, **self.metadata}  # without render_fps videos would have 30 frames per second

    def reset(self) -> VecEnvObs:
        """Start episodes in all environments."""
        observations, infos = self.env.reset(  # None goes on with an environment's generator
            seed=list(self._seeds),  # type: ignore[arg-type]
            options={"each": [dict(options) for options in self._options]},
        )
        self.reset_infos = [info_of(infos, index) for index in range(self.num_envs)]
        self._reset_seeds()
        self._reset_options()
        return observations

    def step_async(self, actions: np.ndarray) -> None:
        """Remember the actions for `step_wait`."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Take the step and return (observations, rewards float32, dones, infos)."""
        observations, rewards, terminations, truncations, stacked = self.env.step(self._actions)
        dones = terminations | truncations
        infos = []
        for index, done in enumerate(dones.tolist()):
            info = info_of(stacked, index)
            if done:
                # The environment's own keys describe the new episode, keys that wrappers added describe the ended one.
                ended = info_of(stacked["final_info"], index)
                self.reset_infos[index] = {key: value for key, value in info.items() if key in ended}
                added = {key: value for key, value in info.items() if key not in ended and key not in _FINAL}
                info = {**added, **ended}
            info["TimeLimit.truncated"] = bool(truncations[index] and not terminations[index])
            if done:
                info["terminal_observation"] = stacked["final_obs"][index]
            infos.append(info)
        return observations, rewards.astype(np.float32), dones, infos

    def close(self) -> None:
        self.env.close()

    def get_images(self) -> Sequence[np.ndarray | None]:
        """Return the last frame of every environment, or ``None`` where it does not render."""
        frames = self._inner.render()
        return [None] * self.num_envs if frames is None else frames

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """Return an attribute of the vector environment, once per environment: single ones have none."""
        return [getattr(self._inner, attr_name) for _ in self._rows(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Refuse, because the environments share all attributes."""
        raise AttributeError(f"{attr_name!r} cannot be set: all environments are one object; set it when building that")

    def env_method(self, method_name: str, *args: Any, indices: VecEnvIndices = None, **kwargs: Any) -> list[Any]:
        """Refuse, because the environments share all methods."""
        where = "call it on the vector environment, `.env`"
        raise AttributeError(f"{method_name!r} cannot be called on one environment: {where}")

    def env_is_wrapped(self, wrapper_class: type[gymnasium.Wrapper], indices: VecEnvIndices = None) -> list[bool]:
        """Return ``False``: there are no single environments to wrap."""
        return [False for _ in self._rows(indices)]

    def _rows(self, indices: VecEnvIndices) -> Iterable[int]:
        return self._get_indices(indices)
