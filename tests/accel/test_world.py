from __future__ import annotations

from li_env.accel.world import BaseWorld
from tests.analytic_world import AnalyticWorld


def test_analytic_world_follows_the_protocol() -> None:
    assert isinstance(AnalyticWorld(), BaseWorld)
