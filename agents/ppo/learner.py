"""Update of the policy on a rollout: the clipped objective of Schulman et al. 2017 (arXiv 1707.06347)."""

from __future__ import annotations

from math import isfinite

import torch
from torch import nn

from li_env.agents.ppo.config import PPOConfig
from li_env.agents.ppo.gradient_steps import Batch, GradientSteps
from li_env.agents.ppo.networks import NavigationNet
from li_env.agents.ppo.rollout import Rollout

_VALUE_WEIGHT = 0.5
_LONGEST_GRADIENT = 0.5
_ADAM_EPSILON = 1e-5
_SEEN = "seen: "  # before the names of observations in a batch, which may be those of other columns


class PPOLearner:
    """Optimiser of a policy on its own rollouts.

    Args:
        net: the policy, changed in place.
        config: settings.

    Attributes:
        optimizer: Adam over the weights.
    """

    def __init__(self, net: NavigationNet, config: PPOConfig) -> None:
        self._net, self._config = net, config
        # A captured step reads its learning rate from the device: a number would stay what it was at the capture.
        rate: float | torch.Tensor = config.learning_rate
        on_gpu = net.device.type == "cuda"
        if on_gpu:
            rate = torch.tensor(config.learning_rate, device=net.device)
        self.optimizer = torch.optim.Adam(net.parameters(), rate, eps=_ADAM_EPSILON, capturable=on_gpu)
        self._steps = GradientSteps(self._gradient_step, net.device)

    def update(self, rollout: Rollout, progress: float, generator: torch.Generator) -> dict[str, float]:
        """Learn from a rollout.

        Args:
            rollout: steps of the present policy.
            progress: share of the training that is done, from 0 to 1.
            generator: on the host; says which environments make a batch.

        Returns:
            means over the gradient steps: ``loss``, ``value_loss``, ``entropy``, ``bump_loss`` and ``divergence`` (from
            the policy before the update).

        Raises:
            FloatingPointError: a loss or a weight is not finite; the policy is of no use then.
        """
        config = self._config
        self._set_learning_rate(config.learning_rate * (1 - progress))
        entropy_weight = config.entropy + (config.final_entropy - config.entropy) * progress
        columns = {
            **{_SEEN + name: each for name, each in rollout.observations.items()},
            "starts": rollout.starts,
            "indices": rollout.indices,
            "log_probs": rollout.log_probs,
            "bumps": rollout.bumps,
            "gains": (rollout.advantages - rollout.advantages.mean()) / (rollout.advantages.std() + 1e-8),
            "targets": rollout.advantages + rollout.values,
        }
        weight = torch.tensor(entropy_weight, device=rollout.starts.device)
        sums: list[torch.Tensor] = []
        for _ in range(config.epochs):
            order = torch.randperm(rollout.starts.shape[1], generator=generator).to(rollout.starts.device)
            for rows in order.split(config.sequences):
                batch = {name: each[:, rows] for name, each in columns.items()}
                sums.append(self._steps.step({**batch, "hidden": rollout.hidden[rows], "entropy_weight": weight}))
        names = ("loss", "value_loss", "entropy", "bump_loss", "divergence")
        means = dict(zip(names, torch.stack(sums).mean(0).tolist(), strict=True))
        weights = torch.stack([parameter.detach().sum() for parameter in self._net.parameters()]).sum()
        # One look per update: a look at every gradient step would make the host wait for the device.
        if not (all(map(isfinite, means.values())) and bool(torch.isfinite(weights))):
            raise FloatingPointError(f"loss {means['loss']:.3g}, entropy {means['entropy']:.3g}")
        return means

    def _set_learning_rate(self, rate: float) -> None:
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    def _gradient_step(self, batch: Batch) -> torch.Tensor:
        """Change the weights; returns loss, value loss, entropy, bump loss and divergence."""
        policy_loss, value_loss, entropy, bump_loss, divergence = self._losses(batch)
        loss = policy_loss + _VALUE_WEIGHT * value_loss - batch["entropy_weight"] * entropy
        loss = loss + self._config.bump_weight * bump_loss
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self._net.parameters(), _LONGEST_GRADIENT)
        self.optimizer.step()
        return torch.stack([loss, value_loss, entropy, bump_loss, divergence]).detach()

    def _losses(self, batch: Batch) -> list[torch.Tensor]:
        """Return policy loss, value loss, entropy, bump loss and divergence."""
        observations = {name.removeprefix(_SEEN): each for name, each in batch.items() if name.startswith(_SEEN)}
        answer = self._net(observations, batch["hidden"], batch["starts"])
        indices, gains = batch["indices"][..., None], batch["gains"]
        chances = torch.log_softmax(answer.logits, -1)
        change = chances.gather(-1, indices)[..., 0] - batch["log_probs"]
        ratio = change.exp()
        clipped = ratio.clamp(1 - self._config.clip_range, 1 + self._config.clip_range)
        bumps = answer.bumps.gather(-1, indices)[..., 0]
        return [
            -torch.min(ratio * gains, clipped * gains).mean(),
            (answer.values - batch["targets"]).square().mean(),
            -(chances.exp() * chances).sum(-1).mean(),
            nn.functional.binary_cross_entropy_with_logits(bumps, batch["bumps"]),
            ((ratio - 1) - change).detach().mean(),
        ]
