from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces

from li_env.actions import ActionMapper
from li_env.agents.macro_actions import MACRO_ACTIONS, STOP, MacroActions
from tests.analytic_world import SPEC


@pytest.mark.parametrize("can_stop", [False, True])
def test_every_macro_action_is_an_action_and_only_stop_stops(can_stop):
    mapper = ActionMapper("continuous", SPEC.motion, can_stop)
    macro_actions = MacroActions(mapper.space, can_stop)
    assert macro_actions.space == spaces.Discrete(len(MACRO_ACTIONS) + can_stop)
    motions = [mapper.to_motion(action) for action in macro_actions.actions(range(len(macro_actions.table)))]
    assert [motion is None for motion in motions] == [index == STOP for index in range(len(motions))]
    assert len({str(motion) for motion in motions}) == len(motions)


def test_the_mirror_exchanges_left_and_right():
    macro_actions = MacroActions(ActionMapper("continuous", SPEC.motion, True).space, True)
    mirrored = macro_actions.mirrored()
    np.testing.assert_array_equal(mirrored[mirrored], np.arange(9))
    np.testing.assert_allclose(macro_actions.table[mirrored], macro_actions.table * [1, 1, -1, 1])


def test_another_action_space_is_refused():
    with pytest.raises(ValueError, match="allowed: action_space='continuous'"):
        MacroActions(spaces.Discrete(9), True)


def test_the_nearest_macro_action_of_an_action_of_its_own_is_itself(macro_actions):
    table = macro_actions.table
    np.testing.assert_array_equal(macro_actions.nearest(table), np.arange(len(table)))
    np.testing.assert_array_equal(macro_actions.nearest([table[5] + 0.2, table[0] - 0.1]), [5, 0])
