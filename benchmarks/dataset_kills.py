"""Collection on Ray, with workers and the driver killed at random moments: the dataset has to be the same.

    python benchmarks/dataset_kills.py --kills 20 --out benchmarks/dataset_kills.json

Collects once without a kill. Then runs the same command again and again with ``--resume``, sends SIGKILL to a worker or
to the driver at a random time, in turn, until so many have been killed, and lets it end. The driver dies at least once
inside its final pass. Checked in the end: the content hash, `li-env collect verify`, every episode once, nothing left
of the journal.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from provenance import provenance

from li_env.datasets.finish import SUMMARY, read_episodes
from li_env.datasets.journal import Journal
from li_env.files import WRITING, write_json

WORKER = re.compile(r"ray::(Worker|[0-9a-f]{12}:)")
"""Names of processes of workers: idle ones, and those with a slice, which are called like their task."""

COMMAND = "import sys; from li_env.cli import main; sys.exit(main(sys.argv[1:]))"


def words(given: argparse.Namespace, out: Path) -> list[str]:
    """Return the command of a collection on two workers."""
    return ["collect", "--world", given.world, "--task", "explore", "--agent", "wanderer", "--episodes",
            f"0:{given.episodes}", "--max-steps", str(given.max_steps), "--format", "lerobot,minari,clips", "--device",
            "cpu", "--threads", "1", "--worlds", "2", "--ray", "local", "--slice-size", "4", "--resume", "--out",
            str(out)]  # fmt: skip


def start(given: argparse.Namespace, out: Path) -> subprocess.Popen[bytes]:
    """Start a driver, in a group of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *words(given, out)], stdout=subprocess.DEVNULL, start_new_session=True
    )


def family(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Return what a driver has started."""
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def workers(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Return the workers of a driver that hold a world."""
    found = []
    for each in family(process):
        try:
            if WORKER.match(each.name()):
                found.append(each)
        except psutil.NoSuchProcess:
            continue
    return found


def end(process: subprocess.Popen[bytes], children: Sequence[psutil.Process]) -> None:
    """Remove what a killed driver has left: its own cluster."""
    process.wait()
    for each in children:
        try:
            each.kill()
        except psutil.NoSuchProcess:
            continue


def kill_driver(process: subprocess.Popen[bytes]) -> None:
    """Kill a driver and its cluster."""
    children = family(process)
    process.send_signal(signal.SIGKILL)
    end(process, children)


def until(process: subprocess.Popen[bytes], ready: Any, seconds: float = 300.0) -> bool:
    """Wait until something is there; tell whether it came while the driver lived."""
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        if ready():
            return True
        time.sleep(0.01)
    return False


def joining(out: Path) -> bool:
    """Tell whether the final pass has begun."""
    return any(path.is_dir() and any(path.iterdir()) for path in out.glob(f"{WRITING}*"))


def killed(given: argparse.Namespace, out: Path, draw: random.Random) -> list[dict[str, Any]]:
    """Kill and start again; return what was killed, and when."""
    kills: list[dict[str, Any]] = []
    process = start(given, out)
    while len(kills) < given.kills - 1 and until(process, partial(workers, process)):
        wait = draw.uniform(0.0, given.longest)
        time.sleep(wait)
        done = len(Journal(out).numbers())
        if len(kills) % 2 == 0:
            victims = workers(process)
            if victims:
                draw.choice(victims).send_signal(signal.SIGKILL)
                kills.append({"what": "worker", "after_seconds": round(wait, 2), "episodes_committed": done})
        elif process.poll() is None:
            kill_driver(process)
            kills.append({"what": "driver", "after_seconds": round(wait, 2), "episodes_committed": done})
            process = start(given, out)
        print(len(kills), kills[-1:], flush=True)
    if until(process, partial(joining, out)):
        time.sleep(draw.uniform(0.0, 0.3))
        if process.poll() is None:
            kill_driver(process)
            kills.append({"what": "driver", "in": "final pass", "episodes_committed": given.episodes})
            process = start(given, out)
    end(process, family(process))
    if process.returncode:
        raise RuntimeError("the last run failed")
    return kills


def main(arguments: Sequence[str] | None = None) -> None:
    """Collect, kill, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", default="freedoom_game")
    parser.add_argument("--episodes", type=int, default=240)
    parser.add_argument("--max-steps", type=int, default=24)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--longest", type=float, default=3.0, help="seconds from the start of a worker to a kill")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/dataset_kills.json"))
    given = parser.parse_args(arguments)
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")
    settings = {name: str(value) for name, value in vars(given).items()}
    report: dict[str, Any] = {"provenance": provenance(), "settings": settings}
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary:
        whole, out = Path(temporary) / "whole", Path(temporary) / "out"
        first = start(given, whole)
        end(first, [])
        kills = killed(given, out, random.Random(given.seed))
        one, two = (json.loads((folder / SUMMARY).read_text()) for folder in (whole, out))
        verify = [sys.executable, "-c", COMMAND, "collect", "verify", str(out), "--replays", "4"]
        report |= {
            "kills": kills,
            "killed": {what: sum(each["what"] == what for each in kills) for what in ("worker", "driver")},
            "same_content": one["content"] == two["content"],
            "episodes_once": [each["episode"] for each in read_episodes(out)] == list(range(given.episodes)),
            "verified": subprocess.run(verify, check=False).returncode == 0,
            "left": sorted(path.name for path in out.iterdir() if path.name.startswith((WRITING, "journal"))),
            "seconds": round(time.perf_counter() - began, 1),
        }
    write_json(given.out, report)
    print({name: report[name] for name in ("killed", "same_content", "episodes_once", "verified", "left", "seconds")})
    sys.exit(0 if report["same_content"] and report["verified"] and not report["left"] else 1)


if __name__ == "__main__":
    main()
