from __future__ import annotations

import numpy as np
import pytest
import torch

from li_env.vector_env import LightInteractionVectorEnv

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.mark.parametrize("preset", ["off", "all"])
def test_resets_elsewhere_change_no_bit(preset):
    """Begin ten of 70 episodes anew: their first chunks leave the micro-batches of the others."""
    calm, disturbed = (LightInteractionVectorEnv(70, device="cuda", preset=preset, device_obs=True) for _ in range(2))
    for env in (calm, disturbed):
        env.reset(seed=0)
    for step in range(9):
        if step in (2, 6):
            disturbed.reset(seed=99, options={"reset_mask": np.arange(70) < 10})
        actions = [(index + step) % 9 for index in range(70)]
        assert torch.equal(calm.step(actions)[0][10:], disturbed.step(actions)[0][10:])
