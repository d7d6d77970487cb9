"""Roll out many episodes in one batch, simulate actions, fork one episode, and keep frames on the device.

Run: python examples/vector_rollouts.py
"""

import gymnasium
import numpy as np

from li_env import Action

NUM_ENVS = 4

envs = gymnasium.make_vec(
    "LightInteraction/Explore-v0",
    num_envs=NUM_ENVS,
    vectorization_mode="vector_entry_point",
    world="freedoom",
    observation="frame",
    autoreset_mode="SameStep",
    device_obs=True,  # observations are torch tensors on the world's device; no frame visits the host
)
frames, infos = envs.reset(seed=0)  # environment i is the single environment with seed 0 + i
print(f"frames {list(frames.shape)}, {frames.dtype} on {frames.device}")

# Rollouts: every environment goes its own path.
envs.action_space.seed(0)
returns = np.zeros(NUM_ENVS)
for _ in range(3):
    frames, rewards, terminations, truncations, infos = envs.step(envs.action_space.sample())
    returns += rewards
print("newly seen in 3 random steps, in views:", returns.round(2))

# Simulate: what would every action give from where the best environment is? Nothing moves.
best = int(returns.argmax())
actions = [Action.FORWARD, Action.BACKWARD, Action.TURN_LEFT, Action.TURN_RIGHT]
states, rewards, terminations, truncations = envs.simulate(list(envs.save_state([best])) * len(actions), actions)
print(
    f"from environment {best}:",
    {each.name: round(float(reward), 2) for each, reward in zip(actions, rewards, strict=True)},
)

# Fork: all environments go on from there. Nothing is copied, the history is shared.
envs.fork(src=best, dst=[i for i in range(NUM_ENVS) if i != best])
frames, rewards, terminations, truncations, infos = envs.step(np.array(actions))
print("the same by stepping:", rewards.round(2))

# Reset a single environment while the others stay where they are.
envs.reset(seed=9, options={"reset_mask": np.arange(NUM_ENVS) == 3})
frames, rewards, terminations, truncations, infos = envs.step(np.full(NUM_ENVS, Action.FORWARD))
print("chunks made so far:", infos["chunk"])
envs.close()
