"""Names and shapes of the published model, and where its weights live."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from li_env.worlds.hy_worldplay.config import HYWorldPlayConfig
from li_env.worlds.hy_worldplay.model import HYWorldPlayModel
from tests.li_env.worlds.hy_worldplay.tiny import close, conditioning, facts, tensors, tiny_config, tiny_model


def published() -> dict[str, Any]:
    """Names and shapes are facts of the published model, not of a run: the file that ships with the tests will do."""
    path = Path(__file__).parents[3] / "oracles" / "hy_worldplay_state_dict.json"
    return json.loads(path.read_text(encoding="utf-8"))


def test_names_and_shapes_of_the_published_checkpoint() -> None:
    described = published()
    config = HYWorldPlayConfig.from_dict(described["_meta"]["config"])
    assert config == HYWorldPlayConfig()
    with torch.device("meta"):
        model = HYWorldPlayModel(config)
    ours = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    assert ours == {name: tensor["shape"] for name, tensor in described["tensors"].items()}


def test_half_of_the_weights_is_only_for_text() -> None:
    with torch.device("meta"):
        model = HYWorldPlayModel(HYWorldPlayConfig())
    assert sum(parameter.numel() for parameter in model.vision_parameters()) == 4_323_178_016
    assert sum(parameter.numel() for parameter in model.parameters()) == 8_557_933_856


def test_embedders() -> None:
    model, given = tiny_model(), tensors()
    close(model.time_in(given["emb/time_values"]), "emb/time_out", 2e-5)
    close(model.action_in(given["emb/action_values"]), "emb/action_out", 2e-5)


def test_text_weights_live_elsewhere() -> None:
    model = HYWorldPlayModel(tiny_config())
    model.load_state_dict(tiny_model().state_dict())
    model.place(torch.device("cpu"), text_device=torch.device("meta"))
    text = (".txt_", "txt_in.", "byt5_in.", "vision_in.", "cond_type_embedding.")
    for name, parameter in model.named_parameters():
        assert (parameter.device.type == "meta") == any(part in f".{name}" or name.startswith(part) for part in text)


def test_making_a_text_cache_leaves_the_weights_alone() -> None:
    before = {name: parameter.data_ptr() for name, parameter in tiny_model().named_parameters()}
    tiny_model().text_cache(conditioning())
    assert {name: parameter.data_ptr() for name, parameter in tiny_model().named_parameters()} == before


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("mm_single_blocks_depth", 40, "mm_single_blocks_depth=40 is another model"),
        ("guidance_embed", True, "guidance_embed=True is another model"),
        ("patch_size", [1, 2, 2], r"patch_size=\[1, 2, 2\] is another model"),
        ("out_channels", 3, "out_channels=3; allowed: in_channels"),
        ("rope_dim_list", [2, 2, 2], "rope_dims=.*allowed: even numbers that add up"),
    ],
)
def test_configs_of_other_models_are_refused(key: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HYWorldPlayConfig.from_dict({**facts()["spec"]["model_config"], key: value})


def test_a_config_of_something_else_is_refused() -> None:
    with pytest.raises(ValueError, match="'in_channels' is missing: not a config.json of HY-WorldPlay"):
        HYWorldPlayConfig.from_dict({"dim": 3072, "num_layers": 30})
