"""PPO in one file in the style of CleanRL: observations stay tensors on the device of the world.

Run: python examples/recipes/cleanrl_ppo.py --world freedoom_game --steps 20000
"""

import argparse

import gymnasium
import torch
from torch import nn
from torch.distributions import Categorical

import li_env  # noqa: F401  (registers the environments)

parser = argparse.ArgumentParser()
parser.add_argument("--world", default="freedoom")
parser.add_argument("--steps", type=int, default=100_000)
parser.add_argument("--num-envs", type=int, default=8)
parser.add_argument("--horizon", type=int, default=32)
arguments = parser.parse_args()
GAMMA, LAMBDA, CLIP, EPOCHS = 0.97, 0.95, 0.2, 4

torch.manual_seed(0)
env = gymnasium.make_vec(
    "LightInteraction/Explore-v0",
    num_envs=arguments.num_envs,
    vectorization_mode="vector_entry_point",
    world=arguments.world,
    observation="frame",
    frame_size=(84, 84),
    device_obs=True,  # uint8 tensors on the device of the world: frames never visit the host
    autoreset_mode="SameStep",
)
device = env.unwrapped.world.device


class Agent(nn.Module):
    """Policy and value on top of one convolutional network."""

    def __init__(self, actions: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv2d(3, 32, 8, 4), nn.ReLU(), nn.Conv2d(32, 64, 4, 2), nn.ReLU(), nn.Conv2d(64, 64, 3, 1)),
            *(nn.ReLU(), nn.Flatten(), nn.Linear(64 * 7 * 7, 256), nn.ReLU()),
        )
        self.policy, self.value = nn.Linear(256, actions), nn.Linear(256, 1)

    def forward(self, frames: torch.Tensor) -> tuple[Categorical, torch.Tensor]:
        """Read uint8 [B, H, W, 3]; return the distribution over actions and values [B]."""
        features = self.body(frames.movedim(-1, 1).float() / 255)
        return Categorical(logits=self.policy(features)), self.value(features).squeeze(-1)


agent = Agent(int(env.single_action_space.n)).to(device)
optimizer = torch.optim.Adam(agent.parameters(), lr=3e-4)
frames, _ = env.reset(seed=0)
played = 0
while played < arguments.steps:
    batch = []
    for _ in range(arguments.horizon):
        with torch.no_grad():
            choice, values = agent(frames)
            actions = choice.sample()
        following, rewards, terminations, truncations, _ = env.step(actions)
        done = torch.as_tensor(terminations | truncations, device=device)
        rewards = torch.as_tensor(rewards, dtype=torch.float32, device=device)
        batch.append((frames, actions, choice.log_prob(actions), values, rewards, done.float()))
        frames, played = following, played + arguments.num_envs

    seen, taken, before, values, rewards, dones = (torch.stack(column) for column in zip(*batch, strict=True))
    with torch.no_grad():
        ahead = agent(frames)[1]
    advantages, running = torch.zeros_like(rewards), torch.zeros_like(ahead)
    for step in reversed(range(arguments.horizon)):
        going = 1 - dones[step]
        error = rewards[step] + GAMMA * ahead * going - values[step]
        advantages[step] = running = error + GAMMA * LAMBDA * going * running
        ahead = values[step]
    targets = (advantages + values).flatten()
    advantages = ((advantages - advantages.mean()) / (advantages.std() + 1e-8)).flatten()
    seen, taken, before = seen.flatten(0, 1), taken.flatten(), before.flatten()
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(seen), device=device).chunk(4):
            choice, guess = agent(seen[rows])
            ratio = (choice.log_prob(taken[rows]) - before[rows]).exp()
            gain = torch.min(ratio * advantages[rows], ratio.clamp(1 - CLIP, 1 + CLIP) * advantages[rows]).mean()
            loss = -gain + 0.5 * (guess - targets[rows]).square().mean() - 0.01 * choice.entropy().mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
            optimizer.step()
    print(f"{played} steps, mean reward per step {rewards.mean():.3f}, loss {loss.item():.3f}")
env.close()
