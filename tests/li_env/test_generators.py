from __future__ import annotations

import numpy as np
import pytest
from gymnasium.utils import seeding

from li_env.generators import new_generator, unmoved_on_failure


def test_a_generator_is_that_of_gymnasium():
    generator, seed = new_generator(7)
    assert seed == 7
    assert generator.random() == seeding.np_random(7)[0].random()


@pytest.mark.parametrize("seed", [-1, 1.5, True, "7", None])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(ValueError, match="seed="):
        new_generator(seed)


def test_generators_are_unmoved_only_where_the_block_raises():
    generators = [np.random.default_rng(seed) for seed in (0, 1)]
    with pytest.raises(KeyError), unmoved_on_failure(generators):
        generators[1].random()
        raise KeyError
    assert generators[1].random() == np.random.default_rng(1).random()
    with unmoved_on_failure(generators):
        first = generators[0].random()
    assert first != generators[0].random()
