from __future__ import annotations

import json

import numpy as np
import pytest

from li_env.accel.runtime.chunk import STAGES
from li_env.evaluation.bench.measure import measure
from li_env.evaluation.bench.run import EVERY, benchmark, paths_of, steps_needed, write_report
from li_env.evaluation.bench.settings import BenchSettings, parse_sweep
from tests.analytic_world import AnalyticWorld

SETTINGS = BenchSettings(
    presets=("all",),
    trajectories=("left-right", "square"),
    seeds=(0, 1),
    repeats=2,
    chunks=5,
    batch=2,
    sweeps=(parse_sweep("revisit_similarity=0,1"),),
)
LABELS = ["off", "all", "all revisit_similarity=0", "all revisit_similarity=1"]


class Counter:
    value = 0

    def __call__(self) -> None:
        self.value += 1


@pytest.fixture(scope="module")
def world() -> AnalyticWorld:
    return AnalyticWorld()


@pytest.fixture(scope="module")
def calls() -> Counter:
    return Counter()


@pytest.fixture(scope="module")
def report(world, calls):
    return benchmark(world, SETTINGS, calls)


def test_one_row_per_trajectory_and_variant(report):
    found = [(row["trajectory"], row["preset"]) for row in report["rows"]]
    assert found == [(name, label) for name in (EVERY, "left-right", "square") for label in LABELS]
    assert [row["rollouts"] for row in report["rows"]] == [4] * 4 + [2] * 8


def test_progress_is_told_as_often_as_promised(report, world, calls):
    assert calls.value == steps_needed(world, SETTINGS) == 5 * (2 + 4 + 2 * 4 * 2)


def test_the_reference_is_once_as_fast_as_itself_and_compared_with_nothing(report):
    row = report["rows"][0]
    assert row["speed_up"] == {"median": 1.0, "low": 1.0, "high": 1.0}
    assert row["against_off"]["psnr"] is None
    assert row["revisits"]["pairs"] > 0
    assert row["game"] == {"psnr": None, "ssim": None, "sharpness": None, "pooled_psnr": None}


def test_warm_up_chunks_are_equal_and_left_out_of_the_means(report):
    row = report["rows"][1]
    values = row["against_off"]["psnr_by_chunk"]
    assert values[:3] == [99.0] * 3, "all variants compute warm-up chunks in full"
    assert row["against_off"]["psnr"] == pytest.approx(np.mean(values[3:]))
    assert row["regimes"]["warmup"] == 0.0
    assert sum(row["regimes"].values()) == pytest.approx(1.0)
    assert report["warmup_chunks"] == 3


def test_pooled_psnr_of_a_row_is_of_all_its_frames(report):
    """No mean of decibels: the rows of two trajectories, equally many frames each, pool to the row over both."""
    for number in range(1, 4):
        both, *parts = (report["rows"][number + 4 * group]["against_off"]["pooled_psnr"] for group in range(3))
        assert 10 ** (-both / 10) == pytest.approx(np.mean([10 ** (-part / 10) for part in parts]))
        assert both <= report["rows"][number]["against_off"]["psnr"] + 1e-9


def test_the_sweep_does_what_its_value_says(report):
    always, never = report["rows"][2], report["rows"][3]
    assert (always["regimes"]["revisit"], always["steps"]) == (1.0, 2.0)
    assert never["steps"] > 2.0
    assert always["sweep"] == {"preset": "all", "key": "revisit_similarity", "value": 0}


def test_times_are_ordered_and_add_up(report):
    for row in report["rows"]:
        for spread in row["milliseconds"].values():
            assert 0 <= spread["low"] <= spread["median"] <= spread["high"]
        parts = sum(row["milliseconds"][stage]["low"] for stage in STAGES)
        assert parts <= row["milliseconds"]["all"]["high"] + 1e-9
        assert len(row["generate_milliseconds_by_chunk"]) == 5
        least = 1000.0 * 4 / row["milliseconds"]["all"]["high"]
        assert row["frames_per_second"]["low"] == pytest.approx(least), "four frames per chunk"


def test_all_variants_follow_the_path_of_the_plain_model(world):
    settings = BenchSettings(presets=("off",), trajectories=("forward-backward",), seeds=(0,), repeats=1, chunks=6)
    (path,) = paths_of(world, settings, game=False)
    forward = [motion.forward for motion in path.flat]
    assert sum(forward[:5]) == pytest.approx(3.5), "the room's wall stops the camera"
    assert forward[5:11] == [0.0] * 6
    assert len(measure(world, [path], settings)[0].quality) == 1


def test_files_are_complete_json_and_a_picture(report, tmp_path):
    names = write_report([report], SETTINGS, "li-env bench", tmp_path / "out")
    assert names == ["bench.json", "sweep_revisit_similarity.png"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    assert (tmp_path / "out" / names[1]).read_bytes().startswith(b"\x89PNG")
    stored = json.loads((tmp_path / "out" / "bench.json").read_text())
    assert stored["worlds"][0]["rows"] == report["rows"]
    assert stored["settings"]["seeds"] == [0, 1]
