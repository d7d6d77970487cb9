"""Behaviour cloning from recorded datasets, played in the real game: data of the learned world against the game's.

    python benchmarks/cloning_comparison.py --device cuda --scans --keep FOLDER --max-seconds 480

Every arm clones the same network (configs/agents/bc.yaml) from as many PointGoal episodes on maps of the training:
``freedoom`` and ``freedoom_game`` from an expert that walks in that world; ``freedoom, labelled`` from half as many
of those, and as many in which the clone of the arm ``freedoom`` walks while the expert says what it would do (DAgger
with one round). With ``--scans`` every episode in ``freedoom`` takes place in a scan of its map, which is built
first. All are played in the game on the sets of `agents_pointgoal.py`, drawing and greedily: ``detour`` and ``open``
are on maps that no episode to learn from is on, which is checked.

One run ends after ``--max-seconds`` and the next one with the same ``--keep`` goes on: episodes, scans, datasets
(down to the single episode), agents and sets that were played are not made again. What can only be made as a whole is
ended: building the episodes, reading the scans, joining a dataset, training an agent, playing a set. Where a command
may run for ten minutes, leave two of them. An agent that was trained and played needs its folder in KEEP/agents
alone, so that arms can be made on one machine after the other. Weights or scans that have changed since a dataset was
begun are refused: use another folder. The report is written after every arm and seed; it needs no network.

Most of the time of a cell one core works. On a machine of many, make first what all seeds share (``--data``, an arm per
process, the second one once KEEP/episodes/chosen.json is there), then several cells at the same time (``--cells
"freedoom:1" "freedoom, labelled:1"``; an arm ``freedoom, labelled`` after the arm ``freedoom`` of its seed), each
process with an --out of its own, and in the end the whole report, which finds all done.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from agents_pointgoal import MAX_STEPS, MEASURES, SETS, datasets, game_episodes, play
from provenance import committed, provenance

from li_env.accel.world import BaseWorld
from li_env.agents.cloning.config import BCConfig
from li_env.agents.cloning.train import train
from li_env.agents.config import read_config
from li_env.agents.registry import make_agent
from li_env.cli._collect_arguments import Arguments
from li_env.cli._collecting import claim, manifest_of, prepare
from li_env.datasets.collect import collect
from li_env.datasets.finish import SUMMARY, finish, read_summary
from li_env.datasets.formats import Formats
from li_env.episodes import EpisodeRunner
from li_env.files import read_json, write_json
from li_env.fitted_scans import MapScans
from li_env.tasks import EpisodeDataset
from li_env.worlds.freedoom.build_scan import build_scans
from li_env.worlds.registry import load_world, resolve_device

ROOT = Path(__file__).resolve().parents[1]
LABELLED = "freedoom, labelled"
ARMS = ("freedoom", "freedoom_game", LABELLED)
HELD_OUT = ("detour", "open")
DATA, PLAYED, RESULT = "data.json", "played.json", "result.json"
"""Files in the folder of an agent: what it learned from, what has been played so far, the finished cell."""


class OutOfTimeError(Exception):
    """The time of this run is over."""


@dataclass(frozen=True)
class Episodes:
    """Episode files.

    Attributes:
        chosen: episodes to learn from, as many as an arm takes.
        sets: episodes of the evaluation, by name.
        maps: numbers of their maps, `check_maps`.
    """

    chosen: Path
    sets: dict[str, Path]
    maps: dict[str, int]


@dataclass(frozen=True)
class Work:
    """One run of the comparison.

    Attributes:
        given: command line.
        keep: folder of all files.
        stop: time (`time.monotonic`) to end at.
        runners: of the datasets that were recorded, by name: with them their scans stay in memory.
        stack: closes the game in the end.
    """

    given: argparse.Namespace
    keep: Path
    stop: float
    runners: dict[str, EpisodeRunner] = field(default_factory=dict)
    stack: ExitStack = field(default_factory=ExitStack)

    @cached_property
    def episodes(self) -> Episodes:
        """Episodes to learn from and of the evaluation; they are built where they are needed first."""
        return built(self.given)

    def check_time(self, _: Any = None) -> None:
        """End the run where its time is over."""
        if time.monotonic() > self.stop:
            raise OutOfTimeError

    def scans(self) -> Path:
        """Return the folder with the scans of the training maps; those that are missing are built."""
        folder, given = self.keep / "scans", self.given
        self.check_time()
        build_scans(
            maps_of(self.episodes.chosen), given.spacing, given.headings, given.most, folder, os.cpu_count() or 1,
            self.check_time,
        )  # fmt: skip
        return folder

    def game(self) -> BaseWorld:
        """Return the game, which stays open: every map costs the start of an engine."""
        game = load_world("freedoom_game", self.given.device, workers=self.given.game_workers)
        if "game" not in self.runners:
            self.stack.callback(game.close)  # type: ignore[attr-defined]
            self.runners["game"] = game_episodes(game, str(self.episodes.sets[SETS[0]]))
        return game


def maps_of(file: Path) -> set[int]:
    """Return the maps of an episode file."""
    return {record.map_seed for record in EpisodeDataset.read(file).episodes if record.map_seed is not None}


def check_maps(chosen: Path, sets: dict[str, Path]) -> dict[str, int]:
    """Count the maps to learn from and of the evaluation.

    Raises:
        ValueError: a map to learn from is in a held-out set.
    """
    training = maps_of(chosen)
    counts = {"training": len(training)}
    for name, file in sets.items():
        maps = maps_of(file)
        counts |= {name: len(maps), f"{name}, also in training": len(maps & training)}
        if name in HELD_OUT and maps & training:
            raise ValueError(f"map {min(maps & training)} of the held-out set {name!r} is one to learn from")
    return counts


def built(given: argparse.Namespace) -> Episodes:
    """Build the episodes once: those to learn from, map by map, and the sets of the evaluation."""
    folder = given.keep / "episodes"
    chosen, sets = folder / "chosen.json", {name: folder / f"{name}.json" for name in SETS}
    asked, note = {name: getattr(given, name) for name in ("maps", "episodes", "test_episodes")}, folder / "asked.json"
    if chosen.exists() and read_json(note, "episodes") != asked:
        raise ValueError(f"{folder} was built with other numbers of maps and episodes; use another --keep")
    if not chosen.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_json(note, asked)
        every = EpisodeDataset.read(datasets(folder, given.maps, given.test_episodes)["training"])
        if len(every.episodes) < given.episodes:
            raise ValueError(f"episodes={given.episodes}: {given.maps} maps have {len(every.episodes)}; use more maps")
        picked = np.random.default_rng(0).permutation(len(every.episodes))
        # Half of them, by number, is a fair sample too; within a half map by map, because engines of maps are few.
        halves = np.array_split(picked[: given.episodes], 2)
        order = [index for half in halves for index in sorted(half, key=lambda at: every.episodes[at].map_seed or 0)]
        EpisodeDataset(tuple(every.episodes[index] for index in order), every.frames).write(chosen)
    return Episodes(chosen, sets, check_maps(chosen, sets))


def dataset(work: Work, name: str, world: str, numbers: str, agent: str, label: str = "") -> Path:
    """Collect a dataset, or what is missing of it."""
    out, given = work.keep / "data" / name, work.given
    if (out / SUMMARY).exists():
        return out
    work.check_time()
    in_game = world == "freedoom_game"
    manifest, player, runner = manifest_of(Arguments(
        agent=agent, out=out, world=world, dataset=work.episodes.chosen, episodes=numbers, label=label,
        max_steps=given.max_steps, preset=given.preset, worlds=given.worlds, device=given.device, threads=1,
        workers=given.game_workers if in_game else 0, scans=work.scans() if given.scans and not in_game else None,
    ))  # fmt: skip
    work.runners[name] = runner
    if isinstance(runner.scans.by_map, MapScans):
        runner.scans.by_map.kept = given.maps  # all: the next dataset is on the same maps
    prepare(out, manifest, resume=True)
    with claim(out):
        work.check_time()
        collect(player, runner, manifest, out, given.worlds, given.encoders, None, work.check_time, given.processes)
        work.check_time()
        finish(out, manifest, Formats(manifest, runner))
    return out


def shared_data(work: Work, arm: str) -> Path:
    """Return the dataset that all seeds of an arm learn from; the labelled arm has another one per seed besides."""
    count, half = work.given.episodes, (work.given.episodes + 1) // 2
    if arm != LABELLED:
        return dataset(work, arm, arm, f"0:{count}", "expert")
    return dataset(work, "freedoom-half", "freedoom", f"0:{half}", "expert")


def arm_data(work: Work, arm: str, seed: int) -> list[Path]:
    """Return the datasets that an arm learns from."""
    if arm != LABELLED:
        return [shared_data(work, arm)]
    walker, given = str(cloned(work, "freedoom", seed)), work.given
    numbers = f"{(given.episodes + 1) // 2}:{given.episodes}"
    return [shared_data(work, arm), dataset(work, f"labelled-{seed}", "freedoom", numbers, walker, "expert")]


def folder_of(work: Work, arm: str, seed: int) -> Path:
    """Return the folder of an agent."""
    return work.keep / "agents" / f"{arm.replace(', ', '-')}-{seed}"


def cloned(work: Work, arm: str, seed: int) -> Path:
    """Train the agent of a cell, if it is not there."""
    out = folder_of(work, arm, seed)
    if not (out / DATA).exists():
        shutil.rmtree(out, ignore_errors=True)  # a training that was killed
        found = arm_data(work, arm, seed)
        work.check_time()
        train(config_of(work.given, seed), out, found, work.given.device)
        write_json(out / DATA, [described(each) for each in found])
    return out


def described(folder: Path) -> dict[str, Any]:
    """Describe a dataset."""
    summary = read_summary(folder)
    return {"folder": folder.name, **{key: summary[key] for key in ("content", "episodes", "rows", "success")}}


def config_of(given: argparse.Namespace, seed: int) -> BCConfig:
    """Return the settings of a training."""
    config = read_config(ROOT / "configs/agents/bc.yaml")
    assert isinstance(config, BCConfig)
    return replace(config, seed=seed, **({"epochs": given.epochs} if given.epochs else {}))


def cell(work: Work, arm: str, seed: int) -> dict[str, Any]:
    """Train and play one arm with one seed, if that is not done."""
    folder, given = folder_of(work, arm, seed), work.given
    numbers = ("episodes", "maps", "test_episodes", "max_steps", "preset", "scans", "spacing", "headings", "most")
    asked = {"config": asdict(config_of(given, seed)), **{name: getattr(given, name) for name in numbers}}
    path = folder / RESULT
    if path.is_file() and (kept := json.loads(path.read_text()))["asked"] == asked:
        found: dict[str, Any] = kept["result"]
        return found
    cloned(work, arm, seed)
    data = json.loads((folder / DATA).read_text())
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    losses = [round(line["loss"], 4) for line in log]
    found = {"arm": arm, "seed": seed, "commit": committed()[0], "data": data, "losses": losses,
             "maps": work.episodes.maps, "seconds": log[-1]["seconds"], "final": played(work, folder)}  # fmt: skip
    write_json(path, {"asked": asked, "result": found})
    return found


def played(work: Work, agent: Path) -> dict[str, Any]:
    """Play an agent in the game on every set, drawing and greedily, as far as that is not done."""
    path, count = agent / PLAYED, work.given.test_episodes
    kept = json.loads(path.read_text()) if path.is_file() else {}
    found: dict[str, Any] = kept["found"] if kept.get("test_episodes") == count else {}
    for name in SETS:
        for how in ("drawing", "greedy"):
            if name in found.get(how, {}):
                continue
            work.check_time()
            runner = game_episodes(work.game(), str(work.episodes.sets[name]))
            player = make_agent(str(agent), runner, greedy=how == "greedy", device=work.given.device)
            found.setdefault(how, {})[name] = play(runner, player, count)
            write_json(path, {"test_episodes": count, "found": found})
    return found


def tables(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean and standard deviation over seeds of every arm and set; and what the issue asks about SPL."""
    report: dict[str, Any] = {"table": {}, "answers": {}}
    for how in ("drawing", "greedy"):
        for name in SETS:
            rows = report["table"].setdefault(how, {}).setdefault(name, {})
            for arm in dict.fromkeys(run["arm"] for run in runs):
                values = {
                    measure: [run["final"][how][name][measure]["mean"] for run in runs if run["arm"] == arm]
                    for measure in MEASURES
                }
                rows[arm] = {
                    measure: {"mean": float(np.mean(each)), "std": float(np.std(each)), "seeds": len(each)}
                    for measure, each in values.items()
                }
            spl = {arm: found["spl"]["mean"] for arm, found in rows.items()}
            answers = report["answers"].setdefault(how, {}).setdefault(name, {})
            if spl.get("freedoom_game"):
                answers["freedoom_share_of_game"] = spl.get("freedoom", 0.0) / spl["freedoom_game"]
            if {"freedoom", LABELLED} <= set(spl):
                answers["gain_by_labels"] = spl[LABELLED] - spl["freedoom"]
    return report


def arm_and_seed(text: str) -> tuple[str, int]:
    """Read a cell such as ``freedoom:1``.

    Raises:
        ArgumentTypeError: another text, or no such arm.
    """
    arm, _, seed = text.rpartition(":")
    if arm not in ARMS or not seed.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no cell; use ARM:SEED with an arm of {', '.join(ARMS)}")
    return arm, int(seed)


def main(words: Sequence[str] | None = None, say: Callable[[str], None] = print) -> None:
    """Collect, train, play, write; go on where the last run ended."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, required=True, help="folder for episodes, datasets, agents and results")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cells", nargs="+", type=arm_and_seed, help="ARM:SEED, in place of all arms and seeds")
    parser.add_argument("--data", action="store_true", help="make what all seeds of the arms share, and end")
    parser.add_argument("--episodes", type=int, default=2000, help="that an arm learns from")
    parser.add_argument("--maps", type=int, default=512, help="training maps")
    parser.add_argument("--test-episodes", type=int, default=192, help="per set of the evaluation")
    parser.add_argument("--max-steps", type=int, default=MAX_STEPS, help="of an episode to learn from")
    parser.add_argument("--epochs", type=int, default=0, help="other than those of configs/agents/bc.yaml")
    parser.add_argument("--preset", default="all", help="of the learned world")
    parser.add_argument("--scans", action="store_true", help="record in freedoom in scans of the maps (KEEP/scans)")
    parser.add_argument("--spacing", type=float, default=2.5, help="metres between spots of a scan")
    parser.add_argument("--headings", type=int, default=8, help="views per spot")
    parser.add_argument("--most", type=int, default=1024, help="views of a scan")
    parser.add_argument("--worlds", type=int, default=128, help="that step together")
    parser.add_argument("--encoders", type=int, default=4)
    parser.add_argument("--processes", action="store_true", help="encoders are processes")
    parser.add_argument("--game-workers", type=int, default=8, help="processes that render the evaluation")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--max-seconds", type=float, default=1e9, help="after which the run ends, to be gone on with")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/cloning_comparison.json")
    given = parser.parse_args(words)
    began, stop = time.monotonic(), time.monotonic() + given.max_seconds
    given.device, given.keep = resolve_device(given.device), given.keep.absolute()
    if given.device == "cpu":
        torch.set_num_threads(1)
    facts, settings = provenance(), {name: str(value) for name, value in vars(given).items()}
    work = Work(given, given.keep, stop)
    cells = given.cells or [(arm, seed) for seed in range(given.seeds) for arm in given.arms]
    runs: list[dict[str, Any]] = []
    about = {"provenance": facts, "settings": settings, "grounded": given.scans, "cells": len(cells)}
    with work.stack:
        try:
            for arm in given.arms if given.data else ():
                say(f"{time.monotonic() - began:5.0f} s  {shared_data(work, arm)}")
            for arm, seed in () if given.data else cells:
                runs.append(cell(work, arm, seed))
                spl = runs[-1]["final"]["drawing"]["detour"]["spl"]["mean"]
                say(f"{time.monotonic() - began:5.0f} s  {arm}, seed {seed}: SPL {spl:.3f} on detour")
                write_json(given.out, {**about, "maps": runs[0]["maps"], **tables(runs), "runs": runs})
        except OutOfTimeError:
            say(f"the time is over: {len(runs)} of {len(cells)} cells are done; the same command goes on")


if __name__ == "__main__":
    main()
