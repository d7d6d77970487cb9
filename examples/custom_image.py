"""Start from your own picture and turn once around.

Run: python examples/custom_image.py PICTURE
"""

import sys

import gymnasium

from li_env import Action, tools

env = gymnasium.make("LightInteraction/Explore-v0", world="freedoom", observation="frame")
observation, info = env.reset(seed=0, options={"image": tools.read_image(sys.argv[1])})

frames = [observation]
for _ in range(6):
    observation, *_ = env.step(Action.TURN_RIGHT)
    frames.append(observation)

tools.write_png("outputs/custom_image.png", tools.contact_sheet(frames, columns=7))
env.close()
print("wrote outputs/custom_image.png")
