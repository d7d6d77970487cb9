from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from li_env.accel.runtime.machine import device_name
from li_env.worlds.calibration import Calibration, calibration, keep, own_file
from li_env.worlds.registry import load_world, world_names
from tests.analytic_world import SPEC

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LI_ENV_CACHE", str(tmp_path))
    return tmp_path


def test_what_ships_can_be_read():
    for name in world_names():
        calibration(name)
    assert calibration("freedoom").window_kappa == pytest.approx(1.11)
    assert [len(calibration(name).step_rescale) for name in ("freedoom", "hy_worldplay", "matrix_game_3")] == [2, 5, 6]
    assert load_world("freedoom", device="cpu").spec.step_rescale == (1.113, 0.0)


def test_names_that_are_no_file_names_have_none():
    assert calibration("../accel/off") == calibration("nowhere") == Calibration()


def test_what_was_measured_here_goes_before_what_ships():
    keep("freedoom", Calibration(sparse_min_context={"cpu": 8}))
    keep("freedoom", Calibration(window_kappa=0.5, sparse_min_context={"some GPU": 4}))
    found = calibration("freedoom")
    assert (found.window_kappa, found.sparse_min_context) == (0.5, {"some GPU": 4, "cpu": 8})
    assert keep("freedoom", Calibration()) == own_file("freedoom")
    assert calibration("freedoom") == found


def test_the_table_of_devices():
    table = {"cpu": 8, device_name(CPU): 4, "cuda": 2}
    assert Calibration(sparse_min_context=table).applied(SPEC, CPU).sparse_min_context == 4
    assert Calibration(sparse_min_context={"cpu": 8, "cuda": 2}).applied(SPEC, CPU).sparse_min_context == 8
    assert Calibration(sparse_min_context={"cuda": 2}).applied(SPEC, CPU) is SPEC
    rescaled = Calibration(step_rescale=(2.0, 0.1), window_kappa=3).applied(SPEC, CPU)
    assert rescaled == replace(SPEC, step_rescale=(2.0, 0.1), window_kappa=3.0)


def test_loaded_worlds_have_their_numbers():
    keep("analytic", Calibration(window_kappa=0.25))
    assert load_world("analytic", device="cpu").spec.window_kappa == 0.25


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kappa: 1", "analytic.yaml key='kappa' is unknown"),
        ("window_kappa: 0", "analytic.yaml: window_kappa=0 is not allowed"),
        ("window_kappa: .nan", "analytic.yaml: window_kappa=nan is not allowed"),
        ("step_rescale: 3", "analytic.yaml: step_rescale=3 is not allowed; use a list of 1 to 8 numbers"),
        ("step_rescale: [1, a]", "analytic.yaml: step_rescale='a' is not allowed"),
        ("sparse_min_context: 8", "analytic.yaml: sparse_min_context=8 is not allowed"),
        ("sparse_min_context: {cpu: -1}", "analytic.yaml: sparse_min_context.cpu=-1 is not allowed"),
        ("costs: 3", "analytic.yaml: costs=3 is not allowed"),
        ("costs: {cpu: {steps: [4]}}", "analytic.yaml: costs.cpu.calls=None is not allowed"),
        ("- 1", "analytic.yaml"),
        ("a: [", "analytic.yaml"),
    ],
)
def test_damaged_files_are_named(text, message):
    own_file("analytic").parent.mkdir()
    own_file("analytic").write_text(text)
    with pytest.raises(ValueError) as caught:
        load_world("analytic", device="cpu")
    assert message in str(caught.value) and "\n" not in str(caught.value)
