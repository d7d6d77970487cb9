"""Datasets read by lerobot's own loaders, every row and frame compared with what was played.

    sh benchmarks/lerobot_environment.sh 0.6.1 /tmp/lerobot-0.6.1 python3.12
    sh benchmarks/lerobot_environment.sh 0.4.4 /tmp/lerobot-0.4.4
    python benchmarks/dataset_loaders.py --python /tmp/lerobot-0.6.1/python --python /tmp/lerobot-0.4.4/python

Collects PointGoal episodes in two parts, with `h264` and `lossless`, merges them, and some of ImageGoal; plays all of
them again for the truth, which so does not come from files; and runs `lerobot_reader.py` with every python. lerobot
0.4.4 reads by torchcodec alone: its other reader needs a part of torchvision that is gone.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from provenance import provenance

from li_env.cli import main as li_env
from li_env.cli._collecting import open_player
from li_env.datasets.finish import read_episodes
from li_env.datasets.manifest import Manifest
from li_env.datasets.recorder import record_episodes, reset_options
from li_env.datasets.rows import make_rows
from li_env.files import write_json

READER = Path(__file__).with_name("lerobot_reader.py")
LEAST_DB = 28.0
"""PSNR of the worst frame that a dataset with loss may have; two frames of a walk differ by more."""


def run(*words: str | Path) -> None:
    """Run a command of li-env."""
    if li_env([str(word) for word in words]):
        raise RuntimeError(f"li-env {' '.join(map(str, words))} failed")


def write_truth(dataset: Path, path: Path) -> None:
    """Play the episodes of a dataset again and write their rows and frames."""
    manifest, records = Manifest.read(dataset), read_episodes(dataset)
    player, runner = open_player(manifest)
    texts = {record["episode"]: record["task"] for record in records}
    options = [reset_options(runner.task, number) for number in texts]
    _, recorded = record_episodes(player, runner, manifest, list(texts), options, 8)
    made = {}
    for episode, recording in recorded:
        text = texts[episode.number]
        made[episode.number] = make_rows(episode, recording, runner.task, runner.spec, text, manifest.records_teacher)
    episodes = [made[number] for number in texts]
    columns = {name: np.concatenate([each.rows[name] for each in episodes]) for name in episodes[0].rows}
    frames = np.concatenate([each.frames[: each.count] for each in episodes])
    lengths = np.array([each.count for each in episodes])
    goals = (
        {}
        if episodes[0].goal is None
        else {"goals": np.stack([each.goal for each in episodes if each.goal is not None])}
    )
    tasks = np.repeat([each.task for each in episodes], lengths)
    np.savez(path, allow_pickle=False, **columns, **goals, frames=frames, lengths=lengths, tasks=tasks)


def collected(folder: Path, name: str, given: argparse.Namespace, numbers: str, *more: str) -> Path:
    """Collect a dataset."""
    run("collect", "--world", given.world, "--episodes", numbers, "--device", "cpu", "--threads", "1", "--out",
        folder / name, *more)  # fmt: skip
    return folder / name


def job_of(folder: Path, given: argparse.Namespace, codec: str) -> dict[str, Any]:
    """Collect what one codec needs; return the reader's job."""
    half, more = given.episodes // 2, ("--agent", "seeker", "--codec", codec)
    parts = [collected(folder, f"{codec}-{first}", given, f"{first}:{end}", *more)
             for first, end in ((0, half), (half, given.episodes))]  # fmt: skip
    whole = folder / codec
    run("collect", "merge", *parts, "--out", whole)
    goals = collected(folder, f"{codec}-goals", given, "0:6", "--task", "imagegoal", "--agent", "wanderer",
                      "--max-steps", "6", "--codec", codec)  # fmt: skip
    for dataset in (whole, goals):
        write_truth(dataset, dataset.with_suffix(".npz"))
    return {
        "dataset": str(whole / "lerobot"), "truth": f"{whole}.npz", "parts": [str(part / "lerobot") for part in parts],
        "goals": str(goals / "lerobot"), "goals_truth": f"{goals}.npz", "goals_exact": codec == "lossless",
        "exact": codec == "lossless", "least_db": LEAST_DB,
    }  # fmt: skip


def read(python: str, job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Run the reader; return its report."""
    words = [python, "-c", "from importlib.metadata import version; print(version('lerobot'))"]
    number = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    old = number.startswith("0.4")
    checks = ["whole", "windows", "some_episodes", "aggregated", *["resumed"] * (not old)]
    asked = {"backends": ["pyav", "torchcodec"][old:], "checks": checks}
    write_json(folder / "job.json", {**asked, **job})
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([python, str(READER), str(folder / "job.json"), str(folder / "read.json")], env=clean, check=True)
    report: dict[str, Any] = json.loads((folder / "read.json").read_text())
    return report


def main(words: Sequence[str] | None = None) -> None:
    """Collect, read, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", action="append", required=True, help="of an environment with lerobot; repeat it")
    parser.add_argument("--world", default="freedoom_game")
    parser.add_argument("--episodes", type=int, default=40)
    parser.add_argument("--codecs", nargs="+", default=["h264", "lossless"])
    parser.add_argument("--out", type=Path, default=Path("benchmarks/dataset_loaders.json"))
    given = parser.parse_args(words)
    report: dict[str, Any] = {"provenance": provenance(), "world": given.world, "episodes": given.episodes, "read": []}
    with tempfile.TemporaryDirectory() as temporary:
        for codec in given.codecs:
            job = job_of(Path(temporary), given, codec)
            for python in given.python:
                found = read(python, job, Path(temporary))
                report["read"].append({"codec": codec, **found})
                write_json(given.out, report)


if __name__ == "__main__":
    main()
