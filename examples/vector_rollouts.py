"""Roll out many episodes in one batch, fork one of them into all environments, and keep frames on the device.

Run: python examples/vector_rollouts.py
"""

import gymnasium
import numpy as np

import li_env  # noqa: F401  (registers the environments)

NUM_ENVS = 4
FORWARD = 1

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

# Fork: all environments go on from where the best one is. Nothing is copied, the history is shared.
best = int(returns.argmax())
envs.fork(src=best, dst=[i for i in range(NUM_ENVS) if i != best])
saved = envs.save_state([best])

# One action each from the same state: which one shows most?
frames, rewards, terminations, truncations, infos = envs.step(np.arange(1, 1 + NUM_ENVS))
print(f"from environment {best}, actions 1 to {NUM_ENVS} show:", rewards.round(2))

# Go back, and reset a single environment while the others stay where they are.
envs.restore_state(saved * NUM_ENVS)
envs.reset(seed=9, options={"reset_mask": np.arange(NUM_ENVS) == 3})
frames, rewards, terminations, truncations, infos = envs.step(np.full(NUM_ENVS, FORWARD))
print("chunks made so far:", infos["chunk"])
envs.close()
