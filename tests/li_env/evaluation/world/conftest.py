import pytest
import torch

from li_env.evaluation.world.game import Game
from li_env.evaluation.world.measurement import Measurement
from li_env.evaluation.world.settings import WorldSettings
from tests.li_env.evaluation.world.remembering_world import PictureRenderer, RememberingWorld


@pytest.fixture(autouse=True)
def one_thread():
    """Thousands of small operations: threads that wait for each other on a busy machine cost more than they bring."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def small() -> WorldSettings:
    return WorldSettings(trajectories=2, chunks=4, positions=1, spacings=(6.0,), headings=4, presets=("off",))


@pytest.fixture(scope="session")
def game(small) -> Game:
    return Game(small, PictureRenderer())


@pytest.fixture
def measurement(small, game) -> Measurement:
    return Measurement(RememberingWorld(), small, game)
