from __future__ import annotations

import pytest
import yaml

from li_env.cli import main
from li_env.worlds.calibration import calibration, own_file

SHORT = ("--world", "analytic", "--trajectories", "square", "--seeds", "0", "--chunks", "5", "--device", "cpu")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LI_ENV_CACHE", str(tmp_path / "cache"))


def test_the_window_is_calibrated_and_kept(capsys):
    assert main(["calibrate", "window", *SHORT]) == 0
    kappa = yaml.safe_load(own_file("analytic").read_text())["window_kappa"]
    assert 0 < kappa == calibration("analytic").window_kappa
    printed = capsys.readouterr().out
    assert f"window_kappa {kappa:.4g}" in printed and "square" in printed


def test_the_window_is_written_where_it_is_wanted(tmp_path):
    assert main(["calibrate", "window", *SHORT, "--out", str(tmp_path / "new" / "mine.yaml")]) == 0
    assert (tmp_path / "new" / "mine.yaml").is_file() and not own_file("analytic").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--world", "mars"), "world='mars' is unknown"),
        (("--chunks", "3"), "chunks=3 is not allowed; use 4 or more"),
        (("--trajectories", "spiral"), "trajectory='spiral' is unknown"),
        (("--seeds", "-1"), "seeds"),
        (("--batch", "0"), "batch=0 is not allowed"),
        (("--out", "."), "is a folder; allowed: the name of a file"),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_written(words, message, capsys):
    assert main(["calibrate", "window", *SHORT, *words]) == 2
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.count("\n") == 1
    assert not own_file("analytic").exists()
