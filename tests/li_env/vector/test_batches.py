from __future__ import annotations

import numpy as np
import torch
from gymnasium import spaces

from li_env.vector.batches import batch_arrays, batch_tensors, observation_on_device

SPACE = spaces.Dict({"rgb": spaces.Box(0, 255, (2, 3), np.uint8), "goal": spaces.Box(-1, 1, (2,), np.float32)})


def test_batches_of_dictionaries_hold_one_row_per_world_and_share_nothing():
    SPACE.seed(0)
    items = [SPACE.sample() for _ in range(3)]
    parts = {key: [item[key] for item in items] for key in SPACE}
    batch = batch_arrays(SPACE, parts)
    tensors = batch_tensors(parts, torch.device("cpu"))
    for key, space in SPACE.items():
        assert batch[key].dtype == space.dtype
        np.testing.assert_array_equal(tensors[key].numpy(), batch[key])
        for row, item in enumerate(items):
            np.testing.assert_array_equal(batch[key][row], item[key])
            assert not np.shares_memory(batch[key], item[key])


def test_arrays_join_tensors():
    """Stack as after the reset of one environment, whose start frames come from the host."""
    items = [torch.full((2, 3), 1, dtype=torch.uint8), np.full((2, 3), 2, np.uint8)]
    batch = batch_tensors(items, torch.device("cpu"))
    assert batch.dtype == torch.uint8
    assert batch[:, 0, 0].tolist() == [1, 2]


def test_single_observations_keep_their_structure():
    SPACE.seed(0)
    item = SPACE.sample()
    moved = observation_on_device(item, torch.device("cpu"))
    for key in SPACE:
        np.testing.assert_array_equal(moved[key].numpy(), item[key])
