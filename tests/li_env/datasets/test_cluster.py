"""Collection by two workers of Ray: the same content, also when a worker or the driver is killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from li_env.cli import main
from li_env.datasets.cluster import collect_on_ray
from li_env.datasets.finish import SUMMARY, finish
from li_env.datasets.formats import Formats
from li_env.datasets.journal import Journal
from li_env.datasets.manifest import Manifest
from tests.li_env.datasets.rooms import EPISODES, collected, grounded, open_player, words

pytest.importorskip("ray", reason="needs the extra cluster")

DRIVER = """
import sys
from pathlib import Path
from li_env.datasets.cluster import collect_on_ray
from li_env.datasets.manifest import Manifest
from tests.li_env.datasets.rooms import open_player
out = Path(sys.argv[1])
print(collect_on_ray(open_player, Manifest.read(out), out, "local", 2, 1, 2))
"""


def content(out: Path) -> str:
    return json.loads((out / SUMMARY).read_text())["content"]


def begun(tmp_path: Path) -> tuple[Path, Path, Manifest]:
    """Make a finished dataset, and a folder with nothing but its manifest."""
    whole = collected(tmp_path, tmp_path / "whole", "--format", "lerobot,clips")
    out, manifest = tmp_path / "out", Manifest.read(whole)
    out.mkdir()
    manifest.write(out)
    return whole, out, manifest


def drive(out: Path) -> subprocess.Popen[bytes]:
    paths = os.pathsep.join(os.path.abspath(path) for path in sys.path if path) + os.pathsep + os.getcwd()
    return subprocess.Popen([sys.executable, "-c", DRIVER, str(out)], env={**os.environ, "PYTHONPATH": paths})


def completed(out: Path, manifest: Manifest) -> str:
    assert Journal(out).numbers() == set(range(EPISODES))
    finish(out, manifest, Formats(manifest, open_player(manifest)[1]))
    assert main(["collect", "verify", str(out), "--replays", "1"]) == 0
    return content(out)


def test_two_workers_and_kills_of_a_worker_and_of_the_driver(tmp_path):
    whole, out, manifest = begun(tmp_path)
    driver = drive(out)
    deadline = time.monotonic() + 120
    while len(Journal(out).numbers()) < 1 and time.monotonic() < deadline and driver.poll() is None:
        time.sleep(0.02)
    family = psutil.Process(driver.pid).children(recursive=True) if driver.poll() is None else []
    workers = [each for each in family if re.match(r"ray::(Worker|[0-9a-f]{12}:)", each.name())]
    assert workers or driver.poll() is not None, "processes of workers are called like their task"
    for worker in workers[:1]:
        worker.send_signal(signal.SIGKILL)
    time.sleep(0.2)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    for each in family:  # of this test's own cluster
        if each.is_running():
            each.kill()
    again = drive(out)
    assert again.wait(180) == 0
    assert completed(out, manifest) == content(whole)


def test_workers_play_in_the_scans_of_the_manifest(tmp_path):
    whole = grounded(tmp_path, tmp_path / "whole")
    out, manifest = tmp_path / "out", Manifest.read(whole)
    out.mkdir()
    manifest.write(out)
    collect_on_ray(open_player, manifest, out, "local", 2, 1, 3)
    assert completed(out, manifest) == content(whole)


def test_a_worker_with_other_weights_is_refused(tmp_path):
    _, out, manifest = begun(tmp_path)
    other = replace(manifest, weights="0" * 64)
    with pytest.raises(ValueError, match="weights of world 'room' have changed since the manifest was written"):
        collect_on_ray(open_player, other, out, "local", 2, 1, 2)
    assert not Journal(out).numbers()


def test_a_missing_cluster_is_one_line(tmp_path, capsys):
    arguments = words(tmp_path, tmp_path / "out", "--ray", "127.0.0.1:1")
    assert main(arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1
