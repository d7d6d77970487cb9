"""The script that compares a preset with and without the cost model to the plain model, at tiny size."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.analytic_world import AnalyticWorld
from tests.benchmark_scripts import benchmark_script


def test_every_size_is_compared_and_the_limit_stops_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with benchmark_script("preset_floor") as script:
        monkeypatch.setattr(script, "load_world", lambda *_, **__: AnalyticWorld())
        out = tmp_path / "floor.json"
        script.main(["--envs", "1", "2", "--rounds", "3", "--device", "cpu", "--out", str(out)])
        found = json.loads(out.read_text())
        script.main(["--envs", "1", "2", "--max-seconds", "0", "--device", "cpu", "--out", str(out)])
        short = json.loads(out.read_text())
    assert [(cell["environments"], cell["rounds"]) for cell in found["cells"]] == [(1, 3), (2, 3)]
    assert found["cost_table"]["measured_in_this_run"] and not found["stopped"]
    for cell in found["cells"]:
        assert set(cell["ratio"]) == {"as it is", "by cost"}
        for value in (*cell["ratio"].values(), *cell["milliseconds"].values()):
            assert 0 < value["low"] <= value["median"] <= value["high"]
        assert "plain" in cell["estimated_milliseconds"]
    assert len(short["cells"]) == 1 and short["stopped"] and short["cells"][0]["rounds"] == 3


def test_the_arms_differ_in_the_cost_model_alone() -> None:
    with benchmark_script("preset_floor") as script:
        off, as_it_is, by_cost = script.configs_of("all").values()
    assert (off.name, as_it_is.cost_model, by_cost.cost_model) == ("off", False, True)
    assert by_cost == as_it_is.replace(cost_model=True)
