from __future__ import annotations

import pytest
import torch

from li_env.vector_env import LightInteractionVectorEnv

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.mark.parametrize("preset", ["off", "all"])
def test_frames_do_not_depend_on_how_many_episodes_are_planned_before_the_gpu_begins(preset, monkeypatch):
    """Step 96 envs, two micro-batches of which the second is padded, and plan them in other parts."""
    frames = []
    for first, later in ((64, 128), (128, 128), (7, 13)):
        monkeypatch.setattr("li_env.accel.runtime.requests.FIRST_MICRO_BATCH", first)
        monkeypatch.setattr("li_env.accel.runtime.requests.PLANNER_MICRO_BATCH", later)
        env = LightInteractionVectorEnv(96, device="cuda", preset=preset, device_obs=True)
        env.reset(seed=0)
        frames.append([env.step([(index + step) % 9 for index in range(96)])[0] for step in range(4)])
        env.close()
    for others in frames[1:]:
        for one, two in zip(frames[0], others, strict=True):
            assert torch.equal(one, two)
