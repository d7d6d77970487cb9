"""What encoding processes are given, and what they need."""

from __future__ import annotations

import subprocess
import sys


def test_an_encoding_process_imports_no_model():
    """Every encoding process would need seconds and hundreds of megabytes for torch, which it has no use for."""
    code = "import sys; import li_env.datasets.encoders; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
