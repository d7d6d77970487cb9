"""A Gymnasium environment on an accelerated interactive video world model.

Importing this package registers the environments and nothing else: neither PyTorch nor a world is loaded before
``gymnasium.make``.
"""

import gymnasium

__version__ = "0.1.0"

for _name, _task, _steps in (
    ("Explore", "explore", 64),
    ("PointGoal", "pointgoal", 32),
    ("ImageGoal", "imagegoal", 32),
):
    gymnasium.register(
        id=f"LightInteraction/{_name}-v0",
        entry_point="li_env.env:LightInteractionEnv",
        vector_entry_point="li_env.vector_env:LightInteractionVectorEnv",
        kwargs={"task": _task},
        max_episode_steps=_steps,
    )
