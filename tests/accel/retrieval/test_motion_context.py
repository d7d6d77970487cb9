from __future__ import annotations

import numpy as np

from li_env.accel.geometry.camera import CameraMotion, follow, move
from li_env.accel.pose_track import PoseTrack
from li_env.accel.retrieval.motion_context import motion_context
from tests.accel.planning.test_planner import track_of
from tests.analytic_world import SPEC


def test_it_looks_where_the_motion_goes_and_back_at_the_newest() -> None:
    poses = track_of("left-24, d-1")  # a full turn: every direction has been looked at
    base = move(
        np.eye(4), CameraMotion(yaw=37.0, right=0.1, forward=1 / 3)
    )  # no round numbers: rounding must not matter
    poses = base @ poses
    now = poses[-1]
    track = PoseTrack(poses)
    assert motion_context(PoseTrack(), now, now, SPEC.view_distance) == ()
    assert motion_context(PoseTrack(poses[:3]), now, now, SPEC.view_distance) == (0, 1, 2)

    def looked(*motions: CameraMotion) -> np.ndarray:
        shown = motion_context(track, now, follow(now, motions)[-1], SPEC.view_distance)
        assert shown == tuple(sorted(set(shown)))
        assert shown[-4:] == (22, 23, 24, 25)
        assert len(shown) == 8
        return base[:3, :3].T @ poses[list(shown[:4]), :3, 2].mean(0)  # mean direction of view of the older ones

    assert looked(CameraMotion(forward=1))[2] > 0.85
    assert looked(CameraMotion(forward=-1))[2] < -0.85
    assert looked(CameraMotion(right=1))[0] > 0.85
    assert looked(CameraMotion(right=-1))[0] < -0.85
    assert looked(CameraMotion(yaw=15))[2] > 0.85
    for there in (0.7, 0.3, 0.1):
        for right, forward in ((0, 1), (1, 0), (1, 1)):  # there and back: nothing but rounding is left
            steps = [
                CameraMotion(right=right * step, forward=forward * step) for step in (there, -there / 3, -there * 2 / 3)
            ]
            assert looked(*steps)[2] > 0.85
