"""Update of the policy on a rollout: the clipped objective of Schulman et al. 2017 (arXiv 1707.06347)."""

from __future__ import annotations

from math import isfinite

import torch
from torch import nn

from li_env.agents.ppo.config import PPOConfig
from li_env.agents.ppo.networks import NavigationNet
from li_env.agents.ppo.rollout import Rollout

_VALUE_WEIGHT = 0.5
_LONGEST_GRADIENT = 0.5
_ADAM_EPSILON = 1e-5


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
        self.optimizer = torch.optim.Adam(net.parameters(), config.learning_rate, eps=_ADAM_EPSILON)

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
        for group in self.optimizer.param_groups:
            group["lr"] = config.learning_rate * (1 - progress)
        entropy_weight = config.entropy + (config.final_entropy - config.entropy) * progress
        scaled = (rollout.advantages - rollout.advantages.mean()) / (rollout.advantages.std() + 1e-8)
        targets = rollout.advantages + rollout.values
        sums: list[torch.Tensor] = []
        for _ in range(config.epochs):
            order = torch.randperm(rollout.starts.shape[1], generator=generator).to(rollout.starts.device)
            for rows in order.split(config.sequences):
                parts = self._losses(rollout, scaled, targets, rows)
                policy_loss, value_loss, entropy, bump_loss = parts[:4]
                loss = policy_loss + _VALUE_WEIGHT * value_loss - entropy_weight * entropy
                loss = loss + config.bump_weight * bump_loss
                self.optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(self._net.parameters(), _LONGEST_GRADIENT)
                self.optimizer.step()
                sums.append(torch.stack([loss, value_loss, entropy, bump_loss, parts[4]]).detach())
        names = ("loss", "value_loss", "entropy", "bump_loss", "divergence")
        means = dict(zip(names, torch.stack(sums).mean(0).tolist(), strict=True))
        weights = torch.stack([parameter.detach().sum() for parameter in self._net.parameters()]).sum()
        # One look per update: a look at every gradient step would make the host wait for the device.
        if not (all(map(isfinite, means.values())) and bool(torch.isfinite(weights))):
            raise FloatingPointError(f"loss {means['loss']:.3g}, entropy {means['entropy']:.3g}")
        return means

    def _losses(
        self, rollout: Rollout, scaled: torch.Tensor, targets: torch.Tensor, rows: torch.Tensor
    ) -> list[torch.Tensor]:
        """Return policy loss, value loss, entropy, bump loss and divergence for the environments ``rows``."""
        observations = {name: each[:, rows] for name, each in rollout.observations.items()}
        answer = self._net(observations, rollout.hidden[rows], rollout.starts[:, rows])
        indices = rollout.indices[:, rows, None]
        chances = torch.log_softmax(answer.logits, -1)
        change = chances.gather(-1, indices)[..., 0] - rollout.log_probs[:, rows]
        ratio, gain = change.exp(), scaled[:, rows]
        clipped = ratio.clamp(1 - self._config.clip_range, 1 + self._config.clip_range)
        bumps = answer.bumps.gather(-1, indices)[..., 0]
        return [
            -torch.min(ratio * gain, clipped * gain).mean(),
            (answer.values - targets[:, rows]).square().mean(),
            -(chances.exp() * chances).sum(-1).mean(),
            nn.functional.binary_cross_entropy_with_logits(bumps, rollout.bumps[:, rows]),
            ((ratio - 1) - change).detach().mean(),
        ]
