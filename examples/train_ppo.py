"""Train PPO of Stable-Baselines3 on PointGoal inside the learned world, and draw its learning curve.

Run: python examples/train_ppo.py --steps 200000 --num-envs 32    # a GPU; on a laptop try --world freedoom_game

Episodes on training maps are built first (extra doom); give others with --dataset.
"""

import argparse
import csv
import sys
from pathlib import Path

import gymnasium
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecMonitor

from li_env import SB3VecEnv, tools

parser = argparse.ArgumentParser()
parser.add_argument("--world", default="freedoom")
parser.add_argument("--dataset", type=Path, help="file of navigation episodes; by default built on training maps")
parser.add_argument("--maps", type=int, default=128, help="training maps to build episodes on")
parser.add_argument("--steps", type=int, default=200_000, help="environment steps over all environments")
parser.add_argument("--num-envs", type=int, default=8)
parser.add_argument("--horizon", type=int, default=32, help="steps of every environment between two updates")
parser.add_argument("--out", type=Path, default=Path("outputs/train_ppo"))
arguments = parser.parse_args()
arguments.out.mkdir(parents=True, exist_ok=True)

# The episodes that the world ships are on held-out test maps: an agent that trained on them could not be tested.
dataset = arguments.dataset or arguments.out / f"training-{arguments.maps}-maps.json"
if not dataset.exists() and arguments.dataset is None:
    words = ["build", "episodes", "--split", "training", "--maps", str(arguments.maps), "--out", str(dataset)]
    if tools.main(words):
        sys.exit(2)

# One model computes all episodes in one batch. Observations are a Dict: rgb [84, 84, 1] and pointgoal [2].
env = gymnasium.make_vec(
    "LightInteraction/PointGoal-v0",
    num_envs=arguments.num_envs,
    vectorization_mode="vector_entry_point",
    world=arguments.world,
    dataset=dataset,
    observation="frame",
    frame_size=(84, 84),
    grayscale=True,
    autoreset_mode="SameStep",  # SB3 resets an environment in the step that ends its episode
)
monitor = VecMonitor(SB3VecEnv(env), str(arguments.out / "episodes"), info_keywords=("success", "spl"))
batch = arguments.num_envs * arguments.horizon
model = PPO("MultiInputPolicy", monitor, n_steps=arguments.horizon, batch_size=min(256, batch), ent_coef=0.01, seed=0)
model.learn(arguments.steps)
model.save(arguments.out / "agent")
monitor.close()

# The monitor has written one row per episode: r return, l steps, t seconds, success, spl.
with open(arguments.out / "episodes.monitor.csv") as file:
    next(file)  # a comment
    rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
print(f"{model.num_timesteps} steps, {len(rows)} episodes")

window = max(1, len(rows) // 20)
figure, axes = plt.subplots()
for measure in ("success", "spl"):
    values = [row[measure] for row in rows]
    means = [sum(values[max(0, end - window) : end]) / min(window, end) for end in range(1, len(values) + 1)]
    axes.plot(means, label=measure)
    print(f"{measure} of the last {window} episodes: {means[-1] if means else float('nan'):.2f}")
axes.set(xlabel="episodes", ylabel=f"mean over {window} episodes", ylim=(0, 1))
axes.legend()
figure.savefig(arguments.out / "curve.png")
print(f"wrote agent.zip, episodes.monitor.csv and curve.png to {arguments.out}")
