"""Access to pyarrow, which the extra ``data`` installs."""

from __future__ import annotations

import importlib
from typing import Any

from li_env.errors import MissingExtraError


def pyarrow(purpose: str) -> Any:
    """Import pyarrow with its Parquet module.

    Raises:
        MissingExtraError: the extra ``data`` is not installed.
    """
    try:
        importlib.import_module("pyarrow.parquet")
        return importlib.import_module("pyarrow")
    except ImportError:
        raise MissingExtraError("pyarrow", "data", purpose) from None
