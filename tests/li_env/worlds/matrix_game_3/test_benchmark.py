"""The benchmark's toy run: every part measures something, and its report is complete."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from li_env.accel.plan import AttentionPlan, ChunkPlan
from li_env.worlds.matrix_game_3.config import PUBLISHED
from li_env.worlds.matrix_game_3.world import world_spec
from tests.benchmark_scripts import benchmark_script


@pytest.fixture(scope="module")
def benchmark_module() -> Iterator[ModuleType]:
    with benchmark_script("matrix_game_3_h200") as module:
        yield module


def test_toy_run(benchmark_module: ModuleType, tmp_path: Path) -> None:
    out = tmp_path / "report.json"
    benchmark_module.main(["--tiny", "--device", "cpu", "--out", str(out)])
    report = json.loads(out.read_text(encoding="utf-8"))
    assert [row["clip_ms"] > 0 for row in report["original"]] == [True, True]
    assert {row["preset"] for row in report["steady"]} == set(benchmark_module.PRESETS)
    for row in report["steady"]:
        assert row["clip_ms"] > row["step_ms"] > 0 and row["prepare_ms"] > 0 and row["frames_per_second"] > 0
    kinds = {(row["preset"], row["memory"], row["steps"], row["attention"]) for row in report["steady"]}
    assert ("off", 5, 3, "dense") in kinds and ("all", 1, 2, "block_sparse") in kinds
    compared = [value for value in report["ratios"].values() if isinstance(value, dict) and "against off" in value]
    assert len(compared) == sum(row["preset"] == "all" for row in report["steady"])
    assert report["kernels"]["off"]["dense attention"] > 0 and report["kernels"]["all"]["matrix products"] > 0
    for row in report["rollouts"]:
        assert len(row["clips"]) == 8 and row["generate_s"] > 0


def test_operations_are_those_of_the_specification(benchmark_module: ModuleType) -> None:
    """819 TFLOP per clip, invariants computed once (docs/spec/matrix_game_3.md, section 11), less 2 % nobody reads."""
    spec = world_spec(PUBLISHED)
    world = SimpleNamespace(model=SimpleNamespace(config=PUBLISHED), spec=spec)
    slots = tuple((10, view) for view in range(5))
    plan = ChunkPlan(5, "explore", 0.0, (51, 52, 53, 54), (10,), spec.sigmas, AttentionPlan(), "", slots)
    dense = benchmark_module.operations(world, plan, 19)
    assert 0.96 * 819 < sum(dense.values()) < 0.995 * 819
    sparse = replace(plan, attention=AttentionPlan("block_sparse", 0.2, dense_first_block=False))
    share = benchmark_module.operations(world, sparse, 19)
    # 103.1 TFLOP of self-attention per call become 27.2 with filled-up tiles (docs/spec/matrix_game_3.md, section 11).
    assert 0.75 < (dense["attention"] - share["attention"]) / 3 / (103.1 * 0.8) < 1.02
    assert share["linear"] == dense["linear"]
    assert benchmark_module.floor_ms({"linear": 690.0, "attention": 565.0}) == 2000.0
