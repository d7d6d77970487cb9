"""The script of memory policies, on a world without a network."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import pytest

from tests.analytic_world import AnalyticWorld


def test_every_policy_has_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = import_module("freedoom_policies")
    names = tuple(script.POLICIES)
    assert [variant.label for variant in script.Policies(names=names).variants] == ["off", *names]
    few = {name: script.POLICIES[name] for name in ("all", "two recent chunks")}
    monkeypatch.setattr(script, "POLICIES", few)  # each takes its time
    monkeypatch.setattr(script, "load_world", lambda *_, **__: AnalyticWorld())
    out = tmp_path / "policies.json"
    short = ["--trajectories", "left-right", "--seeds", "1", "--repeats", "1", "--chunks", "5", "--batch", "1"]
    script.main([*short, "--no-game", "--out", str(out)])
    report = json.loads(out.read_text())
    rows = {row["preset"]: row for row in report["rows"] if row["trajectory"] == "all trajectories"}
    assert list(rows) == ["off", *few, script.ALONE]
    assert report["provenance"]["command"] and report["policies"] == few
    latents = {name: row["context_latents"] for name, row in rows.items()}
    assert latents["two recent chunks"] > latents["all"] >= latents[script.ALONE]
    assert rows["off"]["game"]["psnr"] is None
