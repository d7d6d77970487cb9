from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from li_env.validation import (
    check_choice,
    check_flag,
    check_mapping,
    check_number,
    check_text,
    check_whole,
    shown,
    shown_path,
)

DEEP: list = []
DEEP.append(DEEP)


def bomb(levels: int = 40) -> list:
    value = ["x"] * 10
    for _ in range(levels):
        value = [value] * 10
    return value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, "3"),
        ("a\nb", r"'a\nb'"),
        ("caf\udce9", r"'caf\udce9'"),
        (Path("a/b"), "'a/b'"),
        ([1, 2, 3], "[1, 2, 3]"),
        (10**400, "a whole number of 1329 bits"),
        (np.zeros((4, 3), np.uint8), "uint8 [4, 3]"),
    ],
)
def test_values_are_shown_as_they_are_written(value, text):
    assert shown(value) == text


@pytest.mark.parametrize(
    "value",
    [bomb(), DEEP, "x" * 10**7, b"x" * 10**7, {str(n): bomb() for n in range(99)}],
    ids=["bomb", "itself", "text", "bytes", "mapping"],
)
def test_what_is_shown_is_short_whatever_it_holds(value):
    assert len(shown(value)) <= 80
    with pytest.raises(ValueError, match="^key=") as caught:
        check_choice("key", value, ["one", "two"])
    assert len(str(caught.value)) < 200


def test_of_a_long_path_the_end_is_shown():
    assert shown_path(Path("/x" * 200, "name.json")).endswith("/x/name.json")
    assert len(shown_path("/x" * 200)) == 80
    shown_path("caf\udce9").encode()


@pytest.mark.parametrize("value", [True, 1.0, "1", None, [1], -1, 11, float("nan"), 10**400])
def test_whole_numbers(value):
    assert check_whole("k", 0, 0, 10) == 0 and check_whole("k", 10, 0, 10) == 10 and check_whole("k", 10**30) == 10**30
    with pytest.raises(ValueError, match="^k=.* is not allowed; use a whole number from 0 to 10$"):
        check_whole("k", value, 0, 10)


@pytest.mark.parametrize("value", [True, "1", None, [1], -1e-9, 1.1, float("nan"), float("inf"), 10**400])
def test_numbers(value):
    assert check_number("k", 1, 0, 1) == 1
    with pytest.raises(ValueError, match="^k=.* is not allowed; use a number from 0 to 1$"):
        check_number("k", value, 0, 1)


def test_open_ends_of_numbers():
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        check_number("k", 0, 0, 1, above=True)
    with pytest.raises(ValueError, match="from 0 and below 1"):
        check_number("k", 1, 0, 1, below=True)
    for value in (float("inf"), -float("inf"), 10**400):
        with pytest.raises(ValueError, match="a finite number"):
            check_number("k", value)


def test_flags_texts_and_mappings():
    assert check_flag("k", False) is False and check_text("k", "é") == "é" and check_mapping("k", {"a": 1}) == {"a": 1}
    for check, value in (
        (check_flag, 1), (check_flag, "yes"), (check_text, 3), (check_text, ""), (check_text, None),
        (check_mapping, [1]), (check_mapping, None), (check_mapping, {3: 1}),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="^k.* is not allowed; use "):
            check(key="k", value=value)
    assert check_text("k", "", empty=True) == ""
    with pytest.raises(ValueError, match="at character 4 is half of a sign"):
        check_text("k", "caf\udce9")
