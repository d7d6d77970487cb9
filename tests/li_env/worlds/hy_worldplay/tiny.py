"""The tiny random model of the oracle, and its inputs in our shapes."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch

from li_env.worlds.hy_worldplay.conditioning import Conditioning
from li_env.worlds.hy_worldplay.config import HYWorldPlayConfig
from li_env.worlds.hy_worldplay.model import HYWorldPlayModel
from tests.oracle import load_oracle

ORACLE = "hy_worldplay_tiny"
LIGHT = "hy_worldplay_light_tiny"


def facts(name: str = ORACLE) -> dict[str, Any]:
    return load_oracle(name)[0]


@cache
def tensors(name: str = ORACLE) -> dict[str, torch.Tensor]:
    return {key: torch.from_numpy(value) for key, value in load_oracle(name)[1].items()}


def tiny_config() -> HYWorldPlayConfig:
    widths = facts()["spec"]["byt5_dims"]
    return HYWorldPlayConfig.from_dict(
        facts()["spec"]["model_config"], (widths["in_dim"], widths["hidden_dim"], widths["out_dim"])
    )


@cache
def tiny_model() -> HYWorldPlayModel:
    """Load the oracle's weights; a key that is missing or not expected is an error."""
    with torch.device("meta"):
        model = HYWorldPlayModel(tiny_config())
    weights = {key.removeprefix("weights/"): value for key, value in tensors().items() if key.startswith("weights/")}
    model.load_state_dict(weights, strict=True, assign=True)
    return model.eval().requires_grad_(False)


def conditioning(glyphs: bool = True) -> Conditioning:
    """Return the oracle's encoder states without their padding."""
    given = tensors()
    text = given["in/text_states"][given["in/text_mask"].bool()]
    byt5 = given["in/byt5_states"][given["in/byt5_mask"].bool()]
    return Conditioning(text, byt5 if glyphs else byt5[:0], given["in/vision_states"][0])


def light_conditioning() -> Conditioning:
    given = tensors(LIGHT)
    text = given["rollout_in/text_states"][given["rollout_in/text_mask"].bool()]
    nothing = torch.zeros(0, tiny_config().byt5_widths[0])
    return Conditioning(text, nothing, given["rollout_in/vision_states"][0])


def close(ours: torch.Tensor, name: str, tolerance: float, oracle: str = ORACLE) -> None:
    torch.testing.assert_close(ours, tensors(oracle)[name], atol=tolerance, rtol=0)
