"""TorchRL: the vector environment behind `GymWrapper`, a policy of tensordicts, one PPO update per batch of frames.

Run: python examples/recipes/torchrl_rollout.py --world freedoom_game --steps 4096
"""

import argparse

import gymnasium
import torch
from tensordict.nn import TensorDictModule
from torch import nn
from torchrl.envs import GymWrapper
from torchrl.modules import OneHotCategorical, ProbabilisticActor, ValueOperator
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE

import li_env  # noqa: F401  (registers the environments)

parser = argparse.ArgumentParser()
parser.add_argument("--world", default="freedoom")
parser.add_argument("--steps", type=int, default=20_000)
parser.add_argument("--num-envs", type=int, default=8)
parser.add_argument("--horizon", type=int, default=32)
arguments = parser.parse_args()

torch.manual_seed(0)
inner = gymnasium.make_vec(
    "LightInteraction/Explore-v0",
    num_envs=arguments.num_envs,
    vectorization_mode="vector_entry_point",
    world=arguments.world,
    observation="frame",
    frame_size=(42, 42),
    grayscale=True,
    autoreset_mode="SameStep",
)
env = GymWrapper(inner)


class Flat(nn.Module):
    """Frames uint8 [..., 42, 42, 1] as numbers [..., 1764] from 0 to 1."""

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Flatten the last three dimensions."""
        return frames.flatten(-3).float() / 255


def network(outputs: int) -> nn.Module:
    return nn.Sequential(Flat(), nn.Linear(42 * 42, 128), nn.Tanh(), nn.Linear(128, outputs))


logits = TensorDictModule(network(int(inner.single_action_space.n)), ["observation"], ["logits"])
actor = ProbabilisticActor(
    logits, spec=env.action_spec, in_keys=["logits"], distribution_class=OneHotCategorical, return_log_prob=True
)
critic = ValueOperator(network(1), in_keys=["observation"])
advantage = GAE(gamma=0.97, lmbda=0.95, value_network=critic)
objective = ClipPPOLoss(actor, critic)
optimizer = torch.optim.Adam(objective.parameters(), lr=3e-4)

played = 0
while played < arguments.steps:
    with torch.no_grad():
        data = env.rollout(arguments.horizon, actor, break_when_any_done=False)  # [num_envs, horizon]
    played += data.numel()
    advantage(data)
    for _ in range(2):
        losses = objective(data.flatten())
        loss = losses["loss_objective"] + losses["loss_critic"] + losses["loss_entropy"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"{played} steps, mean reward per step {data['next', 'reward'].mean():.3f}, loss {loss.item():.3f}")
inner.close()
