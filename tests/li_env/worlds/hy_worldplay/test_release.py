"""Rollouts of the Light Interaction release under its five presets, its zero tokens included."""

from __future__ import annotations

import pytest

from li_env.worlds.hy_worldplay import world as world_module
from li_env.worlds.hy_worldplay.view_overlap import ball_points
from tests.accel.test_paper import RELEASE
from tests.li_env.worlds.hy_worldplay.release_attention import ReleaseAttention
from tests.li_env.worlds.hy_worldplay.rollouts import Inputs, roll_out
from tests.li_env.worlds.hy_worldplay.test_labels import walked
from tests.li_env.worlds.hy_worldplay.tiny import LIGHT, close, facts, light_conditioning, tensors


def stored_inputs() -> Inputs:
    given, spec = tensors(LIGHT), facts(LIGHT)["spec"]
    points = ball_points(spec["num_points"], spec["points_seed"])
    noise, known = given["rollout_in/noise"], given["rollout_in/cond_latents"]
    return Inputs(light_conditioning(), walked(spec["pose"]), noise, known, points)


@pytest.mark.parametrize("preset", facts(LIGHT)["rollouts"])
def test_rollout_of_the_release(preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world_module, "SparseAttention", ReleaseAttention)
    latents, plans = roll_out(stored_inputs(), RELEASE[preset])
    for entry in facts(LIGHT)["rollouts"][preset]["per_chunk"]:
        plan = plans[entry["current"] // 4]
        assert list(plan.context) == entry["selected"]
        assert (plan.steps == 2) == entry["denoise_cache_on"]
    close(latents, f"rollout/{preset}/latents", 1e-4, LIGHT)
