from __future__ import annotations

import subprocess
import sys

REFUSED = """
import sys
from li_env.cli import main
assert main(["train", "agent", "--config", sys.argv[1], "--out", "never"]) == 2
assert "torch" not in sys.modules
"""


def test_a_mistake_is_answered_without_torch(tmp_path):
    path = tmp_path / "agent.yaml"
    for text in ("horizon: 0", "agent: mapper\nrandom: 2"):
        path.write_text(text)
        done = subprocess.run([sys.executable, "-c", REFUSED, path], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "is not allowed" in done.stderr
