"""Merged datasets equal the one that their common manifest makes."""

from __future__ import annotations

import json

import pytest

from li_env.cli import main
from li_env.datasets.finish import SUMMARY
from tests.li_env.datasets.rooms import collected

ALL = ("--format", "lerobot,minari,clips")


def test_two_parts_merge_into_the_whole(tmp_path, capsys):
    one = collected(tmp_path, tmp_path / "one", *ALL, "--episodes", "0:5")
    two = collected(tmp_path, tmp_path / "two", *ALL, "--episodes", "5:12")
    whole = collected(tmp_path, tmp_path / "whole", *ALL)
    out = tmp_path / "out"
    assert main(["collect", "merge", str(one), str(two), "--out", str(out)]) == 0
    assert main(["collect", "verify", str(out)]) == 0
    assert (out / SUMMARY).read_bytes() == (whole / SUMMARY).read_bytes()


@pytest.mark.parametrize(
    ("more", "said"),
    [(("--episodes", "4:6"), "episode 4 is in two"), (("--episodes", "5:6", "--codec", "av1"), "codec='h264' differs")],
)
def test_what_does_not_fit_is_one_line(more, said, tmp_path, capsys):
    one = collected(tmp_path, tmp_path / "one", "--episodes", "0:5")
    two = collected(tmp_path, tmp_path / "two", *more)
    assert main(["collect", "merge", str(one), str(two), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
    assert main(["collect", "merge", str(one), "--out", str(tmp_path / "out")]) == 2
    assert json.loads((one / SUMMARY).read_text())["episodes"] == 5
