"""How two records are compared, on made-up values."""

from __future__ import annotations

import math
from types import ModuleType

import numpy as np
import pytest

from tests.scripts.loading import load


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    for variable in ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES"):  # which the script sets for itself
        monkeypatch.setenv(variable, "1")
    return load("frame_hashes")


equal = load("frames_equal")
BASE = {"game/off": {"observation": ["aa", "bb", "cc"], "reward": [0.5, math.nan]}, "game/all": {"reward": [1.0]}}


def head(**parts: list[object]) -> dict[str, dict[str, object]]:
    return {**BASE, "game/off": {**BASE["game/off"], **parts}}


def test_equal_records_have_no_differences_and_nan_equals_itself():
    assert equal.compare(BASE, head(reward=[0.5, math.nan]), ()) == []


def test_the_first_different_value_is_named():
    (found,) = equal.compare(BASE, head(observation=["aa", "xx", "yy"]), ())
    assert (found.case, found.part, found.reason) == ("game/off", "observation", None)
    assert found.what == "2 of 3 values differ, first number 1: bb, now xx"


@pytest.mark.parametrize(
    ("after", "what"),
    [
        (head(observation=["aa", "bb"]), "3 values, now 2"),
        (head(reward=[0.5, 1]), "first number 1: nan, now 1"),
        ({**BASE, "game/all": {}}, "missing in head"),
        ({**BASE, "game/all": {"reward": [1]}}, "first number 0: 1.0, now 1"),
        ({"game/off": BASE["game/off"]}, "only in base"),
        ({**BASE, "game/new": {}}, "only in head"),
        (head(error=["ValueError: no"]), "head: ValueError: no"),
    ],
)
def test_every_kind_of_difference_is_found(after, what):
    (found,) = equal.compare(BASE, after, ())
    assert what in found.what


def test_an_announced_difference_has_its_reason_and_others_have_none():
    announced = (equal.Announced("game/*", "obs*", "another way to scale"),)
    after = head(observation=["aa", "bb", "xx"], reward=[0.25, math.nan])
    reasons = {each.part: each.reason for each in equal.compare(BASE, after, announced)}
    assert reasons == {"observation": "another way to scale", "reward": None}


def test_an_error_cannot_be_announced_not_even_in_both():
    broken = head(error=["ValueError: no"])
    found = equal.compare(broken, broken, (equal.Announced("*", "*", "never mind"),))
    assert [each.reason for each in found] == [None, None]


def test_new_parts_are_no_difference():
    after = head(**{"info.fresh": [1]})
    assert equal.compare(BASE, after, ()) == []
    assert equal.new_parts(BASE, after) == ["info.fresh"]


def test_values_keep_their_type_and_shape(hashes):
    small = np.zeros(3, np.float32)
    assert hashes.plain(small) == "float32 [0.0, 0.0, 0.0]"
    digests = [hashes.plain(np.zeros(shape, kind)) for shape in ((2, 6), (3, 4)) for kind in (np.uint8, np.int8)]
    assert len(set(digests)) == 4 and all(len(each) == 16 for each in digests)
    assert hashes.plain(np.asfortranarray(np.arange(12).reshape(3, 4))) == hashes.plain(np.arange(12).reshape(3, 4))
    assert hashes.plain((np.float64(0.5), None, np.array([None, small], object))) == [
        0.5,
        None,
        [None, hashes.plain(small)],
    ]


def test_a_record_splits_dictionaries_and_leaves_sentences_out(hashes):
    record = hashes.Record()
    record.add("info", {"plan": {"steps": 2, "reason": "because"}, "pose": 1.0})
    record.add("info", {"pose": 2.0})
    assert record.parts == {"info.plan.steps": [2], "info.pose": [1.0, 2.0]}
