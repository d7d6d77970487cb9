import numpy as np
import pytest

from li_env.agents.macro_actions import MacroActions
from li_env.episodes import EpisodeRunner, open_episodes
from li_env.tasks import EpisodeDataset, EpisodeRecord, NavigationRules, PointGoal
from tests.analytic_world import SPEC, AnalyticWorld


@pytest.fixture
def room() -> EpisodeRunner:
    """PointGoal in the test room, goals 1 to 3 m away in every direction from its centre."""
    rng = np.random.default_rng(0)
    turns, distances = rng.uniform(-np.pi, np.pi, 40), rng.uniform(1, 3, 40)
    records = [
        EpisodeRecord(0, (0.0, 0.0, 0.0), (float(w * np.sin(a)), float(w * np.cos(a)), 0.0))
        for a, w in zip(turns, distances, strict=True)
    ]
    task = PointGoal(SPEC, EpisodeDataset(tuple(records), {}), NavigationRules(0.8, 2.5, -0.01, (1.0, 3.0)))
    return open_episodes(AnalyticWorld(), action_space="continuous", observation="frame", task=task)


@pytest.fixture
def macro_actions(room: EpisodeRunner) -> MacroActions:
    return MacroActions(room.actions.space, room.task.can_stop)
