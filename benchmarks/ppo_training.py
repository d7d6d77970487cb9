"""Train PPO agents inside the learned world and in the game, and evaluate them in both.

    python benchmarks/ppo_training.py --tasks open detour --seeds 5 --device cuda --jobs 5 --max-seconds 3000 --keep DIR

A cell is one training: (task, arm, variant, seed). Several run at once on one GPU, each in a process. A run that is cut
off, by the clock of ``--max-seconds`` or otherwise, goes on when the same command is given again: every cell leaves its
agent in a folder below ``--keep``, and, once it is evaluated, ``result.json``; neither is made twice. ``--list`` shows
what is there. benchmarks/ppo_report.py makes the tables and curves.

Trainings can go on elsewhere: ``--pack DIR`` leaves archives of what they need (ppo_travel.py), ``--unpack DIR`` begins
with them. Snapshots are evaluated, for the learning curve, on the machine that made them, in the last
``--evaluation-seconds`` of a run.

``--scans DIR`` grounds the arms inside the learned world: every episode of the training takes place in the scan of its
map. Scans of ``--scan-maps`` maps of every training set are built there unless they are there, and those of all
held-out maps: every agent is evaluated in scans too, beside the game and the learned world without them.

Tasks: ``open`` and ``detour`` (PointGoal), ``imagegoal``, ``explore``; settings are those of configs/agents/ppo_*.yaml
with what the command line changes. Arms say where an agent learns: the world and its preset. Variants are the
ablations; ``cloned`` imitates shortest paths in its first 70 % of the steps, and is no agent that learned from reward
alone. All agents are evaluated in the game and in the learned world on held-out maps, with drawn actions. A process
that renders the game keeps ``--game-engines`` maps ready (18 MB each): all of them together should hold the maps of the
training: as many as ``--maps`` says (open goals), three times as many (behind walls).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from navigation_sets import HELD_OUT, navigation_sets, training_set
from ppo_travel import BEGUN, CURVE, RESULT, pack, points_of, unpack, waiting_snapshots
from provenance import provenance

from li_env.accel.world import BaseWorld
from li_env.agents.base import ACTION_SPACE
from li_env.agents.config import read_config
from li_env.agents.evaluate import evaluate
from li_env.agents.macro_actions import MacroActions
from li_env.agents.ppo.config import PPOConfig
from li_env.agents.ppo.policy import POLICY, PolicyAgent
from li_env.agents.ppo.train import train
from li_env.doom.render_pool import ENGINES
from li_env.episodes import EpisodeRunner, open_episodes
from li_env.files import write_json
from li_env.tasks import EpisodeDataset
from li_env.worlds.freedoom.build_scan import build_scans
from li_env.worlds.registry import load_world, resolve_device

TASKS = ("open", "detour", "imagegoal", "explore")
ARMS = {"off": ("freedoom", "off"), "all": ("freedoom", "all"), "game": ("freedoom_game", "off")}
MEASURES = ("return", "success", "spl", "soft_spl", "distance_to_goal", "collisions", "seen_area")


def _without_memory(config: PPOConfig) -> PPOConfig:
    return replace(config, recurrent=False)


VARIANTS = {
    "full": lambda config: config,
    "no memory": _without_memory,
    "not symmetric": lambda config: replace(config, symmetric=False),
    "few gradient steps": lambda config: replace(config, batch_size=config.batch_size * 8, learning_rate=5e-4),
    "rewards as they are": lambda config: replace(config, reward_scale=1.0),
    "bumps": lambda config: replace(config, bump_weight=0.1),
    "colours": lambda config: replace(config, colours=0.3),
    "constant entropy": lambda config: replace(config, final_entropy=config.entropy),
    "cloned": lambda config: replace(_without_memory(config), cloning_steps=round(0.7 * config.steps)),
}


@dataclass(frozen=True)
class Cell:
    """One training and its evaluation; ``sets`` are episode files by name, as are scans of their maps, if any."""

    task: str
    arm: str
    variant: str
    config: PPOConfig
    folder: str
    sets: dict[str, str]
    episodes: int
    curve_episodes: int
    device: str
    game_workers: int
    game_engines: int
    deadline: float
    reserve: float = 0.0
    held_out_scans: str = ""

    @property
    def asked(self) -> dict[str, Any]:
        """What a stored result must have been made with."""
        counts = [self.episodes, self.curve_episodes]
        return {"task": self.task, "arm": self.arm, "variant": self.variant, "config": asdict(self.config),
                "episodes": counts}  # fmt: skip


def run_cell(cell: Cell) -> str:
    """Train, evaluate, write ``result.json``; says in a word how far it came."""
    path = Path(cell.folder) / RESULT
    if path.is_file() and json.loads(path.read_text())["asked"] == cell.asked:
        return "was there"
    if time.time() >= cell.deadline:
        return "not begun"
    torch.set_num_threads(1)
    facts = provenance()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path.with_name(BEGUN), facts)
    game = load_world("freedoom_game", workers=cell.game_workers, engines=cell.game_engines)
    try:
        learned = load_world("freedoom", device=cell.device)
        world = game if cell.config.world == "freedoom_game" else learned
        dataset = cell.sets.get(training_set(cell.task))
        left = cell.deadline - cell.reserve - time.time()
        train(cell.config, cell.folder, dataset, world, cell.device, max_seconds=left)
        state = Path(cell.folder) / "agent.json"
        steps = json.loads(state.read_text())["steps"] if state.is_file() else 0
        left_over = add_points(cell, game)
        if steps < cell.config.steps:
            return f"stopped at step {steps}"
        if left_over or time.time() >= cell.deadline:
            return "trained, not evaluated yet"
        write_json(path, {"asked": cell.asked, "provenance": facts, **evaluated(cell, game, learned)})
        return "done"
    except ValueError as error:  # one training that degenerates does not end the others
        return f"failed: {error}"
    finally:
        game.close()


def add_points(cell: Cell, game: BaseWorld) -> int:
    """Evaluate snapshots in the game until the deadline and note the points; returns how many are left."""
    folder, points = Path(cell.folder), points_of(Path(cell.folder))
    waiting = waiting_snapshots(folder)
    runner = runner_of(cell, game, "off", main_set(cell.task))
    while waiting and time.time() < cell.deadline:
        path = waiting.pop(0)
        found = play(cell, runner, f"snapshots/{path.name}", cell.curve_episodes)
        points.append({"steps": int(path.stem), **found})
        write_json(folder / CURVE, points)
    return len(waiting)


def main_set(task: str) -> str:
    """Return the held-out set of a task's learning curve."""
    return {"detour": "detour", "explore": "explore"}.get(task, HELD_OUT[0])


def evaluated(cell: Cell, game: BaseWorld, learned: BaseWorld) -> dict[str, Any]:
    """Play the agent of a cell: ``final``, the ``curve`` of its snapshots and the log of the training."""
    own = "all" if cell.config.world == "freedoom_game" else str(cell.config.preset)
    names = HELD_OUT if cell.task != "explore" else ("explore",)
    places = {"game": (game, "off", ""), "inside": (learned, own, "")}
    if cell.held_out_scans and cell.task != "explore":
        places["in scans"] = (learned, own, cell.held_out_scans)
    final: dict[str, Any] = {}
    for place, (world, preset, scans) in places.items():
        for name in names:
            runner = runner_of(cell, world, preset, name, scans)
            final.setdefault(name, {})[place] = play(cell, runner, POLICY, cell.episodes)
    log = [json.loads(line) for line in (Path(cell.folder) / "log.jsonl").read_text().splitlines()]
    curve = {"set": main_set(cell.task), "points": sorted(points_of(Path(cell.folder)), key=lambda each: each["steps"])}
    return {"final": final, "curve": curve, "log": log}


def runner_of(cell: Cell, world: BaseWorld, preset: str, name: str, scans: str = "") -> EpisodeRunner:
    """Open the task of a cell in a world, with the episodes of a set, in its scans if there is a folder of them."""
    grounded = Path(scans) / name if scans else None
    task, dataset = cell.config.task, cell.sets.get(name)
    return open_episodes(world, preset, ACTION_SPACE, "frame", task=task, dataset=dataset, scans=grounded)


def play(cell: Cell, runner: EpisodeRunner, weights: str, count: int) -> dict[str, float]:
    """Return the means of all measures over the first ``count`` episodes."""
    macro_actions = MacroActions(runner.actions.space, runner.task.can_stop)
    device = cell.device
    agent = PolicyAgent.load(cell.folder, runner.observation_space, macro_actions, 0, device, weights)
    dataset = getattr(runner.task, "dataset", None)
    count = count if dataset is None else min(count, len(dataset.episodes))
    options: list[dict[str, Any]] = [{} if dataset is None else {"episode": index} for index in range(count)]
    rows = evaluate(runner, agent, options, cell.config.max_episode_steps, batch=128)
    means = {name: sum(row[name] for row in rows) / len(rows) for name in MEASURES if name in rows[0]}
    return {"episodes": count, "length": sum(row["steps"] for row in rows) / len(rows), **means}


def scan_maps(dataset: Path, folder: Path, count: int, views: int) -> None:
    """Scan ``count`` maps of a dataset, evenly spread over it, as far as their scans are not there."""
    records = EpisodeDataset.read(dataset).episodes
    maps = sorted({record.map_seed for record in records if record.map_seed is not None})
    chosen = (
        [maps[number * len(maps) // count] for number in range(min(count, len(maps)))] if count < len(maps) else maps
    )
    build_scans(chosen, 2.5, 8, views, folder, os.cpu_count() or 1)


def cells(arguments: argparse.Namespace, sets: dict[str, str]) -> list[Cell]:
    """List the cells that the command line asks for, all arms of a seed one after the other."""
    found = []
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        for task in arguments.tasks:
            base = read_config(Path(str(files("li_env.configs") / "agents" / f"ppo_{task}.yaml")))
            assert isinstance(base, PPOConfig)
            for arm in arguments.arms:
                for variant in arguments.variants:
                    world, preset = ARMS[arm]
                    names = ("steps", "worlds", "in_flight", "max_episode_steps")
                    own = {name: getattr(arguments, name) for name in names}
                    changes = {name: value for name, value in own.items() if value is not None}
                    inside = arguments.scans is not None and world == "freedoom" and task != "explore"
                    scans = str(arguments.scans / training_set(task)) if inside else ""
                    config = replace(base, **changes, world=world, preset=preset, scans=scans, seed=seed,
                                     snapshots=arguments.snapshots)  # fmt: skip
                    config = VARIANTS[variant](config)
                    place = f"{arm}_grounded" if scans else arm
                    folder = arguments.keep / f"{task}-{place}-{variant.replace(' ', '_')}-{seed}"
                    found.append(
                        Cell(task, place, variant, config, str(folder), {} if task == "explore" else sets,
                             arguments.episodes, arguments.curve_episodes, arguments.device, arguments.game_workers,
                             arguments.game_engines, arguments.deadline, arguments.evaluation_seconds,
                             str(arguments.scans or ""))
                    )  # fmt: skip
    return found


def main(words: Sequence[str] | None = None) -> None:
    """Build episodes, run the cells, say how far each came."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--keep", type=Path, required=True, help="folder for episodes, agents and results")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=["open", "detour"])
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=["full"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--steps", type=int, help="environment steps instead of the settings'")
    parser.add_argument("--worlds", type=int, help="environments of a training instead of the settings'")
    parser.add_argument("--max-episode-steps", type=int, help="steps of an episode instead of the settings'")
    parser.add_argument("--in-flight", type=int, help="groups of environments in flight instead of the settings'")
    parser.add_argument("--snapshots", type=int, default=8, help="points of a learning curve")
    parser.add_argument("--maps", type=int, default=256, help="training maps")
    parser.add_argument("--episodes", type=int, default=192, help="held-out episodes of every final evaluation")
    parser.add_argument("--curve-episodes", type=int, default=64, help="of them, for every point of a curve")
    parser.add_argument("--jobs", type=int, default=4, help="cells at the same time")
    parser.add_argument("--game-workers", type=int, default=4, help="processes that render the game for every cell")
    parser.add_argument("--game-engines", type=int, default=ENGINES, help="maps that each of them keeps ready")
    parser.add_argument("--max-seconds", type=float, default=float("inf"), help="no cell trains on after that")
    parser.add_argument("--evaluation-seconds", type=float, default=0.0, help="of them, for evaluations")
    parser.add_argument("--scans", type=Path, help="folder of scans to train in")
    parser.add_argument("--scan-maps", type=int, default=96, help="maps of a training set that are scanned")
    parser.add_argument("--scan-views", type=int, default=1024, help="most views of a scan")
    parser.add_argument("--pack", type=Path, help="folder for archives with which trainings go on elsewhere")
    parser.add_argument("--unpack", type=Path, help="folder of such archives to begin with")
    parser.add_argument("--list", action="store_true", help="say what is there and end")
    arguments = parser.parse_args(words)
    began = time.time()
    arguments.deadline = began + arguments.max_seconds
    arguments.device = resolve_device(arguments.device)
    if arguments.unpack is not None:
        unpack(arguments.unpack, arguments.keep)
    if arguments.list:
        for cell in cells(arguments, {}):
            state = Path(cell.folder) / "agent.json"
            steps = json.loads(state.read_text())["steps"] if state.is_file() else 0
            there = (Path(cell.folder) / RESULT).is_file()
            print(f"{Path(cell.folder).name}: {steps} of {cell.config.steps} steps{', evaluated' * there}")
        return
    built = navigation_sets(arguments.keep / "episodes", arguments.maps, arguments.episodes)
    if arguments.scans is not None:
        for name in {training_set(task) for task in arguments.tasks if task != "explore"}:
            scan_maps(built[name], arguments.scans / name, arguments.scan_maps, arguments.scan_views)
        for name in HELD_OUT:
            scan_maps(built[name], arguments.scans / name, arguments.episodes, arguments.scan_views)
    work = cells(arguments, {name: str(path) for name, path in built.items()})
    print(f"{time.time() - began:5.0f} s  {len(work)} cells", flush=True)
    with ProcessPoolExecutor(arguments.jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        for cell, came in zip(work, pool.map(run_cell, work), strict=True):
            print(f"{time.time() - began:5.0f} s  {Path(cell.folder).name}: {came}", flush=True)
    if arguments.pack is not None:
        for path in pack(arguments.keep, arguments.pack):
            print(f"{time.time() - began:5.0f} s  {path}: {path.stat().st_size / 2**20:.1f} MiB", flush=True)


if __name__ == "__main__":
    main()
