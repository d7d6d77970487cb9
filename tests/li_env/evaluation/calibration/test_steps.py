from __future__ import annotations

import numpy as np
import pytest
import torch

from li_env.evaluation.calibration.steps import measure_steps
from li_env.evaluation.calibration.window import settings_of
from li_env.worlds.hy_worldplay.build import random_world
from li_env.worlds.hy_worldplay.config import HYWorldPlayConfig
from tests.analytic_world import AnalyticWorld

TINY = HYWorldPlayConfig(4, 64, 2, 2, 2.0, (8, 12, 12), text_width=8, vision_width=8, byt5_widths=(8, 8, 8))


def test_the_line_is_the_least_squares_fit_of_every_step_after_the_warm_up():
    world, calls = random_world(TINY, torch.device("cpu"), (4, 4)), []
    found = measure_steps(world, settings_of(("square", "random"), (0,), 5, 1), lambda: calls.append(1))
    assert len(calls) == 10
    assert found.changes.shape == (2 * 2 * 3, 2) and (found.changes > 0).all()
    design = np.stack([found.changes[:, 0], np.ones(len(found.changes))], axis=1)
    expected = np.linalg.lstsq(design, found.changes[:, 1], rcond=None)[0]
    if expected[0] < 0:  # then the line goes through the origin
        slope = np.linalg.lstsq(design[:, :1], found.changes[:, 1], rcond=None)[0][0]
        expected = np.array([slope, 0.0])
    np.testing.assert_allclose(found.line, expected, rtol=1e-6, atol=1e-9)
    residual = design @ expected - found.changes[:, 1]
    assert found.error == pytest.approx(float(np.sqrt((residual**2).mean())))


def test_a_world_that_cannot_reuse_steps_is_named():
    with pytest.raises(ValueError, match="does not fit world 'analytic', whose sampler cannot reuse a step"):
        measure_steps(AnalyticWorld(), settings_of(("square",), (0,), 4, 1))
