"""Cells of the throughput benchmark, with the test room in the place of the world."""

from __future__ import annotations

from importlib import import_module

import pytest

from tests.analytic_world import AnalyticWorld


@pytest.fixture
def cells(monkeypatch):
    script = import_module("throughput_cells")
    monkeypatch.setattr(script, "SPOTS", 2)
    monkeypatch.setattr(script, "WARM_UP", {"cpu": 1})
    return script


def test_halves_in_flight_make_all_chunks_of_a_step(cells):
    whole, halves = (cells.measure(AnalyticWorld(), 3, "all", False, 0.0, halves=both) for both in (False, True))
    assert whole["steps"] == halves["steps"] == 3
    assert sum(whole["regimes"].values()) == sum(halves["regimes"].values()) == 9
    assert whole["mean_context_latents"] > halves["mean_context_latents"], "a half returns what it began a step before"
    assert "environment" in whole["stages"] and "environment" not in halves["stages"]


def test_envs_of_a_cell_share_scans(cells):
    scans = cells.made_up_scans(2)
    assert len({scan.content_hash for scan in scans}) == 2
    cell = cells.measure(AnalyticWorld(), 2, "off", False, 0.0, halves=True, scans=scans)
    assert (cell["scans"], cell["halves"]) == (2, True)
    assert cell["mean_scan_views"] > 0


def test_the_rate_of_a_training_leaves_out_its_first_update(cells):
    cell = cells.ppo_loop(AnalyticWorld(), 2, "all", 0.0, halves=True, horizon=2)
    assert (cell["updates"], cell["steps_per_update"], cell["halves"]) == (2, 4, True)
    assert cell["frames_per_second"] == pytest.approx(16 / cell["seconds_per_update"], rel=0.05)


def test_work_at_the_same_time_counts_once(cells):
    assert cells.busy_time([(5, 10), (0, 3), (8, 12), (2, 4)]) == 4 + 7
    assert cells.busy_time([]) == 0
