"""Arguments of the vector environment, checked: masks, options, seeds, numbers of environments, actions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from gymnasium.error import ResetNeeded

from li_env.validation import check_whole, shown


def masked_rows(mask: Any, begun: Sequence[bool]) -> list[int]:
    """Return the numbers of the environments to reset, all without a mask.

    Args:
        mask: reset option ``reset_mask``, bool [num_envs], or None.
        begun: per environment whether it has an episode.

    Raises:
        ValueError: no such mask, or a mask without True.
        ResetNeeded: the mask leaves out an environment that never began.
    """
    count = len(begun)
    if mask is None:
        return list(range(count))
    allowed = f"allowed: a numpy array of bool [{count}] with at least one True"
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != (count,):
        what = f"{mask.dtype} {list(mask.shape)}" if isinstance(mask, np.ndarray) else type(mask).__name__
        raise ValueError(f"reset option reset_mask={what} is not usable; {allowed}")
    if not mask.any():
        raise ValueError(f"reset option reset_mask without True; {allowed}")
    if any(not running and not chosen for running, chosen in zip(begun, mask, strict=True)):
        raise ResetNeeded("call reset() without reset_mask first: some of the other environments never began")
    return [int(index) for index in np.flatnonzero(mask)]


def options_of_each(shared: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """Return the reset options of each of ``count`` environments; takes the option ``each`` out of ``shared``.

    Raises:
        ValueError: ``each`` is no sequence of ``count`` dictionaries.
    """
    own = shared.pop("each", None)
    if own is None:
        return [shared] * count
    if not isinstance(own, Sequence) or len(own) != count or not all(isinstance(one, dict) for one in own):
        raise ValueError(f"reset option each={type(own).__name__}; allowed: {count} dictionaries")
    return [{**shared, **one} for one in own]


def seeds_of_rows(seed: int | Sequence[int | None] | None, rows: Sequence[int], count: int) -> list[int | None]:
    """Return the seeds of the environments ``rows`` of ``count``: one number counts up, a sequence has one per env.

    Raises:
        ValueError: seeds that are not allowed, or another number of them.
    """
    if seed is None:
        return [None] * len(rows)
    if isinstance(seed, np.ndarray) and seed.ndim == 1:
        seed = list(seed)
    if not isinstance(seed, Sequence) or isinstance(seed, str | bytes):
        first = check_whole("seed", seed)
        return [first + index for index in rows]
    if len(seed) != count:
        raise ValueError(f"seed: {len(seed)} given for {count} environments; allowed: one number, or one for each")
    return [None if seed[index] is None else check_whole(f"seed[{index}]", seed[index]) for index in rows]


def env_rows(worlds: Iterable[int] | None, count: int) -> list[int]:
    """Return the numbers of the environments that an argument ``worlds`` names, all ``count`` by default.

    Raises:
        ValueError: something else than numbers of environments that exist.
    """
    if worlds is None:
        return list(range(count))
    try:
        wanted = list(worlds)
    except TypeError:  # not iterable
        raise ValueError(
            f"worlds={shown(worlds)} is not usable; allowed: a list of numbers of environments, or None"
        ) from None
    return [check_whole("env", index, 0, count - 1) for index in wanted]


def action_batch(actions: Any, count: int, each: tuple[int, ...]) -> np.ndarray:
    """Return the actions of ``count`` environments as one array [count, *each].

    Raises:
        ValueError: another shape.
    """
    shape = [count, *each]
    try:
        batch = np.asarray(actions)
    except (ValueError, TypeError, RuntimeError):
        what = "rows of different lengths, or no numbers,"
        raise ValueError(f"actions: {what} for {count} environments; allowed: shape {shape}") from None
    if list(batch.shape) != shape:
        raise ValueError(f"actions: shape {list(batch.shape)} for {count} environments; allowed: shape {shape}")
    return batch
