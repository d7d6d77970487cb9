"""The benchmark's toy run: every part measures something, and its report is complete."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.benchmark_scripts import benchmark_script


@pytest.fixture(scope="module")
def benchmark_module() -> Iterator[ModuleType]:
    with benchmark_script("hy_worldplay_h200") as module:
        yield module


def test_toy_run(benchmark_module: ModuleType, tmp_path: Path) -> None:
    out = tmp_path / "report.json"
    benchmark_module.main(["--tiny", "--device", "cpu", "--long", "12", "--out", str(out)])
    report = json.loads(out.read_text(encoding="utf-8"))
    assert [(row["context"], row["attention"]) for row in report["calls"]] == [
        (4, "dense"), (4, "sparse"), (8, "dense"), (8, "sparse"),
    ]  # fmt: skip
    for row in report["calls"] + report["steady"]:
        assert row["chunk_ms"] > row["step_ms"] > 0 and row["context_ms"] > 0
    assert {row["preset"] for row in report["steady"]} == set(benchmark_module.PRESETS)
    for row in report["rollouts"]:
        assert len(row["chunks"]) == 8 and row["generate_s"] > 0
    assert report["kernels"]["off"]["matrix products"] > 0 and report["kernels"]["off"]["dense attention"] > 0
    assert all(fused > 0 and apart > 0 for fused, apart in report["feed_forward"].values())
    assert report["long"]["chunks"] == 12 and report["long"]["generate_ms_first_and_second_half"]
    assert report["end_to_end"]["frames_per_second"] > 0 and report["end_to_end"]["median_ms"]["decode_ms"] > 0
    assert report["first_use"].keys() == {"start", "off", "all"}


def test_operations_are_those_of_the_specification(benchmark_module: ModuleType) -> None:
    """TFLOP per chunk by context latents, modulation once per latent (docs/spec/hy_worldplay.md, section 8.1)."""
    from dataclasses import dataclass
    from types import SimpleNamespace

    from li_env.accel.plan import AttentionPlan, ChunkPlan
    from li_env.worlds.hy_worldplay.config import HYWorldPlayConfig
    from li_env.worlds.hy_worldplay.world import world_spec

    @dataclass
    class Stub:
        world: SimpleNamespace

    config = HYWorldPlayConfig()
    bench = Stub(SimpleNamespace(parts=SimpleNamespace(model=SimpleNamespace(sizes=config)), spec=world_spec(config)))
    for context, expected in ((0, 305), (4, 519), (12, 1153), (20, 2063)):
        plan = ChunkPlan(5, "explore", 0.0, tuple(range(context)), (), bench.world.spec.sigmas, AttentionPlan(), "")
        work = benchmark_module.operations(bench, plan, 900)
        # The last block of a context pass has no attention: up to 1.5 % less.
        assert 0.975 * expected < sum(work.values()) < 1.005 * expected
    assert benchmark_module.floor_ms({"linear": 690.0, "attention": 565.0}) == 2000.0


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("nvjet_hsh_128x256_64x4", "matrix products"),
        ("cudnn_generated_fort_native_sdpa_sm90_flash_fprop", "dense attention"),
        ("block_sparse_attention_kernel", "sparse attention"),
        ("gated_norm_kernel", "norm, gate, modulation"),
        ("split_branches_kernel", "heads and rotation"),
        ("void at::native::elementwise_kernel", "copies"),
        ("something_else", "other"),
    ],
)
def test_kernel_classes(benchmark_module: ModuleType, name: str, kind: str) -> None:
    assert sys.modules["on_device"].kernel_class(name) == kind
