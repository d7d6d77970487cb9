"""A world that breaks its promise is refused in words: at the door or in the step that shows it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from li_env.env import LightInteractionEnv
from li_env.vector_env import LightInteractionVectorEnv
from tests.analytic_world import AnalyticWorld


class Spoilt(AnalyticWorld):
    """The analytic world with changed frames or latents."""

    def __init__(self, frames=lambda part: part, latents=lambda chunk: chunk, some=lambda values: values):
        super().__init__()
        self._frames, self._latents, self._some = frames, latents, some

    def generate(self, requests):
        return self._some([self._latents(chunk) for chunk in super().generate(requests)])

    def decode(self, latents, streams):
        frames, streams = super().decode(latents, streams)
        return [self._frames(part) for part in frames], streams


FAULTS = {
    "float frames": ({"frames": lambda part: part.astype(np.float32)}, r"decode\(\) made float32 .*promised: uint8"),
    "signed frames": ({"frames": lambda part: part.astype(np.int8)}, r"decode\(\) made int8"),
    "smaller frames": ({"frames": lambda part: part[:, ::2, ::2]}, r"decode\(\) made uint8 .*promised: uint8"),
    "no colours": ({"frames": lambda part: part[..., 0]}, r"decode\(\) made uint8"),
    "planes first": ({"frames": lambda part: part.transpose(0, 3, 1, 2)}, r"decode\(\) made uint8"),
    "a frame too few": ({"frames": lambda part: part[:-1]}, r"decode\(\) made uint8"),
    "a frame too many": ({"frames": lambda part: np.concatenate([part, part[:1]])}, r"decode\(\) made uint8"),
    "a list": ({"frames": lambda part: part.tolist()}, r"decode\(\) made list"),
    "nothing": ({"frames": lambda part: None}, r"decode\(\) made NoneType"),
    "a latent too few": (
        {"latents": lambda chunk: chunk[:-1]},
        r"generate\(\) made torch.float32 .*promised: a float",
    ),
    "whole numbers": ({"latents": lambda chunk: chunk.to(torch.int32)}, r"generate\(\) made torch.int32"),
    "an array": ({"latents": lambda chunk: chunk.numpy()}, r"generate\(\) made float32 .*promised: a float tensor"),
    "another device": (
        {"latents": lambda chunk: chunk.to("meta")},
        r"generate\(\) made .* on meta; promised: .* on cpu",
    ),
    "too few episodes": (
        {"some": lambda values: values[:-1]},
        r"generate\(\) made \d tensors of latents for \d episodes",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("many", [False, True])
def test_what_a_world_makes_is_looked_at(name, many):
    changes, message = FAULTS[name]
    world = Spoilt(**changes)
    env = LightInteractionVectorEnv(2, world=world) if many else LightInteractionEnv(world)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=f"world '{world.spec.name}': {message}"):
        env.step(np.ones(2, dtype=np.int64) if many else 1)


@pytest.mark.parametrize("device", ["cpu", None, 0])
def test_a_device_is_no_text(device):
    world = AnalyticWorld()
    world.device = device
    with pytest.raises(ValueError, match=r"device=.* is not allowed; allowed: a torch.device"):
        LightInteractionEnv(world)
    with pytest.raises(ValueError, match=r"device=.* is not allowed; allowed: a torch.device"):
        LightInteractionVectorEnv(2, world=world)
