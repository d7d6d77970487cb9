"""Step the environment for a while and write every frame to a video.

Run: python examples/step_env.py
"""

import gymnasium

from li_env import Action, tools

env = gymnasium.make("LightInteraction/Explore-v0", world="freedoom")
env = tools.RecordAllFrames(env, "outputs/step_env")

observation, info = env.reset(seed=0)
print(f"a step shows {observation.shape[0]} frames of {observation.shape[1]} x {observation.shape[2]} pixels")

total = 0.0
for action in [Action.FORWARD] * 2 + [Action.TURN_RIGHT, Action.FORWARD] + [Action.TURN_RIGHT] * 2:
    observation, reward, terminated, truncated, info = env.step(action)
    total += reward
    x, _, z = info["pose"][:3, 3]
    print(f"at ({x:+.2f}, {z:+.2f}), {info['blocked']:.0%} of the motion blocked, newly seen: {reward:.2f} of one view")
    if truncated:
        break

env.close()
print(f"newly seen in all: {total:.2f} views; the video is in outputs/step_env")
