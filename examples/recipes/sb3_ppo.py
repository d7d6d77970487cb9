"""PPO of Stable-Baselines3 on many environments at once, with frames that its policies take.

Run: python examples/recipes/sb3_ppo.py --world freedoom_game --steps 20000
"""

import argparse

import gymnasium
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecMonitor

from li_env import SB3VecEnv

parser = argparse.ArgumentParser()
parser.add_argument("--world", default="freedoom")
parser.add_argument("--dataset", help="episodes on training maps (li-env build episodes); shipped ones are for tests")
parser.add_argument("--steps", type=int, default=100_000)
parser.add_argument("--num-envs", type=int, default=8)
arguments = parser.parse_args()

env = gymnasium.make_vec(
    "LightInteraction/PointGoal-v0",
    num_envs=arguments.num_envs,
    vectorization_mode="vector_entry_point",
    world=arguments.world,
    dataset=arguments.dataset,
    observation="frame",  # one picture per step, as image policies want it
    frame_size=(84, 84),
    grayscale=True,
    autoreset_mode="SameStep",  # SB3 resets an environment in the step that ends its episode
)
model = PPO("MultiInputPolicy", VecMonitor(SB3VecEnv(env)), n_steps=32, batch_size=64, n_epochs=2, seed=0)
model.learn(arguments.steps)
model.save("outputs/recipes/sb3_ppo")
env.close()

episodes = model.ep_info_buffer or []
mean = sum(episode["r"] for episode in episodes) / max(1, len(episodes))
print(f"{model.num_timesteps} steps, the last {len(episodes)} episodes: mean return {mean:.2f}")
