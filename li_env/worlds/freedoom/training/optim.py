"""Optimiser set-up shared by all training stages: Muon for matrices, AdamW for the rest, EMA, schedule."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

import torch
from torch import nn

from li_env.worlds.freedoom.training.ranks import ALONE, Ranks

ModelT = TypeVar("ModelT", bound=nn.Module)


class Optimizer:
    """Muon on hidden matrices and AdamW on everything else, stepped together with one learning-rate factor.

    Without ``muon_rate`` AdamW takes all parameters. ``momentum`` is AdamW's first decay rate; judges in adversarial
    stages want less of it. Gradients are averaged over ``ranks``.
    """

    def __init__(
        self,
        model: nn.Module,
        muon_rate: float | None,
        adam_rate: float,
        weight_decay: float = 0.01,
        momentum: float = 0.9,
        ranks: Ranks = ALONE,
    ) -> None:
        self._ranks = ranks
        matrices: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for name, parameter in model.named_parameters():
            hidden = muon_rate is not None and parameter.ndim == 2 and "double_blocks" in name
            (matrices if hidden else others).append(parameter)
        adam = torch.optim.AdamW(
            others, lr=adam_rate, betas=(momentum, 0.95), weight_decay=0.0, fused=others[0].is_cuda
        )
        self.parts: list[torch.optim.Optimizer] = [adam]
        if muon_rate is not None and matrices:
            # match_rms_adamw scales the orthogonalised update to AdamW's usual size, so one rate fits both.
            muon = torch.optim.Muon(
                matrices, lr=muon_rate, weight_decay=weight_decay, momentum=0.95, adjust_lr_fn="match_rms_adamw"
            )
            self.parts.append(muon)
        self.rates = [[group["lr"] for group in part.param_groups] for part in self.parts]
        self.parameters = [*others, *matrices]

    def step(self, factor: float, clip: float = 1.0) -> torch.Tensor:
        """Clip, update with ``factor`` times the base rates, clear gradients; returns the gradient norm (a tensor)."""
        self._ranks.average(self.parameters)
        norm = nn.utils.clip_grad_norm_(self.parameters, clip)
        for part, rates in zip(self.parts, self.rates, strict=True):
            for group, rate in zip(part.param_groups, rates, strict=True):
                group["lr"] = rate * factor
            part.step()
        self.clear()
        return norm

    def clear(self) -> None:
        """Drop all gradients."""
        for part in self.parts:
            part.zero_grad(set_to_none=True)

    def state_dict(self) -> list[dict[str, object]]:
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states: Iterable[dict[str, object]]) -> None:
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)


class Ema:
    """Exponential moving average of a model's parameters."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.source = list(model.parameters())
        self.values = [parameter.detach().clone() for parameter in self.source]
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self) -> None:
        self.updates += 1
        # A short memory at the start, so that the average is never dominated by the initial weights.
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(self.values, [parameter.detach() for parameter in self.source], 1 - decay)

    @torch.no_grad()
    def copy_to(self, model: nn.Module) -> None:
        for parameter, value in zip(model.parameters(), self.values, strict=True):
            parameter.copy_(value)


class Progress:
    """Position in a stage, by steps or by a time limit, whichever is further; and the learning-rate factor there.

    All ``ranks`` go by the clock of the first, which they hear of when they ask whether the stage is `finished`.
    """

    def __init__(
        self, steps: int, max_seconds: float | None, ranks: Ranks = ALONE, device: torch.device | None = None
    ) -> None:
        self.steps, self.max_seconds, self.done = steps, max_seconds, 0
        self.began = time.monotonic()
        self._ranks, self._device, self._heard = ranks, device or torch.device("cpu"), 0.0

    def resume(self, done: int, seconds: float) -> None:
        """Go on after ``done`` steps that took ``seconds``."""
        self.done = done
        self.began -= seconds

    @property
    def seconds(self) -> float:
        """Spent so far."""
        return self._heard if self._ranks.count > 1 else time.monotonic() - self.began

    @property
    def fraction(self) -> float:
        by_time = 0.0 if self.max_seconds is None else self.seconds / self.max_seconds
        return min(1.0, max(self.done / self.steps, by_time))

    @property
    def finished(self) -> bool:
        if self._ranks.count > 1:
            self._heard = self._ranks.agree(time.monotonic() - self.began, self._device)
        return self.fraction >= 1.0

    def rate(self, warmup: int = 200, decay_from: float = 0.6) -> float:
        """Return the rate factor: linear warm-up, constant, then a cosine fall to 0 over the last part."""
        factor = min(1.0, (self.done + 1) / warmup)
        if self.fraction > decay_from:
            tail = (self.fraction - decay_from) / (1 - decay_from)
            factor *= 0.5 * (1 + math.cos(math.pi * tail))
        return factor


@torch.no_grad()
def averaged(model: ModelT, ema: Ema, evaluate: Callable[[ModelT], dict[str, float]]) -> dict[str, float]:
    """Run ``evaluate`` with the averaged weights; the live ones are restored afterwards."""
    live = [parameter.clone() for parameter in model.parameters()]
    ema.copy_to(model)
    result = evaluate(model)
    for parameter, value in zip(model.parameters(), live, strict=True):
        parameter.copy_(value)
    return result


@torch.no_grad()
def combine_gradients(parameters: list[nn.Parameter], flow: list[torch.Tensor | None], share: float) -> torch.Tensor:
    """Set each gradient to flow + adversarial, the latter scaled to ``share`` of the flow gradient's norm."""
    own = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
    base = [g if g is not None else torch.zeros_like(p) for g, p in zip(flow, parameters, strict=True)]
    base_norm, own_norm = (torch.stack(torch._foreach_norm(grads)).norm() for grads in (base, own))
    factor = share * base_norm / own_norm.clamp(min=1e-8)
    for parameter, a, b in zip(parameters, base, own, strict=True):
        parameter.grad = a + factor * b
    return factor
