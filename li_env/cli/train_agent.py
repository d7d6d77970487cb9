"""``li-env train agent``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from li_env.agents.cloning.config import BCConfig


@dataclass(frozen=True)
class Arguments:
    """Train an agent in a world, the learned one or the real game; again with the same folder to go on."""

    config: Path
    """YAML file with the settings, such as configs/agents/ppo_open.yaml or configs/agents/mapper.yaml."""
    out: Path
    """Folder for the weights, snapshots and log.jsonl."""
    dataset: Path | None = None
    """File of navigation episodes (li-env build episodes); the world's own by default."""
    world: str | None = None
    """Another world than the configuration's: freedoom or freedoom_game."""
    scans: Path | None = None
    """Folder of scans in which the episodes take place, each in that of its map (li-env scan build --dataset)."""
    preset: str | None = None
    """Another acceleration preset than the configuration's: name, YAML file or {key: value, ...}."""
    steps: int | None = None
    """Another number of environment steps than the configuration's; a step is one chunk of frames."""
    seed: int | None = None
    """Another seed than the configuration's."""
    device: str = "auto"
    """auto, cpu or cuda, for the world and the agent."""
    data: tuple[Path, ...] = ()
    """Folders of recorded datasets (li-env collect), for configs/agents/bc.yaml."""
    workers: int = 0
    """Processes that render the game (world freedoom_game); 0 renders in this one."""


def run(arguments: Arguments) -> None:
    """Train, with a progress bar."""
    from dataclasses import replace

    from li_env.accel.config import AccelConfig, preset_names
    from li_env.agents.cloning.config import BCConfig
    from li_env.agents.config import read_config
    from li_env.files import check_folder
    from li_env.validation import shown
    from li_env.worlds.registry import load_world, world_entry

    config = read_config(arguments.config)
    if isinstance(config, BCConfig):
        _clone(arguments, config)
        return
    if arguments.data:
        raise ValueError(
            f"data={shown(str(arguments.data[0]))} is of use with agent 'bc' only; allowed here: no --data"
        )
    given = {name: getattr(arguments, name) for name in ("world", "preset", "steps", "seed")}
    if arguments.scans is not None:
        given["scans"] = str(arguments.scans.absolute())
    config = replace(config, **{name: value for name, value in given.items() if value is not None})
    if arguments.workers and config.world != "freedoom_game":
        raise ValueError(f"workers={arguments.workers} is of use in world 'freedoom_game' only; allowed here: 0")
    check_folder("out", arguments.out)
    world_entry(config.world)
    preset = AccelConfig.of(config.preset)
    if config.preset not in preset_names():
        # What is stored with the agent must not depend on a file that may change.
        config = replace(config, preset=preset.to_dict())
    # Torch is imported here: what is wrong above is answered without the wait.
    from rich.console import Console

    from li_env.agents.registry import train
    from li_env.cli._held_out import held_out_note, maps_of
    from li_env.cli._output import progress_display
    from li_env.tasks import EpisodeDataset

    dataset = None if arguments.dataset is None else EpisodeDataset.read(arguments.dataset)
    options: dict[str, Any] = {"workers": arguments.workers} if arguments.workers else {}
    world = load_world(config.world, device=arguments.device, **options)
    console = Console(stderr=True)
    note = held_out_note(maps_of(world, None if dataset is None else dataset.episodes))
    if note is not None:
        print(note)
    with progress_display() as bars:
        task = bars.add_task(f"{config.task} in {config.world}", total=config.steps)

        def show(entry: dict[str, Any]) -> None:
            bars.update(task, completed=entry["steps"])
            shown = {name: entry[name] for name in ("agreement", "error", "return", "success", "spl") if name in entry}
            console.print(f"{entry['steps']:>9} steps  " + "  ".join(f"{k} {v:.3f}" for k, v in shown.items()))

        train(config, arguments.out, dataset, world, arguments.device, show)
    print(f"agent for --agent: {arguments.out}")


def _clone(arguments: Arguments, config: BCConfig) -> None:
    """Train by behaviour cloning, with a progress display."""
    from dataclasses import replace

    from li_env.cli._held_out import held_out_note, maps_of_data
    from li_env.cli._output import progress_display
    from li_env.files import check_folder
    from li_env.validation import shown_path

    refused = [name for name in ("dataset", "world", "scans", "preset", "steps", "workers") if getattr(arguments, name)]
    if refused:
        raise ValueError(f"{refused[0]} is of no use with agent 'bc'; allowed: data, seed, device")
    if not arguments.data:
        raise ValueError("data is missing; agent 'bc' learns from --data DIR, the folder of a recorded dataset")
    if arguments.seed is not None:
        config = replace(config, seed=arguments.seed)
    check_folder("out", arguments.out)
    from li_env.agents.cloning.train import train

    for folder in arguments.data:
        note = held_out_note(maps_of_data(folder), f"episodes in {shown_path(folder)}")
        if note is not None:
            print(note)
    with progress_display() as display:
        task = display.add_task("behaviour cloning", total=config.epochs)

        def show(entry: dict[str, Any]) -> None:
            display.update(task, completed=entry["epoch"], description=f"loss {entry['loss']:.3f}")

        train(config, arguments.out, arguments.data, arguments.device, show)
    print(f"agent for --agent: {arguments.out}")
