"""Train PPO on PointGoal inside the learned world, in one file: world and policy stay on one device.

Run: python examples/train_ppo.py --steps 300000 --num-envs 128    # a GPU; on a laptop try --world freedoom_game

Episodes on training maps are built first (extra doom); give others with --dataset.
"""

import argparse
import csv
import sys
import time
from pathlib import Path

import gymnasium
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch
from safetensors.torch import save_file
from torch import nn
from torch.distributions import Categorical

from li_env import tools

# Forward, right, yaw and stop: a step goes up to 3 m and turns up to 60 degrees.
ACTIONS = [(1, 0, 0, 0), (0.5, 0, 0, 0), (1, 0, -0.5, 0), (1, 0, 0.5, 0)]
ACTIONS += [(0, 0, -1, 0), (0, 0, 1, 0), (0, 0, -0.5, 0), (0, 0, 0.5, 0), (0, 0, 0, 1)]
GAMMA, LAMBDA, CLIP, EPOCHS, BATCH, RATE, ENTROPY = 0.97, 0.95, 0.2, 4, 256, 1e-3, 0.01
REWARD_SCALE = 0.1  # returns near 1: the value's loss does not drown the policy's


class Agent(nn.Module):
    """Policy and value over one frame and the goal sensor."""

    def __init__(self):
        super().__init__()
        self.look = nn.Sequential(
            *(nn.AvgPool2d(2), nn.Conv2d(3, 32, 8, 4), nn.ReLU(), nn.Conv2d(32, 64, 4, 2), nn.ReLU()),
            *(nn.Conv2d(64, 64, 3, 1), nn.ReLU(), nn.Flatten(), nn.LazyLinear(256), nn.LayerNorm(256), nn.ReLU()),
        )
        self.join = nn.Sequential(nn.Linear(256 + 4, 256), nn.ReLU())
        self.policy, self.value = nn.Linear(256, len(ACTIONS)), nn.Linear(256, 1)
        nn.init.orthogonal_(self.policy.weight, 0.01)
        # An agent that stops by chance never learns where walking leads.
        self.policy.bias.data = torch.tensor([0.0] * 8 + [-3.0])

    def forward(self, rgb, pointgoal):
        """Read uint8 [B, 96, 128, 3] and float32 [B, 2]; return the distribution of actions and values [B]."""
        distance, bearing = pointgoal.unbind(-1)
        goal = torch.stack([distance / 10, torch.exp(-distance), bearing.sin(), bearing.cos()], -1)
        features = self.join(torch.cat([self.look(rgb.movedim(-1, 1).float() / 255), goal], -1))
        return Categorical(logits=self.policy(features)), self.value(features)[:, 0]


def play(env, agent, seen, table, horizon):
    """Step all environments ``horizon`` times; return what was seen and done, and measures of ended episodes."""
    rows, ended = [], []
    for _ in range(horizon):
        with torch.no_grad():
            choice, values = agent(seen["rgb"], seen["pointgoal"])
        actions = choice.sample()
        following, rewards, terminations, truncations, infos = env.step(table[actions])
        rewards = torch.as_tensor(rewards, device=values.device).float() * REWARD_SCALE
        for index in (terminations | truncations).nonzero()[0]:
            final, info = infos["final_obs"][index], infos["final_info"]
            ended.append({name: float(info[name][index]) for name in ("success", "spl")})
            if not terminations[index]:  # cut by the time limit: what would have come counts too
                with torch.no_grad():
                    rewards[index] += GAMMA * agent(final["rgb"][None], final["pointgoal"][None])[1][0]
        done = torch.as_tensor(terminations | truncations, device=values.device).float()
        rows.append((seen["rgb"], seen["pointgoal"], actions, choice.log_prob(actions), values, rewards, done))
        seen = following
    return [torch.stack(column) for column in zip(*rows, strict=True)], seen, ended


def learn(agent, optimizer, steps, after):
    """Make one update of PPO from steps [T, B] and the value [B] after them."""
    rgb, pointgoal, actions, before, values, rewards, done = steps
    advantages, running = torch.zeros_like(rewards), torch.zeros_like(after)
    for step in reversed(range(len(rewards))):
        error = rewards[step] + GAMMA * after * (1 - done[step]) - values[step]
        advantages[step] = running = error + GAMMA * LAMBDA * (1 - done[step]) * running
        after = values[step]
    targets = (advantages + values).flatten()
    advantages = ((advantages - advantages.mean()) / (advantages.std() + 1e-8)).flatten()
    rgb, pointgoal, actions, before = (each.flatten(0, 1) for each in (rgb, pointgoal, actions, before))
    for _ in range(EPOCHS):
        # Many small gradient steps: with few of them an agent learns to stop at once, or never.
        for rows in torch.randperm(len(actions), device=actions.device).split(BATCH):
            choice, guess = agent(rgb[rows], pointgoal[rows])
            ratio = (choice.log_prob(actions[rows]) - before[rows]).exp()
            gain = torch.min(ratio * advantages[rows], ratio.clamp(1 - CLIP, 1 + CLIP) * advantages[rows]).mean()
            loss = 0.5 * (guess - targets[rows]).square().mean() - gain - ENTROPY * choice.entropy().mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
            optimizer.step()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--world", default="freedoom")
    parser.add_argument("--dataset", type=Path, help="file of navigation episodes; by default built on training maps")
    parser.add_argument("--maps", type=int, default=256, help="training maps to build episodes on")
    parser.add_argument("--preset", default="all")
    parser.add_argument("--steps", type=int, default=300_000, help="environment steps over all environments")
    parser.add_argument("--num-envs", type=int, default=64)
    parser.add_argument("--horizon", type=int, default=32, help="steps of every environment between two updates")
    parser.add_argument("--out", type=Path, default=Path("outputs/train_ppo"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)

    # The episodes that the world ships are on held-out test maps: an agent that trained on them could not be tested.
    dataset = arguments.dataset or arguments.out / f"training-{arguments.maps}-maps.json"
    if not dataset.exists() and arguments.dataset is None:
        words = ["build", "episodes", "--split", "training", "--maps", str(arguments.maps), "--out", str(dataset)]
        if tools.main(words):
            sys.exit(2)

    # One model computes all episodes in one batch; frames are tensors on its device and never visit the host.
    env = gymnasium.make_vec(
        "LightInteraction/PointGoal-v0",
        num_envs=arguments.num_envs,
        vectorization_mode="vector_entry_point",
        world=arguments.world,
        dataset=dataset,
        preset=arguments.preset,
        action_space="continuous",
        observation="frame",
        device_obs=True,
        autoreset_mode="SameStep",
    )
    seen, _ = env.reset(seed=0)
    device = seen["rgb"].device
    agent, table = Agent().to(device), torch.tensor(ACTIONS, dtype=torch.float32, device=device)
    agent(seen["rgb"], seen["pointgoal"])  # the lazy layer takes its size
    optimizer = torch.optim.Adam(agent.parameters(), RATE, eps=1e-5)

    curve, begun, played = [], time.perf_counter(), 0
    while played < arguments.steps:
        optimizer.param_groups[0]["lr"] = RATE * (1 - played / arguments.steps)
        steps, seen, ended = play(env, agent, seen, table, arguments.horizon)
        with torch.no_grad():
            after = agent(seen["rgb"], seen["pointgoal"])[1]
        learn(agent, optimizer, steps, after)
        played += arguments.num_envs * arguments.horizon
        means = [sum(each[name] for each in ended) / max(1, len(ended)) for name in ("success", "spl")]
        if ended:
            curve.append((played, time.perf_counter() - begun, *means))
            print(f"{played} steps, {curve[-1][1]:.0f} s: success {means[0]:.2f}, SPL {means[1]:.2f}")
    env.close()

    save_file(agent.state_dict(), arguments.out / "agent.safetensors")
    with open(arguments.out / "curve.csv", "w", newline="") as file:
        csv.writer(file).writerows([("steps", "seconds", "success", "spl"), *curve])
    figure, axes = plt.subplots()
    for column, name in ((2, "success"), (3, "SPL")):
        axes.plot([row[0] for row in curve], [row[column] for row in curve], label=name)
    axes.set(xlabel="environment steps", ylabel="mean over the episodes of an update", ylim=(0, 1))
    axes.legend()
    figure.savefig(arguments.out / "curve.png")
    print(f"wrote agent.safetensors, curve.csv and curve.png to {arguments.out}")
