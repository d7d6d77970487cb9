"""Memory selection and the whole rollout against the original code."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from li_env.accel.config import AccelConfig
from li_env.accel.geometry.camera import follow
from li_env.accel.planning.planner import Planner
from li_env.accel.pose_track import PoseTrack
from li_env.worlds.hy_worldplay.view_overlap import BallOverlap, ball_overlap, ball_points
from tests.li_env.worlds.hy_worldplay.rollouts import Inputs, roll_out, tiny_world
from tests.li_env.worlds.hy_worldplay.test_labels import walked
from tests.li_env.worlds.hy_worldplay.tiny import close, conditioning, facts, tensors

OFF = AccelConfig.preset("off")


def poses_along(text: str) -> np.ndarray:
    return np.concatenate([np.eye(4)[None], follow(np.eye(4), walked(text))])


def stored_inputs() -> Inputs:
    given = tensors()
    noise, known = given["rollout/noise"], given["in/cond_latents"]
    motions = walked(facts()["spec"]["pose"])
    return Inputs(conditioning(), motions, noise, known, given["fov/points"].numpy())


def test_points_of_the_stored_choices() -> None:
    spec = facts()["spec"]
    np.testing.assert_allclose(
        ball_points(spec["num_points"], spec["points_seed"]), tensors()["fov/points"].numpy(), atol=1e-5
    )


@pytest.mark.parametrize(
    "pair", facts()["fov_similarity"]["pairs"], ids=lambda p: f"{p['pose']}:{p['curr']}-{p['hist']}"
)
def test_view_similarity(pair: dict[str, Any]) -> None:
    poses = poses_along(pair["pose"])
    points = tensors()["fov/points"].numpy()
    ours = ball_overlap(poses[[pair["curr"]]], poses[[pair["hist"]]], points, tuple(pair["fov"]))
    assert ours.item() == pytest.approx(pair["similarity"], abs=1e-6)


@pytest.mark.parametrize("trajectory", facts()["memory_selection"]["trajectories"], ids=lambda entry: entry["pose"])
def test_selected_memory(trajectory: dict[str, Any]) -> None:
    poses = poses_along(trajectory["pose"])
    assert len(poses) == trajectory["num_latents"]
    grid = tuple(facts()["spec"]["latent_hw"])
    spec = replace(
        tiny_world(grid).spec, context_latents=trajectory["memory_frames"], temporal_latents=trajectory["temporal"]
    )
    planner = Planner(spec, OFF, BallOverlap(tensors()["fov/points"].numpy()))
    for entry in trajectory["per_chunk"]:
        now = entry["current"]
        (plan,) = planner.plan([PoseTrack(poses[:now])], [poses[now : now + 4]])
        assert list(plan.context) == entry["selected"]


def test_whole_rollout() -> None:
    described = facts()["rollout"]
    latents, plans = roll_out(stored_inputs(), OFF, steps=described["steps"])
    assert [list(plan.context) for plan in plans] == described["selected_frames_per_chunk"]
    assert {plan.steps for plan in plans} == {described["steps"]}
    close(latents, "rollout/latents", 1e-4)


def test_the_original_s_cameras_give_about_the_same() -> None:
    """Compare with the stored float32 rollout: the original's bfloat16 matrices change little, but not nothing."""
    inputs = stored_inputs()
    grid = tuple(inputs.noise.shape[-2:])
    exact, coarse = (roll_out(inputs, OFF, tiny_world(grid, flag))[0] for flag in (False, True))
    difference = float((exact - coarse).norm() / exact.norm())
    assert 1e-5 < difference < 0.2
