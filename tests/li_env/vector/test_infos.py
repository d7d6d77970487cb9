"""Stacked infos equal Gymnasium's own."""

from __future__ import annotations

import numpy as np
from gymnasium.vector import VectorEnv
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from li_env.vector.infos import info_of, objects, stack_infos

VALUES = {
    "flag": st.booleans(),
    "count": st.integers(-5, 5),
    "share": st.floats(0, 1),
    "narrow": st.integers(-5, 5).map(np.int16),
    "pose": st.integers(0, 9).map(lambda value: np.full((2, 3), value, np.float32)),
    "word": st.sampled_from(["warmup", "revisit"]),
    "steps": st.tuples(st.floats(0, 1), st.floats(0, 1)),
    "nothing": st.none(),
}
INFO = st.fixed_dictionaries({}, optional={**VALUES, "plan": st.fixed_dictionaries({}, optional=VALUES)})


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(st.none() | INFO, min_size=1, max_size=4))
def test_infos_are_stacked_as_gymnasium_does_it(infos):
    env = VectorEnv()
    env.num_envs = len(infos)
    expected: dict = {}
    for row, info in enumerate(infos):
        if info is not None:
            expected = env._add_info(expected, info, row)
    rows = [row for row, info in enumerate(infos) if info is not None]
    stacked = stack_infos([infos[row] for row in rows], rows, len(infos))
    np.testing.assert_equal(stacked, expected)
    assert _dtypes(stacked) == _dtypes(expected)
    for row in rows:
        np.testing.assert_equal(info_of(stacked, row), infos[row])


def test_objects_keep_arrays_whole():
    column = objects([np.zeros(3), np.ones(3)], [0, 2], 3)
    assert column.shape == (3,)
    assert column[1] is None
    np.testing.assert_array_equal(column[2], np.ones(3))


def _dtypes(infos: dict) -> dict:
    return {key: _dtypes(value) if isinstance(value, dict) else value.dtype for key, value in infos.items()}
