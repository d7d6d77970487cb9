"""Every number says which code, on which machine, made it."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
GIT = shutil.which("git")


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    return subprocess.run(["git", "-C", folder, *identity, *words], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import the module from a folder of its own, without a repository."""
    (tmp_path / "benchmarks").mkdir()
    shutil.copy(ROOT / "benchmarks/provenance.py", tmp_path / "benchmarks")
    monkeypatch.syspath_prepend(str(tmp_path / "benchmarks"))
    monkeypatch.delenv("LI_ENV_COMMIT", raising=False)
    module = import_module("provenance")
    assert tmp_path == module.ROOT
    return module


def test_keys(copy: Any) -> None:
    facts = copy.provenance(["li-env", "bench", "--out", "a b"])
    assert json.loads(json.dumps(facts)) == facts
    assert facts.keys() == {"command", "commit", "clean", "date", "gpus", "cpu", "cpus", "versions"}
    assert facts["command"] == "li-env bench --out 'a b'"
    assert facts["versions"].keys() == {"li_env", "python", "torch", "numpy", "triton"}
    assert facts["cpu"] and facts["cpus"] > 0


@pytest.mark.skipif(GIT is None, reason="needs git")
def test_repository(copy: Any) -> None:
    root = copy.ROOT
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-qm", "first")
    head = git(root, "rev-parse", "HEAD").strip()
    assert copy.committed() == (head, True)
    # A run rewrites results, and the next run is of the same code all the same.
    (root / "benchmarks/throughput.json").write_text("{}")
    (root / "README.md").write_text("")
    assert copy.committed() == (head, True)
    (root / "benchmarks/new file.py").write_text("")
    assert copy.committed() == (head, False)
    git(root, "add", ".")
    assert copy.committed() == (head, False)
    git(root, "commit", "-qm", "second")
    (root / "benchmarks/provenance.py").write_text("")
    assert copy.committed() == (git(root, "rev-parse", "HEAD").strip(), False)


@pytest.mark.skipif(GIT is None, reason="needs git")
def test_a_repository_around_the_copy_is_another_one(copy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = copy.ROOT / "inner"
    inner.mkdir()
    git(copy.ROOT, "init", "-q")
    monkeypatch.setattr(copy, "ROOT", inner)
    assert copy.committed() == (None, None)


def test_without_a_repository(copy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert copy.committed() == (None, None)
    sha = "0123456789abcdef0123456789abcdef01234567"
    for given, expected in ((sha, (sha, True)), (f"{sha}-dirty", (sha, False)), ("", (None, None))):
        monkeypatch.setenv("LI_ENV_COMMIT", given)
        assert copy.committed() == expected
    for given in ("main", "0123", f"{sha}0", f"{sha} dirty", "x" * 500):
        monkeypatch.setenv("LI_ENV_COMMIT", given)
        with pytest.raises(ValueError, match="LI_ENV_COMMIT=") as error:
            copy.committed()
        assert len(str(error.value)) < 250


def test_command_adds_its_provenance(copy: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.json"
    words = [sys.executable, "-c", f"open({str(out)!r}, 'w').write('{{\"value\": 1}}')"]
    assert copy.main([str(out), "--", *words]) == 0
    report = json.loads(out.read_text())
    assert report["value"] == 1 and report["provenance"]["command"].endswith("'")
    assert copy.main([str(out), "--", sys.executable, "-c", "raise SystemExit(3)"]) == 3
    assert json.loads(out.read_text()) == report
    assert copy.main([str(out), "--", "li-env", "no such command"]) == 2
    for words in ([], ["--", sys.executable, "-c", ""]):
        with pytest.raises(SystemExit):
            copy.main([str(out), *words])
    assert "did not write it" in capsys.readouterr().err


def test_every_script_that_writes_numbers_records_it() -> None:
    """Scripts that write JSON call `provenance()`, directly or through a module beside them."""
    writers = []
    for path in sorted((ROOT / "benchmarks").rglob("*.py")):
        names = {node.func.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)
                 and isinstance(node.func, ast.Name)}  # fmt: skip
        writes = "write_json" in names or "write_text(json.dumps" in path.read_text()
        if writes:
            writers.append(path.name)
            assert "provenance" in names, f"{path}: writes numbers without saying where they come from"
    assert {"agents_pointgoal.py", "freedoom_throughput.py", "decoders.py", "flat_cost.py"} <= set(writers)
