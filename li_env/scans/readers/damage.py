"""One error for all that can be wrong with a dataset's files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from li_env.validation import shortened, shown


@contextmanager
def damaged(pa: Any, folder: Path) -> Iterator[None]:
    """Turn what the library says of a damaged dataset into one ``ValueError``."""
    try:
        yield
    except (OSError, pa.ArrowException, KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        name = f"scan={shown(str(folder))}"
        raise ValueError(f"{name} is no complete dataset of li-env collect: {shortened(error)}") from None
