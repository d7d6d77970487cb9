"""A Gymnasium environment on an accelerated interactive video world model.

Importing this package registers the environments and nothing else: neither PyTorch nor a world is loaded before
``gymnasium.make``.
"""

import gymnasium

__version__ = "0.1.0"

gymnasium.register(
    id="LightInteraction/Explore-v0",
    entry_point="li_env.env:LightInteractionEnv",
    max_episode_steps=64,
)
