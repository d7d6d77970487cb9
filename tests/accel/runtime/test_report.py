from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from li_env.accel.config import AccelConfig
from li_env.accel.geometry.camera import STILL
from li_env.accel.runtime.chunk import STAGES
from li_env.accel.runtime.engine import Engine
from li_env.accel.runtime.report import RolloutReport
from tests.analytic_world import SPEC, AnalyticWorld


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    world, config = AnalyticWorld(), AccelConfig.preset("off")
    engine = Engine(world, config)
    states = engine.start([world.start_views.images[0]], [""], [4])
    collected = RolloutReport(SPEC, config, seed=4, note="completed by standing still: 1 latent")
    for chunk in range(7):
        states, [result] = engine.step(states, [[STILL] * (3 if chunk == 0 else 4)])
        collected.add(result)
    return collected.to_dict()


def test_is_json(report: dict[str, Any]) -> None:
    assert json.loads(json.dumps(report, allow_nan=False))["chunks"][6]["memory"] == [0, 1, 2, 3, 4, 5, 6, 7]


def test_totals_add_up(report: dict[str, Any]) -> None:
    totals, chunks = report["totals"], report["chunks"]
    assert (totals["chunks"], totals["frames"], totals["steps"]) == (7, 28, 28)
    for stage in STAGES:
        assert totals["milliseconds"][stage] == pytest.approx(sum(chunk["milliseconds"][stage] for chunk in chunks))
    together = totals["milliseconds"]["all"]
    assert together == pytest.approx(sum(totals["milliseconds"][stage] for stage in STAGES))
    assert totals["frames_per_second"] == pytest.approx(1000 * 28 / together)
    assert totals["degenerated"] is False


def test_names_what_was_run(report: dict[str, Any]) -> None:
    assert (report["world"], report["preset"], report["seed"]) == ("analytic", "off", 4)
    assert report["note"] == "completed by standing still: 1 latent"
    assert AccelConfig.from_dict(report["settings"]) == AccelConfig.preset("off")
    assert report["versions"]["torch"] == torch.__version__
    assert [chunk["regime"] for chunk in report["chunks"]][:4] == ["warmup"] * 3 + ["explore"]
    assert [chunk["frames"] for chunk in report["chunks"]] == [4] * 7


def test_what_acceleration_did(report: dict[str, Any]) -> None:
    totals, chunks = report["totals"], report["chunks"]
    assert totals["regimes"] == {"warmup": 3, "explore": 1, "revisit": 3}
    assert sum(totals["regimes"].values()) == totals["chunks"]
    assert [chunk["context_latents"] for chunk in chunks] == [0, 4, 8, 12, 16, 20, 20]
    assert totals["context_latents"] == 80
    assert {chunk["attention_density"] for chunk in chunks} == {totals["attention_density"]} == {1.0}
    assert report["peak_memory_mib"]["process"] > 0


def test_empty_report() -> None:
    totals = RolloutReport(SPEC, AccelConfig(), seed=0).to_dict()["totals"]
    assert (totals["frames"], totals["frames_per_second"]) == (0, 0.0)
