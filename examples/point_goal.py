"""Walk to a goal by turning towards it, in the learned world.

The same lines play in the real game: world="freedoom_game" (needs the extra doom).

Run: python examples/point_goal.py
"""

import gymnasium
import numpy as np

import li_env  # noqa: F401  (registers the environments)

env = gymnasium.make("LightInteraction/PointGoal-v0", world="freedoom", action_space="continuous")

observation, info = env.reset(seed=0)
terminated = truncated = False
while not (terminated or truncated):
    distance, bearing = observation["pointgoal"]
    action = np.zeros(4, np.float32)  # forward, right, yaw, stop
    if distance < 1.2:
        action[3] = 1.0
    else:
        action[2] = np.clip(np.degrees(bearing) / 60, -1, 1)  # a step turns up to 60 degrees
        action[0] = min(1.0, distance / 3) if abs(bearing) < 0.35 else 0.0  # and walks up to 3 m
    observation, reward, terminated, truncated, info = env.step(action)
    print(f"{info['distance_to_goal']:5.2f} m to go, reward {reward:+.2f}")

env.close()
print(f"success {info['success']:.0f}, SPL {info['spl']:.2f}, {info['collisions']} collisions")
