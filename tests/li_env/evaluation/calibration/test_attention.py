from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from li_env.evaluation.calibration.attention import Crossover, lengths, measure_crossover
from li_env.worlds.hy_worldplay.build import random_world
from li_env.worlds.hy_worldplay.config import HYWorldPlayConfig
from tests.analytic_world import SPEC, AnalyticWorld

TINY = HYWorldPlayConfig(4, 64, 2, 2, 2.0, (8, 12, 12), text_width=8, vision_width=8, byt5_widths=(8, 8, 8))


def crossover(*faster: bool) -> Crossover:
    dense = np.full((len(faster), 3), 10.0)
    sparse = np.array([[9.0, 9.5, 99.0] if each else [11.0, 11.5, 1.0] for each in faster])
    return Crossover(tuple(4 * (1 + index) for index in range(len(faster))), dense, sparse)


def test_the_crossover_is_where_sparse_stays_faster():
    assert crossover(False, False, True, True).least == 12
    assert crossover(True, False, True).least == 12
    assert crossover(True, True).least == 4
    assert crossover(True, True, False).least == 13


def test_lengths_are_whole_groups_up_to_the_budget():
    assert lengths(SPEC) == (4, 8, 12, 16, 20)
    assert lengths(replace(SPEC, memory_group=1, context_latents=9)) == (1, 2, 3, 4, 6, 7, 8, 9)


def test_both_kinds_are_timed_at_every_length():
    world, calls = random_world(TINY, torch.device("cpu"), (4, 4)), []
    found = measure_crossover(world, repeats=2, on_chunk=lambda: calls.append(1))
    assert found.contexts == (4, 8, 12, 16, 20)
    assert found.dense.shape == found.sparse.shape == (5, 2)
    assert (found.dense > 0).all() and (found.sparse > 0).all()
    assert len(calls) == 5 + 3 * 5 * 2


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match="world='analytic' has no block-sparse attention"):
        measure_crossover(AnalyticWorld())
    world = AnalyticWorld(spec=replace(SPEC, supports_block_sparse=True))
    with pytest.raises(ValueError, match="preset='off' has attention 'dense'; use one with block_sparse"):
        measure_crossover(world, "off")
