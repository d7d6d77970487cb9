"""Look ahead: simulate every action, take the one that shows the most new ground, and go back in the end.

Run: python examples/save_restore.py
"""

import gymnasium

from li_env import Action

env = gymnasium.make("LightInteraction/Explore-v0", world="freedoom").unwrapped
env.reset(seed=0)
start = env.save_state()  # costs nothing: a reference to immutable data

actions = list(range(env.action_space.n))
for step in range(3):
    here = env.save_state()
    # One batch, the environment stays where it is; what comes back are the states after each action.
    states, rewards, terminations, truncations = env.simulate([here] * len(actions), actions)
    best = int(rewards.argmax())
    env.restore_state(states[best])  # as if env.step(best) had been called
    print(f"step {step}: {Action(best).name} shows {rewards[best]:.2f} new views")

env.restore_state(start)  # exactly as at the beginning
env.close()
