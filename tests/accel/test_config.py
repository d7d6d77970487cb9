from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import yaml

from li_env.accel.config import AccelConfig, preset_names


@pytest.mark.parametrize("name", preset_names())
def test_presets_load_under_their_own_name(name: str) -> None:
    assert AccelConfig.preset(name).name == name


def test_off_is_the_plain_model() -> None:
    assert AccelConfig.preset("off") == AccelConfig("off", 3, "nearest_view", 0.7)


def test_unknown_preset_names_the_closest_and_all() -> None:
    with pytest.raises(ValueError, match=r"^preset: 'of' is not known; did you mean 'off'\? allowed: .*off"):
        AccelConfig.preset("of")
    with pytest.raises(ValueError, match=r"^preset: '../accel/off' is not known"):
        AccelConfig.preset("../accel/off")


def test_dict_round_trip_and_replace() -> None:
    config = AccelConfig("mine", warmup_chunks=0, revisit_similarity=1)
    assert AccelConfig.from_dict(config.to_dict()) == config
    assert config.replace(warmup_chunks=5) == AccelConfig("mine", 5, "nearest_view", 1)
    assert config.warmup_chunks == 0


def test_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        AccelConfig().warmup_chunks = 1  # type: ignore[misc]


def test_unknown_key_names_the_closest() -> None:
    expected = r"^warmup_chunk: unknown key; did you mean 'warmup_chunks'\? allowed: name, warmup_chunks, memory"
    with pytest.raises(ValueError, match=expected):
        AccelConfig.from_dict({"warmup_chunk": 1})
    with pytest.raises(ValueError, match=r"^qqq: unknown key; allowed: "):
        AccelConfig().replace(qqq=1)
    with pytest.raises(ValueError, match=r"is not a mapping"):
        AccelConfig.from_dict(["off"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("name", "", "use a text"),
        ("name", yaml.safe_load("off"), "quoted in YAML"),
        ("warmup_chunks", -1, "from 0 up"),
        ("warmup_chunks", 1.5, "from 0 up"),
        ("warmup_chunks", True, "from 0 up"),
        ("memory", "nearest", "did you mean 'nearest_view'"),
        ("memory", 3, "allowed: nearest_view"),
        ("memory", ["nearest_view"], "allowed: nearest_view"),
        ("revisit_similarity", 1.01, "from 0 to 1"),
        ("revisit_similarity", float("nan"), "from 0 to 1"),
        ("revisit_similarity", "0.7", "from 0 to 1"),
        ("revisit_similarity", True, "from 0 to 1"),
    ],
)
def test_bad_values_name_key_value_and_allowed(key: str, value: Any, allowed: str) -> None:
    with pytest.raises(ValueError) as error:
        AccelConfig.from_dict({key: value})
    message = str(error.value)
    assert message.startswith(f"{key}: {value!r}")
    assert allowed in message
    assert "\n" not in message
