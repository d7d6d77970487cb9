"""PointGoal in the real game, by agents that learned inside the freedoom world.

    python benchmarks/agents_pointgoal.py --agents mapper --mapper-steps 32768 --maps 512 --device cuda

is the recorded run; without arguments PPO is trained too, for hours. Trains the same agents for the same number of
frames, up to the ends of their last episodes, (a) in the learned world under preset ``off``, (b) under ``all``,
and (c) in the real game, each with several seeds, on maps that the world was trained on. All are then evaluated in the
real game, beside agents that learn nothing. Writes OUT.json and OUT.png and prints the table. Needs ViZDoom for the
game. With ``--keep FOLDER`` a run that was cut off goes on: every training leaves its agent and, once it is evaluated,
its ``result.json`` there, and neither is made twice. With ``--trained FOLDER`` nothing is trained: the mapper of that
folder is evaluated beside the agents that learn nothing, without a curve.

The task. A step is one chunk: 3 m or 60 degrees at most; agents choose among eight whole and half moves and ``stop``.
Success is ``stop`` within 1.5 m of the goal, half a step (Habitat: 0.2 m at steps of 0.25 m). 32 steps per episode.
Three sets: ``detour``, held-out maps, goals 8 to 20 m of shortest path away, at least 1.3 times the straight line, so
that a wall stands between; ``open``, held-out maps, goals 4 to 12 m away wherever they are; ``trained maps``, other
episodes like ``detour`` in the maps of the training. Training mixes easy and blocked goals of 5 to 20 m.

The agents. ``mapper`` learns to see (`agents/mapper/train.py`) and follows its own map. ``ppo`` imitates shortest paths
in the first 70 % of the steps (dataset aggregation), then learns from the task's reward.
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
from navigation_sets import build_part
from provenance import provenance

from li_env.accel.world import BaseWorld
from li_env.agents.base import ACTION_SPACE, Agent
from li_env.agents.config import Config
from li_env.agents.constants import ARRIVAL
from li_env.agents.evaluate import evaluate, summarise
from li_env.agents.macro_actions import MacroActions
from li_env.agents.mapper.agent import Mapper
from li_env.agents.mapper.config import MapperConfig
from li_env.agents.mapper.free_space_net import FreeSpaceNet
from li_env.agents.mapper.train import load_net
from li_env.agents.ppo.config import PPOConfig
from li_env.agents.ppo.policy import PolicyAgent
from li_env.agents.registry import make_agent, train
from li_env.doom.splits import TEST, TRAINING
from li_env.episodes import EpisodeRunner, open_episodes
from li_env.files import write_json
from li_env.tasks import EpisodeDataset
from li_env.worlds.registry import load_world, resolve_device

ARMS = {"freedoom off": ("freedoom", "off"), "freedoom all": ("freedoom", "all"), "game": ("freedoom_game", "off")}
AGENTS = ("mapper", "ppo")
BASELINES = ("random", "untrained", "seeker", "expert")
MEASURES = ("success", "spl", "soft_spl", "collisions", "steps")
MAX_STEPS = 32
SETS = ("detour", "open", "trained maps")
RESULT = "result.json"
PART = 16  # maps that one process builds episodes for


@dataclass(frozen=True)
class Job:
    """One training and its evaluation; ``episodes`` are files by set."""

    agent: str
    arm: str
    config: Config
    folder: str
    episodes: dict[str, str]
    count: int
    curve_count: int
    device: str
    workers: int


def run_job(job: Job) -> dict[str, Any]:
    """Train and play in the game: summaries by set, the learning curve and the log; kept in the job's folder."""
    path, asked = Path(job.folder) / RESULT, {"config": asdict(job.config), "counts": [job.count, job.curve_count]}
    if path.is_file() and (kept := json.loads(path.read_text()))["asked"] == asked:
        result: dict[str, Any] = kept["result"]
        return result
    torch.set_num_threads(1)
    game = load_world("freedoom_game", workers=job.workers)
    world = game if job.config.world == "freedoom_game" else load_world(job.config.world, device=job.device)
    train(job.config, job.folder, job.episodes["training"], world, job.device)
    runners = {name: game_episodes(game, job.episodes[name]) for name in SETS}
    final = {name: play(runner, trained(job, runner), job.count) for name, runner in runners.items()}
    points = curve(job, runners["detour"], job.curve_count)
    game.close()  # type: ignore[attr-defined]
    log = [json.loads(line) for line in (Path(job.folder) / "log.jsonl").read_text().splitlines()]
    result = {"final": final, "curve": points, "log": log}
    write_json(path, {"asked": asked, "result": result})
    return result


def evaluated(folder: Path, files: dict[str, Path], arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what `run_job` returns, and its key, for a mapper that is trained already."""
    config = MapperConfig(**json.loads((folder / "agent.json").read_text())["config"])
    (arm,) = [name for name, where in ARMS.items() if where == (config.world, config.preset)]
    paths = {name: str(path) for name, path in files.items()}
    job = Job("mapper", arm, config, str(folder), paths, arguments.episodes, 0, arguments.device, 0)
    game = load_world("freedoom_game")
    runners = {name: game_episodes(game, job.episodes[name]) for name in SETS}
    final = {name: play(runner, trained(job, runner), job.count) for name, runner in runners.items()}
    return {"agent": job.agent, "arm": arm, "config": asdict(config), "final": final, "curve": [], "log": []}


def game_episodes(game: BaseWorld, episodes: str) -> EpisodeRunner:
    """PointGoal in the game."""
    return open_episodes(game, "off", ACTION_SPACE, "frame", task="pointgoal", dataset=episodes)


def datasets(folder: Path, maps: int, episodes: int, training: bool = True) -> dict[str, Path]:
    """Training episodes on maps of the training split, and the sets of the evaluation; returns their files."""
    half = maps // 2
    # Held out are maps beyond those of the shipped start frames; only mazes and caves have many detours.
    wanted = {
        "easy": (TRAINING[:half], 5.0, 20.0, 1.0, 4, 0),
        "blocked": (TRAINING[half : 2 * half], 5.0, 20.0, 1.2, 4, 0),
        "detour": (TEST[1000 : 1000 + episodes], 8.0, 20.0, 1.3, 2, 0),
        "open": (TEST[1000 : 1000 + max(1, episodes // 4)], 4.0, 12.0, 1.0, 2, 0),
        "trained maps": (TRAINING[half : half + min(half, episodes)], 8.0, 20.0, 1.3, 2, 1),
    }
    if not training:
        wanted = {name: wanted[name] for name in SETS}
    with ProcessPoolExecutor(os.cpu_count(), mp_context=multiprocessing.get_context("spawn")) as pool:
        parts = {
            name: [pool.submit(build_part, seeds[first : first + PART], *rest) for first in range(0, len(seeds), PART)]
            for name, (seeds, *rest) in wanted.items()
        }
        made = {
            name: [data for future in futures if (data := future.result()) is not None]
            for name, futures in parts.items()
        }
    for name, found in made.items():
        if not found:
            raise ValueError(f"{name!r}: no episodes on {len(wanted[name][0])} maps; use more maps or episodes")
    built = {name: EpisodeDataset.join(found) for name, found in made.items()}
    sets = {"training": EpisodeDataset.join([built["easy"], built["blocked"]])} if training else {}
    for name in SETS:
        sets[name] = EpisodeDataset(built[name].episodes[:episodes], built[name].frames)
    for name, data in sets.items():
        data.write(folder / f"{name}.json")
    return {name: folder / f"{name}.json" for name in sets}


def jobs(arguments: argparse.Namespace, folder: Path, files: dict[str, Path]) -> list[Job]:
    """One per agent, arm and seed.

    Each renders the game in processes of its own. A process keeps 64 maps ready and needs a second for every other, so
    that few processes are slow however many cores there are.
    """
    ppo = PPOConfig(
        steps=arguments.steps,
        cloning_steps=round(arguments.cloning * arguments.steps),
        worlds=arguments.worlds,
        horizon=arguments.horizon,
        learning_rate=3e-4,
        max_episode_steps=MAX_STEPS,
        snapshots=arguments.snapshots,
    )
    mapper = MapperConfig(
        steps=arguments.mapper_steps,
        worlds=arguments.worlds,
        rounds=arguments.snapshots,
        updates=arguments.updates,
    )
    bases: dict[str, Config] = {"mapper": mapper, "ppo": ppo}
    return [
        Job(
            agent,
            arm,
            replace(bases[agent], world=ARMS[arm][0], preset=ARMS[arm][1], seed=seed),
            str(folder / f"{agent}-{arm.replace(' ', '-')}-{seed}"),
            {name: str(path) for name, path in files.items()},
            arguments.episodes,
            arguments.curve_episodes,
            arguments.device,
            arguments.game_workers,
        )
        for agent in arguments.agents
        for seed in range(arguments.seeds)
        for arm in arguments.arms
    ]


def play(runner: EpisodeRunner, agent: Agent, count: int) -> dict[str, Any]:
    """Summary over the first ``count`` episodes."""
    assert runner.task.dataset is not None  # type: ignore[attr-defined]
    count = min(count, len(runner.task.dataset.episodes))  # type: ignore[attr-defined]
    summary = summarise(evaluate(runner, agent, [{"episode": index} for index in range(count)], MAX_STEPS, batch=128))
    return {"episodes": count, **{name: summary[name] for name in MEASURES}}


def trained(job: Job, runner: EpisodeRunner, snapshot: Path | None = None) -> Agent:
    """Load the agent of a job, or one of its snapshots."""
    if snapshot is None:
        return make_agent(job.folder, runner, device=job.device)
    macro_actions = MacroActions(runner.actions.space, runner.task.can_stop)
    if job.agent == "ppo":
        return PolicyAgent.load(
            job.folder, runner.observation_space, macro_actions, 0, job.device, str(snapshot.relative_to(job.folder))
        )
    net = load_net(snapshot, runner.observation_space, job.device)
    return Mapper(net, macro_actions, runner.spec.fov[0], ARRIVAL * runner.task.rules.success_radius)  # type: ignore[attr-defined]


def baseline(name: str, runner: EpisodeRunner) -> Agent:
    """Make an agent that learned nothing; ``untrained`` is a mapper whose network has never seen a frame."""
    if name != "untrained":
        return make_agent(name, runner)
    torch.manual_seed(0)
    macro_actions = MacroActions(runner.actions.space, runner.task.can_stop)
    net = FreeSpaceNet(runner.spec.frame_size).eval()
    return Mapper(net, macro_actions, runner.spec.fov[0], ARRIVAL * runner.task.rules.success_radius)  # type: ignore[attr-defined]


def curve(job: Job, runner: EpisodeRunner, count: int) -> list[dict[str, float]]:
    """Success and SPL in the game after every snapshot."""
    points = []
    for path in sorted((Path(job.folder) / "snapshots").glob("*.safetensors")):
        found = play(runner, trained(job, runner, path), count)
        frames = int(path.stem) * runner.spec.step_frames
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

    agents = list(dict.fromkeys(run["agent"] for run in report["runs"]))
    figure, panels = plt.subplots(1, len(agents), figsize=(6.2 * len(agents), 4.2), squeeze=False, sharey=True)
    for agent, axes in zip(agents, panels[0], strict=True):
        for arm in report["arms"]:
            curves = [run["curve"] for run in report["runs"] if (run["agent"], run["arm"]) == (agent, arm)]
            shortest = min(len(points) for points in curves)
            frames = [point["frames"] for point in curves[0][:shortest]]
            values = np.array([[point["spl"] for point in points[:shortest]] for points in curves])
            (line,) = axes.plot(frames, values.mean(0), marker="o", label=f"trained in {arm}")
            axes.fill_between(frames, values.min(0), values.max(0), alpha=0.2, color=line.get_color())
        for name, style in zip(BASELINES, (":", (0, (1, 6)), "--", "-."), strict=True):
            level = report["baselines"]["detour"][name]["spl"]["mean"]
            axes.axhline(level, color="grey", linestyle=style, label=name)
        axes.set_xlabel("frames of training")
        axes.set_title(f"{agent}: mean over seeds, band from least to most")
        axes.legend(fontsize=8)
    panels[0][0].set_ylabel("SPL in the real game, held-out maps, blocked goals")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def show(report: dict[str, Any]) -> None:
    """Print the table."""
    for held_out in report["table"]:
        print(f"\n{held_out}: real game")
        for name, found in report["baselines"][held_out].items():
            values = "  ".join(f"{key} {found[key]['mean']:.3f}" for key in MEASURES)
            print(f"  {name:<24}{values}")
        for arm, found in report["table"][held_out].items():
            values = "  ".join(f"{key} {found[key]['mean']:.3f}+-{found[key]['std']:.3f}" for key in MEASURES)
            print(f"  {arm:<24}{values}")
    for name, value in report["ratios"].items():
        print(f"{name}: {value:.2f}")


def main() -> None:
    """Train, evaluate, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/agents_pointgoal"), help="without suffix")
    parser.add_argument("--steps", type=int, default=40_960, help="environment steps per training, four frames each")
    parser.add_argument("--mapper-steps", type=int, default=32_768, help="the same for the mapper")
    parser.add_argument("--updates", type=int, default=6_400, help="gradient steps of the mapper")
    parser.add_argument("--cloning", type=float, default=0.7, help="share of the steps that imitate, before PPO")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--worlds", type=int, default=128, help="that step together")
    parser.add_argument("--horizon", type=int, default=32)
    parser.add_argument("--snapshots", type=int, default=6, help="points of a learning curve")
    parser.add_argument("--maps", type=int, default=512, help="training maps")
    parser.add_argument("--episodes", type=int, default=192, help="held-out episodes of the final evaluation")
    parser.add_argument("--curve-episodes", type=int, default=64, help="of them, for every point of the curves")
    parser.add_argument("--jobs", type=int, default=3, help="trainings at the same time")
    parser.add_argument("--game-workers", type=int, default=8, help="processes that render for every training")
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    parser.add_argument("--agents", nargs="+", choices=AGENTS, default=list(AGENTS))
    parser.add_argument("--trained", type=Path, help="folder of a mapper to evaluate instead of training any")
    parser.add_argument("--keep", type=Path, help="folder for episodes and agents; a temporary one by default")
    arguments = parser.parse_args()
    arguments.device = resolve_device(arguments.device)
    began, facts = time.perf_counter(), provenance()

    def say(text: str) -> None:
        print(f"{time.perf_counter() - began:5.0f} s  {text}", flush=True)

    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        files = datasets(folder, arguments.maps, arguments.episodes, arguments.trained is None)
        say("episodes built")
        runs = []
        if arguments.trained is not None:
            runs.append(evaluated(arguments.trained, files, arguments))
            arguments.agents, arguments.arms = ["mapper"], [runs[0]["arm"]]
            say(f"mapper of {arguments.trained}: SPL {runs[0]['final']['detour']['spl']['mean']:.3f}")
        work = [] if arguments.trained else jobs(arguments, folder, files)
        with ProcessPoolExecutor(arguments.jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
            for job, found in zip(work, pool.map(run_job, work), strict=True):
                runs.append({"agent": job.agent, "arm": job.arm, "config": asdict(job.config), **found})
                spl, spent = found["final"]["detour"]["spl"]["mean"], found["log"][-1]["seconds"]
                say(f"{job.agent} in {job.arm}, seed {job.config.seed}: trained {spent:.0f} s, SPL {spl:.3f}")
        game = load_world("freedoom_game", workers=os.cpu_count() or 1)
        runners = {name: game_episodes(game, str(files[name])) for name in SETS}
        baselines = {
            name: {agent: play(runner, baseline(agent, runner), arguments.episodes) for agent in BASELINES}
            for name, runner in runners.items()
        }
        game.close()  # type: ignore[attr-defined]
    kinds = [(agent, arm) for agent in arguments.agents for arm in arguments.arms]
    table, ratios = {}, {}
    for name in SETS:
        found = {kind: over_seeds([run for run in runs if (run["agent"], run["arm"]) == kind], name) for kind in kinds}
        table[name] = {f"{agent} in {arm}": values for (agent, arm), values in found.items()}
        for agent, arm in kinds:
            there = found[(agent, "game")]["spl"]["mean"] if (agent, "game") in found else 0.0
            if arm != "game" and there > 0:
                ratios[f"{name}: SPL of {agent} in {arm} / game"] = found[(agent, arm)]["spl"]["mean"] / there
    report = {
        "provenance": facts,
        "arms": arguments.arms,
        "settings": {name: str(value) for name, value in vars(arguments).items()},
        "seconds": time.perf_counter() - began,
        "baselines": baselines,
        "table": table,
        "ratios": ratios,
        "runs": runs,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    write_json(arguments.out.with_suffix(".json"), report)
    if any(run["curve"] for run in runs):
        draw(report, arguments.out.with_suffix(".png"))
    show(report)


if __name__ == "__main__":
    main()
