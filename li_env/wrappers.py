"""Wrappers for what one frame per step cannot show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils import RecordConstructorArgs

from li_env.env import LightInteractionEnv
from li_env.frames import new_frames
from li_env.recording import write_video


class RecordAllFrames(gymnasium.Wrapper[np.ndarray, Any, np.ndarray, Any], RecordConstructorArgs):
    """Writes every frame of every episode, once and in order, to ``folder/episode-<n>.mp4`` at the world's frame rate.

    Gymnasium's ``RecordVideo`` asks for one frame per step and so shows one frame of T; this one takes them all, in any
    render or observation mode. An episode's file appears when the next one starts or the environment is closed.

    Args:
        env: an environment of this package, wrapped or not.
        folder: where the videos go; made if needed.

    Raises:
        ValueError: another kind of environment.
    """

    def __init__(self, env: gymnasium.Env[np.ndarray, Any], folder: str | Path) -> None:
        RecordConstructorArgs.__init__(self, folder=str(folder))
        super().__init__(env)
        inner = env.unwrapped
        if not isinstance(inner, LightInteractionEnv):
            raise ValueError(f"env={type(inner).__name__} cannot be recorded here; allowed: LightInteractionEnv")
        self._inner = inner
        self._folder = Path(folder)
        self._frames: list[np.ndarray] = []
        self._episode = -1

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Write the episode before, start a new one."""
        self._write()
        observation, info = self.env.reset(seed=seed, options=options)
        self._episode += 1
        self._keep()
        return observation, info

    def step(self, action: Any) -> tuple[np.ndarray, Any, bool, bool, dict[str, Any]]:
        """Step and keep the frames that it made."""
        outcome = self.env.step(action)
        self._keep()
        return outcome

    def close(self) -> None:
        """Write the last episode, close the environment."""
        self._write()
        self.env.close()

    def _keep(self) -> None:
        self._frames += [record.frame for record in new_frames(self._inner.save_state())]

    def _write(self) -> None:
        if len(self._frames) > 1:
            path = self._folder / f"episode-{self._episode}.mp4"
            write_video(path, self._frames, self._inner.world.spec.fps)
        self._frames = []
