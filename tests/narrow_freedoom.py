"""The freedoom world with a narrow transformer of random weights: the same code and shapes in a sixth of the time.

Its pictures mean nothing. It is for claims about what is computed, planned, kept and shared, whose truth does not
depend on the weights. Encoder, decoder and motion head are the shipped ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import nn

from li_env.worlds.common.transformer import TransformerConfig
from li_env.worlds.freedoom import world as freedoom
from li_env.worlds.freedoom.dynamics import LATENT_CHANNELS, DynamicsModel
from li_env.worlds.freedoom.geometry import FEATURES
from li_env.worlds.freedoom.weights import load_weights, packaged_folder

NAME = "narrow_freedoom"
"""Name in the registry, where a test asks for the world by name."""

DEPTH = 3
"""Blocks: a first one, a last one, and one between them, which policies treat differently."""

NARROW = TransformerConfig(LATENT_CHANNELS + FEATURES, LATENT_CHANNELS, 64, 1, DEPTH, modulation="shared")


@cache
def narrow_freedoom(execution: str = "auto") -> freedoom.FreedoomWorld:
    """Make the world once for all tests of a process: worlds keep nothing of an episode."""
    narrow = partial(DynamicsModel, NARROW)
    with (
        torch.random.fork_rng(devices=[]),
        mock.patch.object(freedoom, "DynamicsModel", narrow),
        mock.patch.object(freedoom, "load_weights", _fill),
    ):
        torch.manual_seed(0)
        return freedoom.FreedoomWorld(torch.device("cpu"), packaged_folder(), execution=execution)


def load_narrow(device: str, weights: str | None) -> freedoom.FreedoomWorld:
    """Load the world by its name in the registry."""
    return narrow_freedoom()


def _fill(models: Mapping[str, nn.Module], folder: Path) -> None:
    # Parts that start at zero would hide mistakes: every block would be the identity, every latent zero.
    for parameter in models["dynamics"].parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.05)
    shipped: dict[str, Any] = {name: model for name, model in models.items() if name != "dynamics"}
    load_weights(shipped, folder)
