"""Infos of several environments as one dictionary of arrays, in the form of Gymnasium's vector environments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def stack_infos(infos: Sequence[Mapping[str, Any]], rows: Sequence[int], count: int) -> dict[str, Any]:
    """Stack infos as ``gymnasium.vector.VectorEnv._add_info`` does, key by key instead of environment by environment.

    Args:
        infos: one dictionary per environment that has one.
        rows: the numbers of those environments.
        count: number of all environments.

    Returns:
        For every key an array with one row per environment (zeros, or None for objects, where an environment lacks the
        key) and under ``_key`` a mask of the environments that have the key. Dictionaries inside become dictionaries of
        such arrays.
    """
    return stack_columns(columns_of(infos), rows, count)


def columns_of(infos: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return the values of dictionaries key by key, one per dictionary; `Gaps` where some lack the key."""
    columns: dict[str, list[Any]] = {}
    for key in dict.fromkeys(key for info in infos for key in info):
        try:
            columns[key] = [info[key] for info in infos]
        except KeyError:
            columns[key] = Gaps(info.get(key, _ABSENT) for info in infos)
    return columns


def stack_columns(columns: Mapping[str, Any], rows: Sequence[int], count: int) -> dict[str, Any]:
    """Do what `stack_infos` does with values that are sorted by key: as many per key as there are ``rows``."""
    stacked: dict[str, Any] = {}
    for key, values in columns.items():
        where = rows
        if isinstance(values, Gaps):
            where = [row for row, value in zip(rows, values, strict=True) if value is not _ABSENT]
            values = [value for value in values if value is not _ABSENT]
        mask = np.zeros(count, dtype=np.bool_)
        mask[_index(where, count)] = True
        stacked[key], stacked[f"_{key}"] = _column(values, where, count), mask
    return stacked


class Gaps(list[Any]):
    """Values of a key that some dictionaries lack."""


_ABSENT = object()


def _index(rows: Sequence[int], count: int) -> slice | list[int]:
    """Return an index of rows; a slice where these are all rows in order."""
    return slice(None) if rows == range(count) else list(rows)


def objects(values: Sequence[Any], rows: Sequence[int], count: int) -> np.ndarray:
    """Make an object array [count] with ``values`` at ``rows`` and None elsewhere."""
    column = np.full(count, fill_value=None, dtype=object)
    for row, value in zip(rows, values, strict=True):
        column[row] = value
    return column


def _column(values: Sequence[Any], rows: Sequence[int], count: int) -> np.ndarray | dict[str, Any]:
    first = values[0]
    if isinstance(first, Mapping):
        return stack_infos(values, rows, count)
    if isinstance(first, np.ndarray):
        column = np.zeros((count, *first.shape), dtype=first.dtype)
        column[_index(rows, count)] = np.stack(values)
        return column
    if isinstance(first, int | float | np.number):  # int and bool alike: a bool is an int
        column = np.zeros(count, dtype=type(first))
        column[_index(rows, count)] = values
        return column
    return objects(values, rows, count)


def info_of(stacked: Mapping[str, Any], row: int) -> dict[str, Any]:
    """Return the dictionary of one environment: the inverse of `stack_infos` for row ``row``.

    A column without a mask, as wrappers put them inside their dictionaries, has a value for every environment.
    """
    info: dict[str, Any] = {}
    for key, column in stacked.items():
        if key.startswith("_") or (f"_{key}" in stacked and not stacked[f"_{key}"][row]):
            continue
        value = info_of(column, row) if isinstance(column, Mapping) else column[row]
        info[key] = value.item() if isinstance(value, np.generic) else value
    return info
