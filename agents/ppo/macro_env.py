"""Vector environment that PPO learns in: macro actions as actions, histories and changed colours, all on one device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from li_env import LightInteractionVectorEnv
from li_env.agents.macro_actions import MacroActions
from li_env.agents.ppo.action_history import HISTORY, HistoryBatch
from li_env.agents.ppo.networks import GAINS

Observations = dict[str, torch.Tensor]


@dataclass(frozen=True, eq=False)
class MacroStep:
    """Step of all episodes.

    Attributes:
        observations: after the step; those of ended episodes are their last ones.
        rewards: float32 [n].
        terminated: bool [n], the task has ended.
        ended: bool [n], the task has ended or the episode was cut.
        bumps: float32 [n], the share of the motion that walls refused.
        infos: of the environment, arrays on the host.
    """

    observations: Observations
    rewards: torch.Tensor
    terminated: torch.Tensor
    ended: torch.Tensor
    bumps: torch.Tensor
    infos: dict[str, Any]


class MacroActionEnvs:
    """Episodes of a vector environment as the network sees them.

    Args:
        env: environment with ``continuous`` actions, ``observation="frame"``, ``device_obs`` and autoreset mode
            ``DISABLED``.
        macro_actions: macro actions of its action space.
        device: where the network is; frames stay there if the world is on the same device.
        colours: largest change of the brightness of each colour, which holds for a whole episode.
    """

    def __init__(
        self,
        env: LightInteractionVectorEnv,
        macro_actions: MacroActions,
        device: torch.device,
        colours: float = 0.0,
    ) -> None:
        self.env, self.device, self.num_envs = env, device, env.num_envs
        self._macro_actions, self._colours = macro_actions, colours
        self._draws = np.random.default_rng()
        self._histories = HistoryBatch(self.num_envs, macro_actions, self.device)
        self._gains = torch.ones(self.num_envs, 3, device=self.device)
        self._before: Observations = {}
        self._taken = torch.zeros(0, dtype=torch.int64)

    def reset(self, seed: int) -> Observations:
        """Begin an episode in every environment; everything drawn follows from the seed."""
        self._draws = np.random.default_rng(seed)
        seeds = self._draws.integers(2**31 - 1, size=self.num_envs).tolist()
        observations, _ = self.env.reset(seed=seeds)
        return self._begun(observations, np.ones(self.num_envs, dtype=bool))

    def step(self, indices: torch.Tensor) -> MacroStep:
        """Take macro actions int64 [n]; ended episodes wait for `restart`."""
        self.step_async(indices)
        return self.step_wait()

    def step_async(self, indices: torch.Tensor) -> None:
        """Begin what `step` does, see `LightInteractionVectorEnv.step_async`."""
        self.env.step_async(self._macro_actions.table[indices.cpu().numpy()])
        self._taken = indices

    def step_wait(self) -> MacroStep:
        """Finish the step that `step_async` began."""
        observations, rewards, terminated, truncated, infos = self.env.step_wait()
        bumps = self._float(infos["blocked"])
        self._histories.add(self._before, self._taken, bumps)
        flags = torch.from_numpy(np.stack([terminated, terminated | truncated])).to(self.device)
        return MacroStep(self._shown(observations), self._float(rewards), flags[0], flags[1], bumps, infos)

    def restart(self, ended: np.ndarray) -> Observations:
        """Begin new episodes where ``ended`` bool [n] is true, somewhere at least; return all observations."""
        observations, _ = self.env.reset(options={"reset_mask": ended})
        return self._begun(observations, ended)

    def _begun(self, observations: Any, rows: np.ndarray) -> Observations:
        mask = torch.from_numpy(rows).to(self.device)
        self._histories.forget(mask)
        if self._colours:
            gains = self._draws.uniform(1 - self._colours, 1 + self._colours, (int(rows.sum()), 3))
            self._gains[mask] = self._float(gains)
        return self._shown(observations)

    def _shown(self, observations: Any) -> Observations:
        named = observations if isinstance(observations, dict) else {"rgb": observations}
        self._before = {name: each.to(self.device) for name, each in named.items()}
        shown = {**self._before, HISTORY: self._histories.flat}
        if self._colours:
            shown[GAINS] = self._gains.clone()
        return shown

    def _float(self, values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.asarray(values, dtype=np.float32)).to(self.device)
