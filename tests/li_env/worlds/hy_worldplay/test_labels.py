"""Poses and action labels against the original code."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from li_env.accel.geometry.camera import CameraMotion, follow, inverse, move
from li_env.accel.geometry.trajectory import parse_trajectory
from li_env.worlds.hy_worldplay.labels import motion_labels
from li_env.worlds.hy_worldplay.world import MOTION
from tests.li_env.worlds.hy_worldplay.tiny import facts, tensors
from tests.reference.hy_worldplay.pose_labels import pose_labels


def walked(text: str) -> tuple[CameraMotion, ...]:
    """Follow a pose string; the original cuts the fraction off a count (``right-2.9``), ours wants whole numbers."""
    commands = [part.strip().partition("-") for part in text.split(",") if part.strip()]
    return parse_trajectory(", ".join(f"{name.strip()}-{int(float(count))}" for name, _, count in commands), MOTION)


@pytest.mark.parametrize("entry", facts()["poses"], ids=lambda entry: entry["pose"])
def test_poses_and_labels_of_pose_strings(entry: dict[str, Any]) -> None:
    motions = walked(entry["pose"])
    poses = np.concatenate([np.eye(4)[None], follow(np.eye(4), motions)])
    assert len(poses) == entry["num_latents"]
    np.testing.assert_allclose(inverse(poses), tensors()[entry["tensor"]].numpy(), atol=1e-12)
    assert pose_labels(poses) == entry["action"]
    assert [0, *motion_labels(motions)] == entry["action"]


def test_cameras_of_the_stored_calls() -> None:
    motions = walked(facts()["spec"]["pose"])
    poses = np.concatenate([np.eye(4)[None], follow(np.eye(4), motions)])
    np.testing.assert_allclose(inverse(poses), tensors()["cam/viewmats"][0].numpy(), atol=1e-6)
    assert [0, *motion_labels(motions)] == tensors()["cam/action"][0].tolist()


def test_labels_of_compound_motions() -> None:
    poses = tensors()["compound/c2w"].numpy()
    assert pose_labels(poses) == facts()["compound"]["action"]
    np.testing.assert_allclose(inverse(poses), tensors()["compound/w2c"].numpy(), atol=1e-12)


def test_compound_motions_lead_to_the_stored_poses() -> None:
    poses = tensors()["compound/c2w"].numpy()
    compared = 0
    for number, motion in enumerate(facts()["compound"]["motions"]):
        if "third_yaw" in motion:  # turning around a point in front of the camera: our actions have no such motion
            continue
        compared += 1
        angles = {key: float(np.degrees(motion.get(key, 0.0))) for key in ("yaw", "pitch")}
        ours = CameraMotion(**angles, right=motion.get("right", 0.0), forward=motion.get("forward", 0.0))
        np.testing.assert_allclose(move(poses[number], ours), poses[number + 1], atol=1e-12)
        assert motion_labels([ours]) == [facts()["compound"]["action"][number + 1]]
    assert compared >= 10
