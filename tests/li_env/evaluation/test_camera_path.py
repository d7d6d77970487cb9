from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from li_env.accel.geometry.camera import STILL, CameraMotion
from li_env.accel.geometry.trajectory import parse_trajectory
from li_env.evaluation.camera_path import fill_chunks
from tests.analytic_world import SPEC


@given(count=st.integers(0, 200))
def test_chunks_hold_the_trajectory_and_then_stand_still(count):
    motions = [CameraMotion(yaw=float(index + 1)) for index in range(count)]
    chunks, added = fill_chunks(SPEC, motions)
    assert [len(chunk) for chunk in chunks] == [3, *[4] * (len(chunks) - 1)]
    flat = [motion for chunk in chunks for motion in chunk]
    assert flat[:count] == motions
    assert flat[count:] == [STILL] * added
    assert added < 4


def test_out_and_back_of_the_demo_fills_16_chunks_exactly():
    chunks, added = fill_chunks(SPEC, parse_trajectory("w-31, s-32", SPEC.motion))
    assert (len(chunks), added) == (16, 0)
