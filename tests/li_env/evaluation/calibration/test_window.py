from __future__ import annotations

import numpy as np
import pytest
import torch

from li_env.accel.config import AccelConfig
from li_env.accel.runtime.engine import Engine
from li_env.evaluation.bench.paths import commanded_paths
from li_env.evaluation.calibration.window import WindowCalibration, measure_window, settings_of
from tests.analytic_world import AnalyticWorld


def test_kappa_is_the_median_change_after_the_warm_up():
    world, settings = AnalyticWorld(), settings_of(("left-right", "random"), (0,), 6, 2)
    calls = []
    found = measure_window(world, settings, lambda: calls.append(1))
    assert len(calls) == 12
    engine, changes = Engine(world, AccelConfig.preset("off")), []
    for path in commanded_paths(world, settings):
        state, before, smooth = path.begun.episode, None, None
        for chunk, motions in enumerate(path.motions):
            (state,), (result,) = engine.step([state], [motions])
            if before is not None:
                change = float((result.latents - before).square().mean())
                smooth = change if smooth is None else 0.5 * change + 0.5 * smooth  # equations 1 and 2
            if chunk >= 3:
                changes.append(smooth)
            before = result.latents
    assert found.kappa == pytest.approx(np.median(changes), rel=1e-5)
    assert [len(values) for values in found.changes.values()] == [3, 3]


def test_shares_of_lengths_by_hand():
    found = WindowCalibration(1.0, {"square": (0.0, 1.0, 2.0, 9.0)})  # 3, round(1.5), 1 and round(0.3) of 3 chunks
    assert found.lengths(3) == [0.5, 0.25, 0.25]


def test_a_world_that_never_changes_has_no_kappa():
    class Still(AnalyticWorld):
        def generate(self, requests):
            return [torch.zeros(len(request.poses), *self.spec.latent_shape) for request in requests]

    with pytest.raises(ValueError, match="world='analytic': its latents do not change"):
        measure_window(Still(), settings_of(("square",), (0,), 5, 1))
