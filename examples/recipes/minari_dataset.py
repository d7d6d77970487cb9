"""Collect a Minari data set of navigation episodes with frames, poses and measures.

Run: python examples/recipes/minari_dataset.py --world freedoom_game --episodes 20
It is stored below ~/.minari, or where MINARI_DATASETS_PATH says.
"""

import argparse

import gymnasium
import minari
import numpy as np

import li_env  # noqa: F401  (registers the environments)

parser = argparse.ArgumentParser()
parser.add_argument("--world", default="freedoom")
parser.add_argument("--episodes", type=int, default=20)
arguments = parser.parse_args()

env = gymnasium.make(
    "LightInteraction/PointGoal-v0",
    world=arguments.world,
    action_space="continuous",
    observation="frame",
    frame_size=(84, 112),
)
env = minari.DataCollector(env, record_infos=True, data_format="hdf5")
for episode in range(arguments.episodes):
    observation, info = env.reset(seed=episode)
    ended = False
    while not ended:
        distance, bearing = observation["pointgoal"]
        action = np.zeros(4, np.float32)  # forward, right, yaw, stop
        if distance < 1.2:
            action[3] = 1.0
        else:
            action[2] = np.clip(np.degrees(bearing) / 60, -1, 1)
            action[0] = min(1.0, distance / 3) if abs(bearing) < 0.35 else 0.0
        observation, _, terminated, truncated, info = env.step(action)
        ended = terminated or truncated

dataset = env.create_dataset(
    dataset_id="li-env/point-goal-v0",
    eval_env="LightInteraction/PointGoal-v0",
    algorithm_name="turn to the goal and walk",
    author="li-env",
    author_email="none",
    code_permalink="examples/recipes/minari_dataset.py",
    description="PointGoal episodes of a scripted agent",
)
env.close()
first = dataset[0]
print(f"{dataset.total_episodes} episodes, {dataset.total_steps} steps")
print(f"poses of the first episode: {np.asarray(first.infos['pose']).shape}, frames {first.observations['rgb'].shape}")
