"""Look ahead: try every action from the same moment and take the one that shows the most new ground.

Run: python examples/save_restore.py
"""

import gymnasium

import li_env  # noqa: F401  (registers the environments)

env = gymnasium.make("LightInteraction/Explore-v0", world="freedoom").unwrapped
env.reset(seed=0)

for step in range(3):
    here = env.save_state()  # costs nothing: a reference to immutable data
    rewards = []
    for action in range(env.action_space.n):
        env.restore_state(here)
        rewards.append(env.step(action)[1])
    best = max(range(len(rewards)), key=rewards.__getitem__)
    env.restore_state(here)
    env.step(best)
    print(f"step {step}: action {best} shows {rewards[best]:.2f} new views")

env.close()
