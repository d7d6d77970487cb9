"""The former place of `li_env.sb3`; goes with the next release."""

from __future__ import annotations

import warnings

from li_env.sb3 import SB3VecEnv

__all__ = ["SB3VecEnv"]

warnings.warn("li_env.agents.sb3 has moved: import SB3VecEnv from li_env.sb3", DeprecationWarning, stacklevel=2)
