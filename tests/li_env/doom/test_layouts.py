import cv2
import numpy as np
import pytest

from li_env.doom.layouts import FAMILIES, SOLID


@pytest.mark.parametrize("family", FAMILIES)
def test_plans_have_a_solid_rim_and_one_open_region(family):
    for seed in range(20):
        plan = FAMILIES[family](np.random.default_rng(seed))
        open_ = plan.labels != SOLID
        assert plan.labels.shape == (len(plan.x) - 1, len(plan.y) - 1)
        assert (np.diff(plan.x) >= 16).all() and (np.diff(plan.y) >= 16).all()
        assert not (open_[0].any() or open_[-1].any() or open_[:, 0].any() or open_[:, -1].any())
        regions, _ = cv2.connectedComponents(open_.astype(np.uint8), connectivity=4)
        assert regions == 2 and open_.sum() >= 16


@pytest.mark.parametrize("family", FAMILIES)
def test_plans_differ(family):
    plans = {FAMILIES[family](np.random.default_rng(seed)).labels.tobytes() for seed in range(10)}
    assert len(plans) == 10
