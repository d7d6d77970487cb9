"""Merged datasets equal the one that their common manifest makes."""

from __future__ import annotations

import json
import os
import random

import pytest

from li_env.cli import main
from li_env.datasets.finish import SUMMARY
from tests.forks import run_in_fork
from tests.li_env.datasets.rooms import collected
from tests.li_env.datasets.test_collect import EVENTS

ALL = ("--format", "lerobot,minari,clips")


def test_two_parts_merge_into_the_whole(tmp_path, capsys):
    one = collected(tmp_path, tmp_path / "one", *ALL, "--episodes", "0:5")
    two = collected(tmp_path, tmp_path / "two", *ALL, "--episodes", "5:12")
    whole = collected(tmp_path, tmp_path / "whole", *ALL)
    out = tmp_path / "out"
    assert main(["collect", "merge", str(one), str(two), "--out", str(out)]) == 0
    assert main(["collect", "verify", str(out)]) == 0
    assert (out / SUMMARY).read_bytes() == (whole / SUMMARY).read_bytes()


@pytest.mark.parametrize("seed", range(5))
def test_a_merge_that_was_killed_goes_on(seed, tmp_path, capsys):
    parts = [collected(tmp_path, tmp_path / part, *ALL, "--episodes", part) for part in ("0:2", "2:4")]
    whole, out = collected(tmp_path, tmp_path / "whole", *ALL, "--episodes", "0:4"), tmp_path / "out"
    words = ["collect", "merge", *map(str, parts), "--out", str(out)]
    event = random.Random(seed).randint(30, 300)
    assert os.WIFSIGNALED(run_in_fork(words, out, EVENTS, event)), f"event {event} is one of a merge"
    assert main(words) == 2, "it needs --resume"
    assert "--resume" in capsys.readouterr().err
    assert main([*words, "--resume"]) == 0
    assert (out / SUMMARY).read_bytes() == (whole / SUMMARY).read_bytes()
    assert main(["collect", "verify", str(out), "--replays", "0"]) == 0
    assert not (out / "journal").exists()
    assert main([*words, "--resume"]) == 0, "complete already"


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
