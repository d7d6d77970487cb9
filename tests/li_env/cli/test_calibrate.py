from __future__ import annotations

from dataclasses import replace

import pytest
import yaml

from li_env.accel.costs import CallTimes, CostTable
from li_env.accel.runtime.machine import device_name
from li_env.cli import main
from li_env.worlds.calibration import Calibration, calibration, cost_name, keep, own_file
from li_env.worlds.registry import load_world

SHORT = ("--world", "analytic", "--trajectories", "square", "--seeds", "0", "--chunks", "5", "--device", "cpu")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LI_ENV_CACHE", str(tmp_path / "cache"))


def test_the_window_is_calibrated_and_kept(capsys):
    assert main(["calibrate", "window", *SHORT]) == 0
    kappa = yaml.safe_load(own_file("analytic").read_text())["window_kappa"]
    assert 0 < kappa == calibration("analytic").window_kappa
    printed = capsys.readouterr().out
    assert f"window_kappa {kappa:.4g}" in printed and "square" in printed


def test_the_window_is_written_where_it_is_wanted(tmp_path):
    assert main(["calibrate", "window", *SHORT, "--out", str(tmp_path / "new" / "mine.yaml")]) == 0
    assert (tmp_path / "new" / "mine.yaml").is_file() and not own_file("analytic").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--world", "mars"), "world='mars' is unknown"),
        (("--chunks", "3"), "chunks=3 is not allowed; use 4 or more"),
        (("--trajectories", "spiral"), "trajectory='spiral' is unknown"),
        (("--seeds", "-1"), "seeds"),
        (("--batch", "0"), "batch=0 is not allowed"),
        (("--out", "."), "is a folder; allowed: the name of a file"),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_written(words, message, capsys):
    assert main(["calibrate", "window", *SHORT, *words]) == 2
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.count("\n") == 1
    assert not own_file("analytic").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("attention", "--world", "analytic"), "world='analytic' has no block-sparse attention"),
        (("attention", "--world", "analytic", "--preset", "al"), "preset: 'al' is not known"),
        (("attention", "--world", "analytic", "--repeats", "0"), "repeats=0 is not allowed"),
        (("attention", "--world", "analytic", "--batch", "0"), "batch=0 is not allowed"),
        (("attention", "--world", "analytic", "--random-weights"), "random_weights=True is not an argument"),
        (("steps", "--world", "analytic"), "does not fit world 'analytic'"),
        (("steps", "--world", "analytic", "--chunks", "3"), "chunks=3 is not allowed"),
    ],
)
def test_a_world_or_number_that_does_not_fit_is_named(words, message, capsys):
    assert main(["calibrate", *words, "--device", "cpu"]) == 2
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.count("\n") == 1
    assert not own_file("analytic").exists()


def test_a_small_world_is_calibrated_for_this_device(capsys):
    import torch

    from li_env.worlds.hy_worldplay.build import random_world
    from li_env.worlds.hy_worldplay.config import HYWorldPlayConfig
    from li_env.worlds.registry import register_world

    tiny = HYWorldPlayConfig(4, 64, 2, 2, 2.0, (8, 12, 12), text_width=8, vision_width=8, byt5_widths=(8, 8, 8))
    register_world("tiny_hy", lambda device, weights: random_world(tiny, torch.device(device), (4, 4)), "for this test")
    assert main(["calibrate", "attention", "--world", "tiny_hy", "--repeats", "1", "--device", "cpu"]) == 0
    least = calibration("tiny_hy").sparse_min_context[device_name(torch.device("cpu"))]
    assert least in (4, 8, 12, 16, 20, 21)
    words = ("--world", "tiny_hy", "--trajectories", "square", "--seeds", "0", "--chunks", "4", "--device", "cpu")
    assert main(["calibrate", "steps", *words]) == 0
    slope, offset = calibration("tiny_hy").step_rescale
    assert f"output = {slope} * input + {offset}" in capsys.readouterr().out


def test_costs_are_measured_kept_and_said_in_words(capsys):
    words = ("--world", "analytic", "--device", "cpu", "--repeats", "1", "--envs", "1", "8")
    assert main(["calibrate", "cost", *words]) == 0
    printed = capsys.readouterr().out.replace("\n", " ")
    assert "environments leave out of all what saves no time on this device: " in printed
    world = load_world("analytic", device="cpu")
    (table,) = calibration("analytic").costs.values()
    assert world.costs == table and table.steps == (2, 4) and [each.episodes for each in table.calls] == [1]
    assert f"dense | {table.calls[0].milliseconds[0][0]:.4g}".replace("|", "│").replace(" ", "") in printed.replace(
        " ", ""
    )


def test_a_table_belongs_to_one_device_and_execution():
    table = CostTable((4,), (CallTimes(1, (4,), ((1.0,),)),))
    world = load_world("freedoom", device="cpu")
    name = cost_name(world)
    assert name.endswith(", float32, plain") and name.startswith(device_name(world.device))
    keep("freedoom", Calibration(costs={name: table, "a GPU, bfloat16, graphs": replace(table, plain_plan=1.0)}))
    keep("freedoom", Calibration(window_kappa=0.5))
    del world
    assert load_world("freedoom", device="cpu").costs == table
    assert load_world("freedoom", device="cpu", execution="fused").costs is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--world", "mars"), "world='mars' is unknown"),
        (("--envs", "0"), "envs=0 is not allowed"),
        (("--repeats", "0"), "repeats=0 is not allowed"),
        (("--max-seconds", "-1"), "max_seconds=-1.0 is not allowed"),
        (("--preset", "al"), "preset: 'al' is not known"),
        (("--out", "."), "is a folder; allowed: the name of a file"),
        (("--random-weights",), "random_weights=True is not an argument"),
    ],
)
def test_bad_input_of_costs_is_one_line_and_nothing_is_written(words, message, capsys):
    assert main(["calibrate", "cost", "--world", "analytic", "--device", "cpu", *words]) == 2
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.count("\n") == 1
    assert not own_file("analytic").exists()
