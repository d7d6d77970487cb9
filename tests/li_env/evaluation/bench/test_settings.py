from __future__ import annotations

import json

import pytest

from li_env.accel.config import AccelConfig
from li_env.evaluation.bench.settings import BenchSettings, Sweep, parse_sweep, parse_sweeps


def test_the_reference_always_runs_and_runs_first():
    assert [variant.label for variant in BenchSettings(presets=("all", "cache")).variants] == ["off", "all", "cache"]
    assert [variant.label for variant in BenchSettings(presets=("all", "off")).variants] == ["off", "all"]


def test_a_sweep_changes_one_key_of_all():
    sweep = parse_sweep("revisit_similarity = 0.5, 0.9")
    assert sweep == Sweep("revisit_similarity", (0.5, 0.9))
    settings = BenchSettings(presets=("all",), sweeps=(sweep,))
    plain, changed = settings.variants[1], settings.variants[3]
    assert changed.config == plain.config.replace(revisit_similarity=0.9, name="all revisit_similarity=0.9")
    assert (changed.key, changed.value, changed.preset) == ("revisit_similarity", 0.9, "all")
    stored = json.loads(json.dumps(settings.to_dict()))["sweeps"]
    assert stored == [{"key": "revisit_similarity", "values": [0.5, 0.9], "preset": "all"}]


def test_several_keys_take_the_values_together():
    sweep = parse_sweep("memory_threshold + revisit_similarity=0.3,0.5")
    assert sweep == Sweep("memory_threshold+revisit_similarity", (0.3, 0.5))
    assert sweep.file == "sweep_memory_threshold+revisit_similarity.png"
    for variant, value in zip(sweep.variants(), (0.3, 0.5), strict=True):
        assert (variant.config.memory_threshold, variant.config.revisit_similarity) == (value, value)
        assert variant.label == f"all memory_threshold+revisit_similarity={value}"


def test_any_preset_can_be_swept(tmp_path):
    (tmp_path / "mine.yaml").write_text("decode_ratio: 0.5")
    for preset, name in (("paper", "paper"), (str(tmp_path / "mine.yaml"), "mine"), ("{memory: coverage}", "custom")):
        sweep = parse_sweep(f"{preset}:warmup_chunks=1,2")
        assert (sweep.preset, sweep.file) == (preset, f"sweep_{name}_warmup_chunks.png")
        expected = AccelConfig.of(preset).replace(warmup_chunks=2, name=f"{name} warmup_chunks=2")
        assert sweep.variants()[1].config == expected
    assert len(parse_sweeps(["paper:decode_ratio=0.1,0.2", "decode_ratio=0.1,0.2"])) == 2


def test_words_and_nothing_can_be_swept():
    assert parse_sweep("memory=coverage,fov_gate").values == ("coverage", "fov_gate")
    assert parse_sweep("window_chunks=null,2").values == (None, 2)


def test_the_longest_warm_up_is_left_out():
    settings = BenchSettings(sweeps=(parse_sweep("warmup_chunks=2,6"),))
    assert settings.warmup_chunks == 6


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("revisit_similarity", "write KEY=VALUE,VALUE"),
        ("revisit_similarity=", "write KEY=VALUE,VALUE"),
        ("revisit_similarity=0.5,,0.7", "write KEY=VALUE,VALUE"),
        ("revisit_similarity=0.5,0.5", "use every value once"),
        ("revisit_similarity=1.5", "revisit_similarity: 1.5 is not allowed; use a number from 0 to 1"),
        ("revisit_similarty=0.5", "did you mean 'revisit_similarity'"),
        ("decode_ratio=[", "must be numbers or words"),
        ("name=a", "'name' changes nothing"),
        ("worlds=a", "'worlds' changes nothing"),
        ("decode_ratio+decode_ratio=0.5", "use every key once"),
        ("decode_ratio+=0.5", "write KEY=VALUE,VALUE"),
        ("decode_ratio+warmup_chunks=0.5", "warmup_chunks: 0.5 is not allowed"),
        ("papr:decode_ratio=0.5", "preset: 'papr' is not known; did you mean 'paper'?"),
        ("paper:=0.5", "write KEY=VALUE,VALUE"),
    ],
)
def test_a_bad_sweep_is_named(text, message):
    with pytest.raises(ValueError) as caught:
        parse_sweep(text)
    assert message in str(caught.value)


def test_one_key_is_swept_once():
    with pytest.raises(ValueError, match="use every key once"):
        parse_sweeps(["decode_ratio=0.1", "decode_ratio=0.2"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"presets": ("of",)}, "preset: 'of' is not known"),
        ({"presets": ()}, "presets=.* use one or more, each once"),
        ({"seeds": (1, 1)}, "seeds=.* use one or more, each once"),
        ({"seeds": (-1,)}, "seeds: -1 is not allowed; use whole numbers from 0 up"),
        ({"trajectories": ("spiral",)}, "trajectory='spiral' is unknown"),
        ({"repeats": 0}, "repeats=0 is not allowed; use a whole number from 1 to 1000"),
        ({"batch": True}, "batch=True is not allowed"),
        ({"chunks": 3}, "chunks=3 is not allowed; use 4 or more"),
    ],
)
def test_bad_settings_name_key_value_and_what_is_allowed(changes, message):
    with pytest.raises(ValueError, match=message):
        BenchSettings(**changes)
