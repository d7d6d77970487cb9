from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from li_env.accel.geometry.camera import CameraMotion, MotionLimits, follow, inverse
from li_env.accel.geometry.trajectory import MAX_TRAJECTORY_LATENTS, parse_trajectory
from tests.oracle import load_oracle

FLAT = MotionLimits(translation=0.75, rotation=15.0, pitch=False)
PITCHED = replace(FLAT, pitch=True)
HY = MotionLimits(translation=0.08, rotation=3.0, pitch=True)


def test_trajectory_commands() -> None:
    assert parse_trajectory("w-2, left-1", FLAT) == (*[CameraMotion(forward=0.75)] * 2, CameraMotion(yaw=-15.0))
    assert parse_trajectory("s-1,a-1,d-1,right-1", FLAT) == (
        CameraMotion(forward=-0.75),
        CameraMotion(right=-0.75),
        CameraMotion(right=0.75),
        CameraMotion(yaw=15.0),
    )
    assert parse_trajectory("up-1,down-1", PITCHED) == (CameraMotion(pitch=15.0), CameraMotion(pitch=-15.0))
    assert len(parse_trajectory(" w - 3 ,, s-2 , ", FLAT)) == 5


@pytest.mark.parametrize(
    ("text", "position", "allowed"),
    [
        ("w-3, x-4", 6, "w, s, a, d, left, right"),
        ("w-3,up-4", 5, "this world cannot look up or down"),
        ("w-3, s", 6, "s-COUNT"),
        ("w-2.5", 1, "whole number"),
        ("w--2", 1, "whole number"),
        ("w-3,  left-", 7, "whole number"),
        ("w-²", 1, "whole number"),
        ("W-3", 1, "use one of w"),
        (f"w-1, w-{MAX_TRAJECTORY_LATENTS}", 6, "1,000,000 latents"),
    ],
)
def test_trajectory_errors_say_where_and_what(text: str, position: int, allowed: str) -> None:
    with pytest.raises(ValueError) as error:
        parse_trajectory(text, FLAT)
    message = str(error.value)
    assert f"at character {position}:" in message
    assert allowed in message
    assert "\n" not in message


@pytest.mark.parametrize("text", ["", " , ,", "w-0"])
def test_trajectory_needs_motion(text: str) -> None:
    with pytest.raises(ValueError, match=r"has no motion"):
        parse_trajectory(text, FLAT)


def whole_counts(text: str) -> str:
    """Cut the counts of the oracle's trajectories to whole numbers, as the original did."""
    pairs = [command.strip().split("-") for command in text.split(",")]
    return ", ".join(f"{name}-{int(float(count))}" for name, count in pairs)


def test_trajectories_match_oracle() -> None:
    description, tensors = load_oracle("hy_worldplay_tiny")
    assert description["poses"]
    for entry in description["poses"]:
        steps = parse_trajectory(whole_counts(entry["pose"]), HY)
        assert 1 + len(steps) == entry["num_latents"]
        poses = np.concatenate([np.eye(4)[None], follow(np.eye(4), steps)])
        np.testing.assert_allclose(inverse(poses), tensors[entry["tensor"]], atol=1e-12)
