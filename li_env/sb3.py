"""The native vector environment as a Stable-Baselines3 ``VecEnv``: many worlds on one model under SB3's algorithms."""

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
    """SB3's view of a `LightInteractionVectorEnv` in mode ``SAME_STEP``.

    Ended episodes are reset in the step that ends them, as SB3 expects: their last observation is
    ``infos[i]["terminal_observation"]``, ``infos[i]["TimeLimit.truncated"]`` tells a cut from an end, and the rest of
    ``infos[i]`` is the info of the ended episode, with what Gymnasium's wrappers around ``env`` said about it (such as
    ``episode``); that of the new one is ``reset_infos[i]``. Image policies want one frame per step: build the
    environment with ``observation="frame"``.

    Seeds (`seed`) and reset options (`set_options`, one dictionary per world or one for all) take effect at the next
    `reset`, as in SB3's own vector environments.

    Args:
        env: the environment; observations on the host.

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
        """Start episodes in all worlds."""
        observations, infos = self.env.reset(  # None goes on with a world's generator
            seed=list(self._seeds),  # type: ignore[arg-type]
            options={"each": [dict(options) for options in self._options]},
        )
        self.reset_infos = [info_of(infos, world) for world in range(self.num_envs)]
        self._reset_seeds()
        self._reset_options()
        return observations

    def step_async(self, actions: np.ndarray) -> None:
        """Remember the actions for `step_wait`."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Make the step: (observations, rewards float32, dones, infos)."""
        observations, rewards, terminations, truncations, stacked = self.env.step(self._actions)
        dones = terminations | truncations
        infos = []
        for world, done in enumerate(dones.tolist()):
            info = info_of(stacked, world)
            if done:
                # What the environment itself said is about the new episode, what wrappers added about the ended one.
                ended = info_of(stacked["final_info"], world)
                self.reset_infos[world] = {key: value for key, value in info.items() if key in ended}
                added = {key: value for key, value in info.items() if key not in ended and key not in _FINAL}
                info = {**added, **ended}
            info["TimeLimit.truncated"] = bool(truncations[world] and not terminations[world])
            if done:
                info["terminal_observation"] = stacked["final_obs"][world]
            infos.append(info)
        return observations, rewards.astype(np.float32), dones, infos

    def close(self) -> None:
        """Close the environment."""
        self.env.close()

    def get_images(self) -> Sequence[np.ndarray | None]:
        """The last frame of every world, if the environment renders."""
        frames = self._inner.render()
        return [None] * self.num_envs if frames is None else frames

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """The attribute of the environment, once per world: worlds have none of their own."""
        return [getattr(self._inner, attr_name) for _ in self._rows(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Not possible: worlds have no attributes of their own."""
        raise AttributeError(f"{attr_name!r} cannot be set: worlds share one environment; set it when building that")

    def env_method(self, method_name: str, *args: Any, indices: VecEnvIndices = None, **kwargs: Any) -> list[Any]:
        """Not possible: worlds have no methods of their own."""
        raise AttributeError(f"{method_name!r} cannot be called per world: call it on the vector environment, `.env`")

    def env_is_wrapped(self, wrapper_class: type[gymnasium.Wrapper], indices: VecEnvIndices = None) -> list[bool]:
        """Never: there are no single environments to wrap."""
        return [False for _ in self._rows(indices)]

    def _rows(self, indices: VecEnvIndices) -> Iterable[int]:
        return self._get_indices(indices)
