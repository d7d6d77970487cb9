"""Check values that come from outside, and show them in messages without ever printing much.

Every message names the key, the value (at most 80 characters of it) and what is allowed.
"""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from math import inf
from pathlib import PurePath
from reprlib import Repr
from typing import Any

import numpy as np

SHOWN = 80
"""Most characters of a value in a message."""

MOST_WIDTH = 2**18
"""Largest size of a network along one axis (a vocabulary)."""

MOST_SEED = 2**63 - 1
"""Largest seed: what every generator of random numbers takes."""


class _Short(Repr):
    """`repr` that looks at the beginning of a value only: an alias bomb is shown as fast as a number."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother = 3, SHOWN - 10, SHOWN - 10
        self.maxlist = self.maxtuple = 6

    def repr_int(self, value: int, level: int) -> str:
        # Python refuses to write whole numbers of more than 4,300 digits.
        return repr(value) if value.bit_length() <= 128 else f"a whole number of {value.bit_length()} bits"

    def repr_bytes(self, value: bytes, level: int) -> str:
        return repr(value) if len(value) <= self.maxother else f"{len(value):,} bytes"

    def repr_ndarray(self, value: Any, level: int) -> str:
        return f"{value.dtype} {list(value.shape)}"

    def repr_Tensor(self, value: Any, level: int) -> str:  # noqa: N802 - named after the type
        return f"{value.dtype} {list(value.shape)}"


_SHORT = _Short()


def shown(value: object) -> str:
    """Write a value for a message: its `repr`, cut to `SHOWN` characters; arrays as dtype and shape."""
    text = _SHORT.repr(str(value) if isinstance(value, PurePath) else value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def shown_path(path: object) -> str:
    """Write the name of a file for a message, without quotes: the last `SHOWN` characters of a long one."""
    text = str(path).encode("utf-8", "backslashreplace").decode().replace("\n", "\\n")
    return text if len(text) <= SHOWN else f"...{text[3 - SHOWN :]}"


def shortened(text: object, most: int = 2 * SHOWN) -> str:
    """Cut what a library says to one line of at most ``most`` characters."""
    line = " ".join(str(text).encode("utf-8", "backslashreplace").decode().split())
    return line if len(line) <= most else f"{line[: most - 3]}..."


def check_whole(key: str, value: object, least: int = 0, most: int | None = None) -> int:
    """Return a whole number (of Python or NumPy) from ``least`` to ``most`` as an int; ``True`` is none.

    Raises:
        ValueError: anything else, a number that would have to be rounded too.
    """
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        number = int(value)
        if number >= least and (most is None or number <= most):
            return number
    allowed = f"from {least} up" if most is None else f"from {least} to {most}"
    raise ValueError(f"{key}={shown(value)} is not allowed; use a whole number {allowed}")


def check_number(
    key: str, value: object, least: float = -inf, most: float = inf, above: bool = False, below: bool = False
) -> float:
    """Return a finite number from ``least`` to ``most`` as it is (a whole number stays one).

    Args:
        key: name in the message.
        value: to check; ``True`` is no number.
        least: smallest number allowed.
        most: largest number allowed.
        above: whether ``least`` itself is refused.
        below: whether ``most`` itself is refused.

    Raises:
        ValueError: anything else, NaN and infinity too.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and -inf < value < inf:
        low = value > least if above else value >= least
        high = value < most if below else value <= most
        # A whole number beyond the range of float would overflow at its first use.
        if low and high and (isinstance(value, float) or value.bit_length() < 1000):
            return value
    raise ValueError(f"{key}={shown(value)} is not allowed; use {_range(least, most, above, below)}")


def _range(least: float, most: float, above: bool, below: bool) -> str:
    low = "" if least == -inf else f"above {least:g}" if above else f"from {least:g}"
    if most == inf:
        return f"a finite number {low}".strip() if not low or above else f"a finite number {low} up"
    if not low:
        return f"a finite number {'below' if below else 'of at most'} {most:g}"
    return f"a number {low} {'and below' if below else 'and at most' if above else 'to'} {most:g}"


def check_flag(key: str, value: object) -> bool:
    """Return ``True`` or ``False``.

    Raises:
        ValueError: anything else, 0 and 1 too.
    """
    if isinstance(value, bool):
        return value
    raise ValueError(f"{key}={shown(value)} is not allowed; use true or false")


MOST_TEXT = 100_000
"""Characters of a text from outside."""


def check_text(key: str, value: object, empty: bool = False) -> str:
    """Return a text that has a UTF-8 form; ``empty`` allows the empty one.

    Raises:
        ValueError: not a text, an empty or endless one, or one with a lone surrogate, as file names from another
            encoding have.
    """
    if not isinstance(value, str) or (not value and not empty):
        raise ValueError(f"{key}={shown(value)} is not allowed; use a text{'' if empty else ' that is not empty'}")
    if len(value) > MOST_TEXT:
        raise ValueError(f"{key}={shown(value)} has {len(value):,} characters; allowed: at most {MOST_TEXT:,}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        sign = ascii(value[error.start])
        raise ValueError(
            f"{key}={shown(value)} is not allowed; use a text with a UTF-8 form ({sign} at character "
            f"{error.start + 1} is half of a sign)"
        ) from None
    return value


def check_mapping(key: str, value: object) -> Mapping[str, Any]:
    """Return a mapping whose keys are texts.

    Raises:
        ValueError: anything else.
    """
    if not isinstance(value, Mapping):
        raise ValueError(f"{key}={shown(value)} is not allowed; use a mapping of keys to values")
    for name in value:
        if not isinstance(name, str):
            raise ValueError(f"{key} key={shown(name)} is not allowed; use texts as keys")
    return value


def check_choice(key: str, value: object, allowed: Iterable[str]) -> str:
    """Return ``value`` if it is one of ``allowed``, else raise a ``ValueError`` that lists them and the closest."""
    names = list(allowed)
    if isinstance(value, str) and value in names:
        return value
    close = get_close_matches(value[:SHOWN], names, n=1) if isinstance(value, str) else []
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    raise ValueError(f"{key}={shown(value)} is unknown{hint}; allowed: {', '.join(names)}")


def check_keys(what: str, mapping: Mapping[str, Any], allowed: Iterable[str]) -> None:
    """Raise a ``ValueError`` naming the first key of ``mapping`` that is not in ``allowed``."""
    names = list(allowed)
    for key in mapping:
        check_choice(f"{what} key", key, names)


MOST_LENGTH = 1e6
"""Length units of a position: more than that is a mistake."""


_IDENTITY = np.eye(4)
_ROTATION_ERROR, _LAST_ROW_ERROR = 1e-6 + 1e-5 * _IDENTITY[:3, :3], 1e-8 + 1e-5 * _IDENTITY[3]


def check_pose(key: str, value: Any) -> np.ndarray:
    """Return a copy of a camera-to-world matrix as float64 [4, 4].

    Raises:
        ValueError: not 4x4, not finite, not a rotation and a position below `MOST_LENGTH`, or another last row than
            0 0 0 1.
    """
    allowed = "allowed: a finite 4x4 matrix [rotation | position], last row 0 0 0 1, position below 1e6"
    try:
        matrix = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{key}={type(value).__name__} is not usable; {allowed}") from None
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
        raise ValueError(f"{key} of shape {list(matrix.shape)} or with NaN is not usable; {allowed}")
    rotation = matrix[:3, :3]
    product, last = rotation @ rotation.T - _IDENTITY[:3, :3], matrix[3] - _IDENTITY[3]
    rigid = (np.abs(product) <= _ROTATION_ERROR).all() and np.linalg.det(rotation) > 0
    if not rigid or (np.abs(last) > _LAST_ROW_ERROR).any() or np.abs(matrix[:3, 3]).max() >= MOST_LENGTH:
        raise ValueError(f"{key}={shown(matrix.round(4).tolist())} is not usable; {allowed}")
    return matrix
