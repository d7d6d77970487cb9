"""Random generators of environments: made as Gymnasium does, and put back where a draw fails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from gymnasium.utils import seeding

from li_env.validation import check_whole


def new_generator(seed: Any) -> tuple[np.random.Generator, int]:
    """Make a generator as Gymnasium does; return it and its seed.

    Raises:
        ValueError: not a whole number from 0 up.
    """
    return seeding.np_random(check_whole("seed", seed))


@contextmanager
def unmoved_on_failure(generators: Sequence[np.random.Generator]) -> Iterator[None]:
    """Put generators back to where they were if the block raises."""
    before = [generator.bit_generator.state for generator in generators]
    try:
        yield
    except BaseException:
        for generator, state in zip(generators, before, strict=True):
            generator.bit_generator.state = state
        raise
