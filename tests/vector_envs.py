"""Vector environments for tests, made as users make them."""

from __future__ import annotations

import gymnasium

import li_env  # noqa: F401  (registers the ids)
from li_env.vector_env import LightInteractionVectorEnv

ID = "LightInteraction/Explore-v0"


def make(world: object = "analytic", num_envs: int = 3, **kwargs: object) -> LightInteractionVectorEnv:
    env = gymnasium.make_vec(ID, num_envs, vectorization_mode="vector_entry_point", world=world, **kwargs)
    assert isinstance(env, LightInteractionVectorEnv)
    return env
