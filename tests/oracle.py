"""Where oracle files lie and how to read them."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file


def oracle_folder() -> Path:
    """Return the folder ``LI_ENV_ORACLES`` if it is set, else the files that ship with the tests."""
    return Path(os.environ.get("LI_ENV_ORACLES") or Path(__file__).parent / "oracles")


@cache
def load_oracle(name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """(description, tensors) of the oracle ``name``."""
    folder = oracle_folder()
    description = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return description, load_file(folder / f"{name}.safetensors")
