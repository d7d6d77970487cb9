from __future__ import annotations

import sys

import pytest

from li_env.arrow import pyarrow
from li_env.errors import MissingExtraError


def test_without_pyarrow_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"reading needs pyarrow: pip install 'li-env\[data\]'"):
        pyarrow("reading")


def test_the_module_has_its_parquet_part():
    pytest.importorskip("pyarrow")
    assert pyarrow("reading").parquet is not None
