from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.li_env.datasets.rooms import collected

collect_ignore_glob = [] if find_spec("pyarrow") else ["test_*.py"]  # the extra data


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Record all formats without loss; tests do not change the dataset."""
    folder = tmp_path_factory.mktemp("dataset")
    words = ("--format", "lerobot,minari,clips", "--codec", "lossless", "--validation", "0.3")
    return collected(folder, folder / "out", *words)
