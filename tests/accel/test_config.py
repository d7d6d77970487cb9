from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import yaml

from li_env.accel.config import CHOICES, AccelConfig, preset_names
from li_env.accel.planning.planner import RETRIEVAL_POLICIES


@pytest.mark.parametrize("name", preset_names())
def test_presets_load_under_their_own_name(name: str) -> None:
    assert AccelConfig.preset(name).name == name


def test_off_is_the_plain_model() -> None:
    assert AccelConfig.preset("off") == AccelConfig("off", 3, "nearest_view", 0.7)


def test_policies_have_the_words_of_the_settings() -> None:
    assert tuple(RETRIEVAL_POLICIES) == CHOICES["memory"]


def test_none_stands_for_the_number_of_the_world() -> None:
    config = AccelConfig(window_chunks=None, memory_groups=None, sparse_min_context=None)
    assert AccelConfig.from_dict(yaml.safe_load(yaml.safe_dump(config.to_dict()))) == config
    for key in ("warmup_chunks", "band_width", "decode_ratio"):
        with pytest.raises(ValueError, match=f"^{key}: None is not allowed"):
            config.replace(**{key: None})


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
        ("memory", "coverge", "did you mean 'coverage'"),
        ("memory_threshold", -0.1, "from 0 to 1"),
        ("memory_groups", -1, "from 0 up"),
        ("memory_groups", 2.0, "from 0 up"),
        ("memory_sink", -1, "from 0 up"),
        ("memory_sink", True, "from 0 up"),
        ("memory_sink", 4.0, "from 0 up"),
        ("memory_group_latents", 0, "from 1 up"),
        ("memory_group_latents", 2.0, "from 1 up"),
        ("revisit", "never", "allowed: memory, coverage"),
        ("window", "adaptiv", "did you mean 'adaptive'"),
        ("window_chunks", 0, "from 1 up"),
        ("window_kappa", 0, "above 0"),
        ("window_kappa", float("inf"), "above 0"),
        ("window_smoothing", 0.0, "above 0 and at most 1"),
        ("window_smoothing", 1.5, "above 0 and at most 1"),
        ("denoising", "short", "allowed: full, shortened, per_regime"),
        ("attention", "sparse", "allowed: dense, block_sparse"),
        ("decode_ratio", 0.0, "above 0 and at most 1"),
        ("decode_ratio", 1.01, "above 0 and at most 1"),
        ("context_ratio", float("nan"), "above 0 and at most 1"),
        ("dense_first_block", 1, "use true or false"),
        ("sparse_min_context", -1, "from 0 up"),
        ("sparse_min_context", "8", "from 0 up"),
        ("tile_scores", "cosin", "did you mean 'cosine'"),
        ("band_width", 0.0, "above 0"),
        ("dense_blocks", -1, "from 0 up"),
        ("dense_steps", 0.5, "from 0 up"),
        ("reuse_threshold", -0.1, "from 0 up"),
        ("reuse_threshold", float("nan"), "from 0 up"),
    ],
)
def test_bad_values_name_key_value_and_allowed(key: str, value: Any, allowed: str) -> None:
    with pytest.raises(ValueError) as error:
        AccelConfig.from_dict({key: value})
    message = str(error.value)
    assert message.startswith(f"{key}: {value!r}")
    assert allowed in message
    assert "\n" not in message


def test_single_worlds_have_values_of_their_own() -> None:
    config = AccelConfig.of({"decode_ratio": 0.5, "worlds": {"one": {"decode_ratio": 0.2, "dense_first_block": False}}})
    assert config.in_world("other") is config
    inside = config.in_world("one")
    assert (inside.decode_ratio, inside.dense_first_block, inside.worlds) == (0.2, False, ())
    assert AccelConfig.from_dict(yaml.safe_load(yaml.safe_dump(config.to_dict()))) == config
    assert hash(config) == hash(config.replace(name="custom"))


def test_a_replaced_value_holds_in_every_world() -> None:
    config = AccelConfig.of({"worlds": {"one": {"decode_ratio": 0.2, "warmup_chunks": 1}, "two": {"warmup_chunks": 2}}})
    changed = config.replace(warmup_chunks=0)
    assert [changed.in_world(world).warmup_chunks for world in ("one", "two", "three")] == [0, 0, 0]
    assert changed.worlds == (("one", (("decode_ratio", 0.2),)),)
    assert config.replace(name="other").worlds == config.worlds
    assert config.replace(warmup_chunks=0, worlds=config.worlds).worlds == config.worlds


@pytest.mark.parametrize(
    ("worlds", "message"),
    [
        (3, "^worlds=3 is not allowed; use a mapping"),
        ({"one": 3}, "^worlds.one=3 is not allowed; use a mapping"),
        ({"one": {"decode_ratio": 2}}, "^worlds.one.decode_ratio: 2 is not allowed"),
        ({"one": {"decode_ratoi": 1.0}}, "^worlds.one.decode_ratoi: unknown key; did you mean 'decode_ratio'"),
        ({"one": {"name": "x"}}, "^worlds.one.name: 'x' is not allowed in a single world"),
        ({"one": {"window_chunks": [1]}}, "^worlds.one.window_chunks: .1. is not allowed in a single world"),
    ],
)
def test_wrong_values_of_single_worlds_are_named(worlds: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AccelConfig(worlds=worlds)


def test_settings_come_in_many_forms(tmp_path: Any) -> None:
    off = AccelConfig.preset("off")
    file = tmp_path / "mine.yaml"
    file.write_text("memory: coverage\nmemory_groups: 2\n")
    mine = AccelConfig("mine", memory="coverage", memory_groups=2)
    assert AccelConfig.of("off") == off == AccelConfig.of(off) == AccelConfig.of(off.to_dict())
    assert AccelConfig.of(str(file)) == AccelConfig.of(file) == mine
    assert AccelConfig.of({"memory": "coverage", "memory_groups": 2}) == mine.replace(name="custom")
    assert AccelConfig.of("{memory: coverage, memory_groups: 2}") == mine.replace(name="custom")
    assert AccelConfig.of('{"name": "mine", "memory": "coverage", "memory_groups": 2}') == mine
    (tmp_path / "same.json").write_text('{"memory": "coverage", "memory_groups": 2}')
    assert AccelConfig.of(tmp_path / "same.json") == mine.replace(name="same")
    (tmp_path / "empty.yml").write_text("")
    assert AccelConfig.of(tmp_path / "empty.yml") == off.replace(name="empty")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("al", "^preset: 'al' is not known; did you mean 'all'. allowed: .*off.*, a YAML file"),
        (3, "^preset: 3 is not known"),
        (None, "^preset: None is not known"),
        (["all"], "^preset: .'all'. is not known"),
        ("x" * 10_000, "is not known"),
        ("nowhere.yaml", "nowhere.yaml'"),
        ({"memori": 1}, "^memori: unknown key; did you mean 'memory'"),
        ("{memory: 3}", "^memory: 3 is not known"),
        ("{memory: [", "preset"),
        ("{memory}", "memory: None"),
        (b"all", "^preset: b'all' is not known"),
    ],
)
def test_other_forms_are_refused_in_one_line(given: Any, message: str, tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message) as error:
        AccelConfig.of(given)
    assert len(str(error.value)) <= 500
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", [b"\xff\xfe", b"- off", b"3", b"a: [", b"x: y"])
def test_files_that_hold_no_settings_are_refused(text: bytes, tmp_path: Any) -> None:
    file = tmp_path / "mine.yaml"
    file.write_bytes(text)
    with pytest.raises(ValueError, match="mine.yaml|^x: unknown key") as error:
        AccelConfig.of(file)
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="preset"):
        AccelConfig.of(tmp_path / "folder.yaml")
