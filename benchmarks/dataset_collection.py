"""Frames per second of a collection with and without writing, and steps that are computed and stored.

    python benchmarks/dataset_collection.py --out benchmarks/dataset_collection_cpu.json
    python benchmarks/dataset_collection.py --device cuda --cells 64:256 512:2048 --repeats 3 --encoders 12 \
        --processes --max-seconds 900 --out benchmarks/dataset_collection_h200.json

A cell is WORLDS:EPISODES. In every repeat the same episodes are played twice, in turn: ``played`` by the agent alone,
nothing kept, and ``written`` as `li-env collect` does it, committed to the journal with every file flushed. Which goes
first alternates, because a shared machine drifts. ``share`` is written / played, of the medians and of every pair.
``cpu_share`` is the same of the CPU seconds of this process and its children, which other work on the machine hardly
moves: what writing costs where playing and encoding share all cores. ``joined_seconds`` is the final pass, which runs
when the world is done. Before a cell its shapes are warmed up. With ``--scans FOLDER`` every episode takes place in the
scan of its map (--task pointgoal --dataset FILE). The file is written after every repeat; no repeat begins after
``--max-seconds``, and the same command goes on with the repeats that are missing.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from on_device import synchronize
from provenance import provenance

from li_env.cli._collect_arguments import Arguments
from li_env.cli._collecting import manifest_of
from li_env.datasets.collect import collect
from li_env.datasets.finish import finish
from li_env.datasets.formats import Formats
from li_env.datasets.manifest import Manifest
from li_env.datasets.recorder import Player, reset_options
from li_env.episodes import EpisodeRunner
from li_env.files import read_json, write_json
from li_env.rollouts import play_episodes


def played(player: Player, runner: EpisodeRunner, manifest: Manifest, worlds: int, numbers: Sequence[int]) -> dict:
    """Play episodes of the manifest and keep nothing."""
    seeds = dict(zip(manifest.episodes, manifest.seeds, strict=True))
    began, steps, frames = clocks(), 0, 0
    for episode in play_episodes(
        player.env, player.act, [reset_options(runner.task, number) for number in numbers],
        max_steps=manifest.max_steps, agent_seed=manifest.agent_seed, batch=worlds, numbers=iter(numbers),
        seeds=iter([seeds[number] for number in numbers]),
    ):  # fmt: skip
        steps += len(episode.actions)
        frames += sum(int(info["new_frames"]) for info in episode.infos)
    synchronize(runner.world.device)
    return rate(began, steps, frames)


def clocks() -> tuple[float, float]:
    """Return seconds of the wall, and of the CPU by this process and its children that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter(), time.process_time() + children.ru_utime + children.ru_stime


def rate(began: tuple[float, float], steps: int, frames: int) -> dict[str, Any]:
    """Describe a run that began at `clocks`."""
    seconds, cpu = (now - before for now, before in zip(clocks(), began, strict=True))
    found = {"seconds": round(seconds, 3), "cpu_seconds": round(cpu, 3), "steps": steps, "frames": frames}
    return {**found, "frames_per_second": frames / seconds}


def written(
    player: Player, runner: EpisodeRunner, manifest: Manifest, worlds: int, given: argparse.Namespace
) -> dict[str, Any]:
    """Collect into a temporary folder and join."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        start = clocks()
        progress = collect(player, runner, manifest, folder, worlds, given.encoders, processes=given.processes)
        found = rate(start, progress.steps, progress.frames)
        began = time.perf_counter()
        summary = finish(folder, manifest, Formats(manifest, runner))
        found["joined_seconds"] = round(time.perf_counter() - began, 3)
        found["bytes"] = sum(entry["bytes"] for entry in summary["files"].values())
        return {**found, "computed_per_stored_step": progress.steps / progress.stored, "content": summary["content"]}


def pairs_of(given: argparse.Namespace) -> list[tuple[int, int]]:
    """Return the numbers of worlds and of episodes of every cell."""
    return [(int(worlds), int(episodes)) for worlds, episodes in (text.split(":") for text in given.cells)]


def begun(given: argparse.Namespace) -> dict[str, Any]:
    """Return the report to go on with: that of the same command at the same commit, or a new one."""
    same = {name: str(value) for name, value in vars(given).items() if name not in ("max_seconds", "out")}
    cells = [{"worlds": worlds, "episodes": episodes, "runs": []} for worlds, episodes in pairs_of(given)]
    report: dict[str, Any] = {"provenance": provenance(), "settings": same, "cells": cells}
    if given.device == "cuda":
        report["device"] = torch.cuda.get_device_name()
    if given.out.is_file():
        there = read_json(given.out, "out")
        if there["settings"] == same and there["provenance"]["commit"] == report["provenance"]["commit"]:
            return there
    return report


def cell(given: argparse.Namespace, found: dict[str, Any], report: dict[str, Any], stop: float) -> None:
    """Measure what one cell of the report lacks."""
    if len(found["runs"]) >= given.repeats or time.monotonic() > stop:
        return
    worlds, episodes = found["worlds"], found["episodes"]
    arguments = Arguments(
        agent=given.agent, out=Path("unused"), world=given.world, task=given.task, dataset=given.dataset,
        scans=given.scans, episodes=f"0:{episodes}", format=given.format, codec=given.codec, max_steps=given.max_steps,
        worlds=worlds, device=given.device, threads=given.threads, preset=given.preset,
    )  # fmt: skip
    manifest, player, runner = manifest_of(arguments)
    played(player, runner, manifest, worlds, manifest.episodes[:worlds])  # kernels are compiled, graphs captured
    for repeat in range(len(found["runs"]), given.repeats):
        if time.monotonic() > stop:
            return
        pair: dict[str, Any] = {}
        for name in ("played", "written") if repeat % 2 == 0 else ("written", "played"):
            if name == "played":
                pair[name] = played(player, runner, manifest, worlds, manifest.episodes)
            else:
                pair[name] = written(player, runner, manifest, worlds, given)
        pair["share"] = pair["written"]["frames_per_second"] / pair["played"]["frames_per_second"]
        pair["cpu_share"] = pair["played"]["cpu_seconds"] / pair["written"]["cpu_seconds"]
        found["runs"].append(pair)
        print(worlds, episodes, {name: pair[name] for name in ("played", "written", "share", "cpu_share")}, flush=True)
        medians = {
            name: statistics.median(run[name]["frames_per_second"] for run in found["runs"])
            for name in ("played", "written")
        }
        found |= {
            "frames_per_second": medians,
            "share": medians["written"] / medians["played"],
            "cpu_share": statistics.median(run["cpu_share"] for run in found["runs"]),
            "computed_per_stored_step": pair["written"]["computed_per_stored_step"],
            "one_content": len({run["written"]["content"] for run in found["runs"]}) == 1,
        }
        write_json(given.out, report)


def main(words: Sequence[str] | None = None) -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", default="freedoom")
    parser.add_argument("--task", default="explore", help="explore has as many episodes as are asked for")
    parser.add_argument("--dataset", type=Path, help="episode file of a navigation task")
    parser.add_argument("--scans", type=Path, help="folder of scans of the maps of those episodes")
    parser.add_argument("--agent", default="wanderer")
    parser.add_argument("--preset", default="all")
    parser.add_argument("--max-steps", type=int, default=32)
    parser.add_argument("--format", default="lerobot")
    parser.add_argument("--codec", default="h264")
    parser.add_argument("--cells", nargs="+", default=["8:16"], metavar="WORLDS:EPISODES")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--encoders", type=int, default=1)
    parser.add_argument("--processes", action="store_true", help="encoders are processes")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--max-seconds", type=float, default=1e9, help="after which no repeat begins")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(words)
    report, stop = begun(given), time.monotonic() + given.max_seconds
    for found in report["cells"]:
        cell(given, found, report, stop)
    done, wanted = (sum(len(each["runs"]) for each in report["cells"]), given.repeats * len(report["cells"]))
    if done < wanted:
        print(f"the time is over: {done} of {wanted} repeats are done; the same command goes on")


if __name__ == "__main__":
    main()
