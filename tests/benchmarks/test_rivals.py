"""Scripts that rate block-sparse attention and the rivals, on tiny sizes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from li_env.worlds.hy_worldplay.build import random_world
from li_env.worlds.hy_worldplay.config import HYWorldPlayConfig
from tests.benchmark_scripts import benchmark_script

TINY = HYWorldPlayConfig(4, 64, 2, 2, 2.0, (8, 12, 12), text_width=8, vision_width=8, byt5_widths=(8, 8, 8))


def test_fidelity_rises_with_the_ratio_and_ends_at_dense(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with benchmark_script("freedoom_sparse_fidelity") as script:
        monkeypatch.setattr(script, "load_world", lambda *_, **__: random_world(TINY, torch.device("cpu"), (4, 4)))
        out = tmp_path / "fidelity.json"
        words = ["--trajectories", "square", "--seeds", "0", "--chunks", "6", "--ratios", "0.2", "1.0"]
        script.main([*words, "--tiles", "1x2x2", "--out", str(out)])
    report = json.loads(out.read_text())
    rows = report["rows"]
    assert rows["dense"]["latent_error"] == 0 and rows["dense"]["pooled_psnr"] is None
    assert rows["both 1"]["latent_error"] < 1e-5 < rows["both 0.2"]["latent_error"]
    assert {row["chunks"] for row in rows.values()} == {3}
    assert report["context"] == 20 and all(row["milliseconds"] > 0 for row in rows.values())
    assert rows["tiles 1x2x2 1"]["latent_error"] < 1e-5 < rows["tiles 1x2x2 0.2"]["latent_error"]
    assert rows["tiles 1x2x2 0.2"]["latent_error"] != rows["both 0.2"]["latent_error"]
    assert rows["both 0.2"]["attention_density"] < rows["denoising 0.2"]["attention_density"] < 1
    assert out.with_suffix(".png").stat().st_size > 0


def test_fused_and_unfused_operators_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with benchmark_script("rival_operators") as script:
        monkeypatch.setitem(script.SHAPES, "freedoom", ((6, 8), 2, 32, 5))
        out = tmp_path / "operators.json"
        script.main(["--contexts", "8", "20", "--repeats", "1", "--out", str(out)])
    rows = json.loads(out.read_text())["rows"]
    assert [row["context"] for row in rows] == [8, 20]
    for row in rows:
        assert set(row["milliseconds"]) == {"dense", "bsa", "bsa unfused", "svg", "svg unfused"}
        assert all(value < 1e-5 for value in row["difference of fused and unfused"].values())
        parts = row["stages of bsa unfused"]
        assert sum(parts.values()) == pytest.approx(row["milliseconds"]["bsa unfused"], rel=1e-6)
