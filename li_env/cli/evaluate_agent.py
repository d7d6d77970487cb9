"""``li-env evaluate agent``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Arguments:
    """Let an agent play episodes in a world and print Habitat's measures; best in the real game, freedoom_game."""

    agent: str
    """random, wanderer, seeker (walks straight to the goal), expert (sees the map), planner (tries in forks), or the
    folder of a trained agent."""
    world: str = "freedoom_game"
    """World by name (see li-env worlds)."""
    task: str = "pointgoal"
    """explore, pointgoal or imagegoal."""
    dataset: Path | None = None
    """File of navigation episodes; the world's own by default."""
    scans: Path | None = None
    """Folder of scans in which the episodes take place, each in that of its map (li-env scan build --dataset)."""
    episodes: int = 64
    """Number of episodes: the first ones of the dataset, or drawn from the seed in a task without one."""
    max_steps: int = 32
    """Steps until an episode is cut."""
    preset: str = "off"
    """Acceleration preset: name, YAML file or {key: value, ...}."""
    seed: int = 0
    """Seed of noise and choices."""
    greedy: bool = False
    """Trained agents take the most likely macro action instead of drawing."""
    batch: int = 64
    """Most episodes that step together; changes nothing but the speed."""
    device: str = "auto"
    """auto, cpu or cuda."""
    out: Path | None = None
    """JSON file for the measures of every episode and their summary."""


def run(arguments: Arguments) -> None:
    """Play, print, write."""
    from rich.console import Console
    from rich.table import Table

    from li_env.agents.base import ACTION_SPACE
    from li_env.agents.evaluate import evaluate, summarise
    from li_env.agents.registry import make_agent
    from li_env.cli._output import progress_display
    from li_env.env import LightInteractionEnv
    from li_env.files import check_file, write_json
    from li_env.tasks.navigation import Navigation
    from li_env.validation import MOST_SEED, check_whole
    from li_env.worlds.registry import resolve_device

    limits = {"episodes": (1, 10**6), "max_steps": (1, 10**6), "batch": (1, 10**6), "seed": (0, MOST_SEED)}
    for name, (least, most) in limits.items():
        check_whole(name, getattr(arguments, name), least, most)
    if arguments.out is not None:
        check_file("out", arguments.out)
    device = resolve_device(arguments.device)
    env = LightInteractionEnv(
        arguments.world, arguments.preset, ACTION_SPACE, "frame", device=device, task=arguments.task,
        dataset=arguments.dataset, scans=arguments.scans,
    )  # fmt: skip
    agent = make_agent(arguments.agent, env, arguments.seed, arguments.greedy, device)
    count = arguments.episodes
    options: list[dict[str, Any]] = [{}] * count
    if isinstance(env.task, Navigation) and env.task.dataset is not None:
        count = min(count, len(env.task.dataset.episodes))
        options = [{"episode": index} for index in range(count)]
    with progress_display() as bars:
        task = bars.add_task("episodes", total=count)
        rows = evaluate(
            env,
            agent,
            options,
            arguments.max_steps,
            arguments.seed,
            arguments.batch,
            on_episodes=lambda ended: bars.advance(task, ended),
        )
    summary = summarise(rows)
    table = Table("measure", "mean", "95 % interval", caption=f"{count} episodes in {arguments.world}")
    for name in rows[0]:
        low, high = summary[name]["interval"]
        table.add_row(name, f"{summary[name]['mean']:.3f}", f"{low:.3f} to {high:.3f}")
    Console().print(table)
    if arguments.out is not None:
        write_json(arguments.out, {"agent": arguments.agent, "world": arguments.world, "task": arguments.task,
                                   "preset": arguments.preset, "seed": arguments.seed, "summary": summary,
                                   "episodes": rows})  # fmt: skip
        print(f"wrote {arguments.out}")
