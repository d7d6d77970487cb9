import os

import pytest

from li_env.worlds.registry import register_world
from tests import narrow_freedoom
from tests.analytic_world import AnalyticWorld

# Before anything imports pygame: windows without a display.
os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

WORLDS = ["analytic", narrow_freedoom.NAME]
"""Worlds that the environment's suite runs on, by registry name."""


def load_analytic(device: str, weights: str | None) -> AnalyticWorld:
    return AnalyticWorld(device)


register_world("analytic", load_analytic, "an empty room for tests")
register_world(narrow_freedoom.NAME, narrow_freedoom.load_narrow, "the learned game without its weights, for tests")


@pytest.fixture(params=WORLDS, scope="session")
def world_name(request: pytest.FixtureRequest) -> str:
    return request.param
