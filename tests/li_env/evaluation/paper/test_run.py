from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from li_env.accel.config import AccelConfig
from li_env.evaluation.bench.measure import measure
from li_env.evaluation.paper import run
from li_env.evaluation.paper.figures import write_figures
from li_env.evaluation.paper.methods import ALL, OFF, WITHOUT, methods_of, without
from li_env.evaluation.paper.run import paper, units_needed
from li_env.evaluation.paper.settings import PaperSettings
from li_env.evaluation.paper.tables import page
from li_env.evaluation.perceptual import Perceptual
from tests.analytic_world import SPEC, AnalyticWorld

SETTINGS = PaperSettings(trajectories=("left-right", "forward-backward"), repeats=2, chunks=7)
GREY = Perceptual("grey", lambda a, b: (a.mean(1) - b.mean(1)).abs().mean((1, 2)))


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def world():
    return AnalyticWorld()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("paper")


@pytest.fixture(scope="module")
def report(world, folder):
    return paper(world, SETTINGS, folder, [GREY])


def test_one_row_per_method_over_all_and_over_each_trajectory(report, world):
    labels = list(methods_of(world).configs)
    assert [row["preset"] for row in report["rows"]] == labels * 3
    assert labels[0] == OFF and ALL in report["table"]
    assert {without(part) for part in WITHOUT} <= set(labels)


def test_methods_that_do_not_fit_are_named_with_the_reason(report):
    assert "keeps no work of the chunk before" in report["refused"]["reuse_context"]
    assert "reuse_blocks" not in report["table"]
    assert "`reuse_blocks`: reuse_blocks: 0.3 does not fit" in page(report)


def test_the_page_has_three_tables_with_pooled_quality_and_the_measure_by_its_name(report):
    text = page(report, ["left out: something"])
    assert [f"## Table {number}" in text for number in (1, 2, 3)] == [True] * 3
    assert "grey to off" in text and "- left out: something" in text and "LPIPS" not in text
    row = next(row for row in report["rows"] if row["preset"] == ALL)
    assert f"| {row['against_off']['pooled_psnr']:.2f} |" in text
    assert row["perceptual"]["grey"]["off"] > 0.0


def test_figures_are_written_where_there_are_data(report, tmp_path):
    names = write_figures(report, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    assert "pareto.png" in names and "figure_2_steps.png" not in names  # this world shows no steps
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in names)


def test_it_goes_on_where_it_stopped(report, world, folder, monkeypatch):
    measured = []
    monkeypatch.setattr(run, "measure", lambda *args, **kwargs: measured.append(args) or measure(*args, **kwargs))
    (folder / "units" / "1_left-right.json").unlink()
    units = []
    again = paper(world, SETTINGS, folder, [GREY], on_unit=lambda: units.append(1))
    assert len(measured) == 1 and len(units) == units_needed(SETTINGS) == 4
    for before, after in zip(report["rows"], again["rows"], strict=True):
        assert before["against_off"] == after["against_off"]
    assert json.loads(json.dumps(again["rows"])) == again["rows"]


def test_a_folder_of_another_run_is_refused(report, world, folder):
    with pytest.raises(ValueError, match="holds a run with another settings; allowed: an empty folder"):
        paper(world, replace(SETTINGS, chunks=8), folder, [GREY])
    with pytest.raises(ValueError, match="another perceptual"):
        paper(world, SETTINGS, folder)


def test_images_take_the_place_of_start_frames(world, tmp_path):
    images = [{"image": np.full((*SPEC.frame_size, 3), level, dtype=np.uint8)} for level in (40, 90)]
    short = PaperSettings(trajectories=("left-right",), repeats=1, chunks=4)
    made = paper(world, short, tmp_path, images=images)
    assert made["images"] == 2 and {row["rollouts"] for row in made["rows"]} == {2}


def test_leaving_a_part_out_leaves_the_plain_value():
    whole = AccelConfig.preset(ALL)
    assert whole.replace(**WITHOUT["sparse"]).attention == "dense"
    assert whole.replace(**WITHOUT["cache"]).denoising == "full"
    assert whole.replace(**WITHOUT["context"]).memory == "nearest_view"
