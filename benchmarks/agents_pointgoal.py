"""Whether an agent that learned PointGoal inside the freedoom world finds its way in the real game.

    python benchmarks/agents_pointgoal.py --device cuda --out benchmarks/agents_pointgoal

Trains the same agent for the same number of frames (a) in the learned world under preset ``off``, (b) under ``all``,
and (c) in the real game, each with several seeds, on maps that the world was trained on. All are then evaluated in the
real game on held-out maps, beside agents that learn nothing. Writes OUT.json and OUT.png and prints the table. Needs
ViZDoom for the game.

The task. A step is one chunk: 3 m or 60 degrees at most; agents choose among eight whole and half moves and ``stop``.
Success is ``stop`` within 1.5 m of the goal, half a step (Habitat: 0.2 m at steps of 0.25 m). Two held-out sets, 32
steps per episode: ``detour``, goals 8 to 20 m of shortest way off, at least 1.3 times the straight line, so that a wall
is in the way; ``open``, goals 4 to 12 m off wherever they are. Training mixes easy and blocked goals of 5 to 20 m.

The agent. The first 70 % of the steps imitate shortest ways in the maps (dataset aggregation), the others are PPO on
the task's reward (way gained along the shortest way, 2.5 for success).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from li_env.accel.report import versions, write_json
from li_env.agents.agent import ACTION_SPACE, Agent
from li_env.agents.evaluation import evaluate, summarise
from li_env.agents.moves import Moves
from li_env.agents.playing import make_agent
from li_env.agents.policy import PolicyAgent
from li_env.agents.ppo import PPOConfig, train
from li_env.episodes import Episodes, open_episodes
from li_env.tasks import EpisodeDataset, NavigationRules
from li_env.tasks.build import build_episodes
from li_env.worlds.freedoom.doom.splits import TEST, TRAINING
from li_env.worlds.registry import load_world, resolve_device

ARMS = {"freedoom off": ("freedoom", "off"), "freedoom all": ("freedoom", "all"), "game": ("freedoom_game", "off")}
BASELINES = ("random", "seeker", "expert")
MEASURES = ("success", "spl", "soft_spl", "collisions", "steps")
MAX_STEPS = 32
PART = 16  # maps that one process builds episodes for


@dataclass(frozen=True)
class Job:
    """One training."""

    arm: str
    config: PPOConfig
    folder: str
    dataset: str
    device: str
    workers: int


def run_job(job: Job) -> float:
    """Train; returns the seconds it took."""
    began = time.perf_counter()
    torch.set_num_threads(1)
    options: dict[str, Any] = {"workers": job.workers} if job.config.world == "freedoom_game" else {}
    world = load_world(job.config.world, device=job.device, **options)
    train(job.config, job.folder, job.dataset, world, job.device)
    if job.config.world == "freedoom_game":
        world.close()  # type: ignore[attr-defined]
    return time.perf_counter() - began


def build_part(seeds: range, near: float, far: float, detour: float, starts: int) -> EpisodeDataset | None:
    """Episodes on a few maps; None if no goal fits."""
    rules = replace(NavigationRules.default(), goal_distance=(near, far))
    try:
        return build_episodes(seeds, 2, starts, 0, rules, detour)
    except ValueError:
        return None


def datasets(folder: Path, maps: int, episodes: int) -> dict[str, Path]:
    """Training episodes on maps of the training split and two held-out sets; returns their files."""
    half = maps // 2
    # Held out are maps beyond those of the shipped start frames; only mazes and caves have many detours.
    wanted = {
        "easy": (TRAINING[:half], 5.0, 20.0, 1.0, 4),
        "blocked": (TRAINING[half : 2 * half], 5.0, 20.0, 1.2, 4),
        "detour": (TEST[1000 : 1000 + episodes], 8.0, 20.0, 1.3, 2),
        "open": (TEST[1000 : 1000 + max(1, episodes // 4)], 4.0, 12.0, 1.0, 2),
    }
    with ProcessPoolExecutor(os.cpu_count(), mp_context=multiprocessing.get_context("spawn")) as pool:
        parts = {
            name: [
                pool.submit(build_part, seeds[first : first + PART], near, far, detour, starts)
                for first in range(0, len(seeds), PART)
            ]
            for name, (seeds, near, far, detour, starts) in wanted.items()
        }
        built = {
            name: EpisodeDataset.join([data for future in futures if (data := future.result()) is not None])
            for name, futures in parts.items()
        }
    sets = {"training": EpisodeDataset.join([built["easy"], built["blocked"]])}
    for name in ("detour", "open"):
        sets[name] = EpisodeDataset(built[name].episodes[:episodes], built[name].frames)
    for name, data in sets.items():
        data.write(folder / f"{name}.json")
    return {name: folder / f"{name}.json" for name in sets}


def jobs(arguments: argparse.Namespace, folder: Path, training: Path) -> list[Job]:
    """One per arm and seed; those of the game render with the cores that are left."""
    base = PPOConfig(
        steps=arguments.steps,
        cloning_steps=round(arguments.cloning * arguments.steps),
        worlds=arguments.worlds,
        horizon=arguments.horizon,
        learning_rate=3e-4,
        max_episode_steps=MAX_STEPS,
        snapshots=arguments.snapshots,
    )
    workers = max(1, (os.cpu_count() or 1) // arguments.jobs)
    return [
        Job(
            arm,
            replace(base, world=ARMS[arm][0], preset=ARMS[arm][1], seed=seed),
            str(folder / f"{arm.replace(' ', '-')}-{seed}"),
            str(training),
            arguments.device,
            workers,
        )
        for arm in arguments.arms
        for seed in range(arguments.seeds)
    ]


def play(rules: Episodes, agent: Agent, count: int) -> dict[str, Any]:
    """Summary over the first ``count`` episodes."""
    assert rules.task.dataset is not None  # type: ignore[attr-defined]
    count = min(count, len(rules.task.dataset.episodes))  # type: ignore[attr-defined]
    summary = summarise(evaluate(rules, agent, [{"episode": index} for index in range(count)], MAX_STEPS, batch=128))
    return {"episodes": count, **{name: summary[name] for name in MEASURES}}


def trained(job: Job, rules: Episodes, weights: str = "policy.safetensors") -> Agent:
    """The agent of a job, or one of its snapshots."""
    moves = Moves(rules.actions.space, rules.task.can_stop)
    return PolicyAgent.load(job.folder, rules.observation_space, moves, 0, job.device, weights)


def curve(job: Job, rules: Episodes, count: int) -> list[dict[str, float]]:
    """Success and SPL in the game after every snapshot."""
    points = []
    for path in sorted((Path(job.folder) / "snapshots").glob("*.safetensors")):
        found = play(rules, trained(job, rules, f"snapshots/{path.name}"), count)
        frames = int(path.stem) * rules.spec.chunk_frames
        points.append({"frames": frames, **{name: found[name]["mean"] for name in ("success", "spl", "soft_spl")}})
    return points


def over_seeds(runs: Sequence[dict[str, Any]], held_out: str) -> dict[str, Any]:
    """Mean and standard deviation over seeds of every measure."""
    table = {name: [run["final"][held_out][name]["mean"] for run in runs] for name in MEASURES}
    return {name: {"mean": float(np.mean(values)), "std": float(np.std(values))} for name, values in table.items()}


def draw(report: dict[str, Any], path: Path) -> None:
    """SPL in the game against frames of training."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.2))
    for arm in report["arms"]:
        curves = [run["curve"] for run in report["runs"] if run["arm"] == arm]
        shortest = min(len(points) for points in curves)
        frames = [point["frames"] for point in curves[0][:shortest]]
        values = np.array([[point["spl"] for point in points[:shortest]] for points in curves])
        (line,) = axes.plot(frames, values.mean(0), marker="o", label=f"trained in {arm}")
        axes.fill_between(frames, values.min(0), values.max(0), alpha=0.2, color=line.get_color())
    for name, style in zip(BASELINES, (":", "--", "-."), strict=True):
        axes.axhline(report["baselines"]["detour"][name]["spl"]["mean"], color="grey", linestyle=style, label=name)
    axes.set_xlabel("frames of training")
    axes.set_ylabel("SPL in the real game, held-out maps, blocked goals")
    axes.set_title("PointGoal: mean over seeds, band from least to most")
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def show(report: dict[str, Any]) -> None:
    """Print the table."""
    for held_out in report["table"]:
        print(f"\n{held_out}: real game, held-out maps")
        for name, found in report["baselines"][held_out].items():
            values = "  ".join(f"{key} {found[key]['mean']:.3f}" for key in MEASURES)
            print(f"  {name:<24}{values}")
        for arm, found in report["table"][held_out].items():
            values = "  ".join(f"{key} {found[key]['mean']:.3f}+-{found[key]['std']:.3f}" for key in MEASURES)
            print(f"  {'trained in ' + arm:<24}{values}")
    for name, value in report["ratios"].items():
        print(f"{name}: {value:.2f}")


def main() -> None:
    """Train, evaluate, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/agents_pointgoal"), help="without suffix")
    parser.add_argument("--steps", type=int, default=40_960, help="environment steps per training, four frames each")
    parser.add_argument("--cloning", type=float, default=0.7, help="share of the steps that imitate, before PPO")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--worlds", type=int, default=64)
    parser.add_argument("--horizon", type=int, default=32)
    parser.add_argument("--snapshots", type=int, default=8)
    parser.add_argument("--maps", type=int, default=256, help="training maps")
    parser.add_argument("--episodes", type=int, default=192, help="held-out episodes of the final evaluation")
    parser.add_argument("--curve-episodes", type=int, default=64, help="of them, for every point of the curves")
    parser.add_argument("--jobs", type=int, default=3, help="trainings at the same time")
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    parser.add_argument("--keep", type=Path, help="folder for episodes and agents; a temporary one by default")
    arguments = parser.parse_args()
    arguments.device = resolve_device(arguments.device)
    began = time.perf_counter()

    def say(text: str) -> None:
        print(f"{time.perf_counter() - began:5.0f} s  {text}", flush=True)

    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        files = datasets(folder, arguments.maps, arguments.episodes)
        say("episodes built")
        work = jobs(arguments, folder, files["training"])
        with ProcessPoolExecutor(arguments.jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
            seconds = []
            for job, spent in zip(work, pool.map(run_job, work), strict=True):
                seconds.append(spent)
                print(
                    f"{time.perf_counter() - began:5.0f} s  {job.arm}, seed {job.config.seed}: {spent:.0f} s",
                    flush=True,
                )
        game = load_world("freedoom_game", workers=os.cpu_count() or 1)
        rules = {
            name: open_episodes(game, "off", ACTION_SPACE, "frame", task="pointgoal", dataset=files[name])
            for name in ("detour", "open")
        }
        baselines = {
            held_out: {name: play(rule, make_agent(name, rule), arguments.episodes) for name in BASELINES}
            for held_out, rule in rules.items()
        }
        runs = []
        for job, spent in zip(work, seconds, strict=True):
            log = [json.loads(line) for line in (Path(job.folder) / "log.jsonl").read_text().splitlines()]
            final = {held_out: play(rule, trained(job, rule), arguments.episodes) for held_out, rule in rules.items()}
            points = curve(job, rules["detour"], arguments.curve_episodes)
            runs.append(
                {
                    "arm": job.arm,
                    "config": asdict(job.config),
                    "seconds": spent,
                    "final": final,
                    "curve": points,
                    "log": log,
                }
            )
            say(f"{job.arm}, seed {job.config.seed}: evaluated")
        game.close()  # type: ignore[attr-defined]
    table = {
        held_out: {arm: over_seeds([run for run in runs if run["arm"] == arm], held_out) for arm in arguments.arms}
        for held_out in rules
    }
    ratios = {}
    for held_out, found in table.items():
        for arm in arguments.arms:
            if arm != "game" and "game" in found and found["game"]["spl"]["mean"] > 0:
                ratios[f"{held_out}: SPL of {arm} / game"] = found[arm]["spl"]["mean"] / found["game"]["spl"]["mean"]
    report = {
        "arms": arguments.arms,
        "settings": {name: str(value) for name, value in vars(arguments).items()},
        "seconds": time.perf_counter() - began,
        "versions": versions(),
        "baselines": baselines,
        "table": table,
        "ratios": ratios,
        "runs": runs,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    write_json(arguments.out.with_suffix(".json"), report)
    draw(report, arguments.out.with_suffix(".png"))
    show(report)


if __name__ == "__main__":
    main()
