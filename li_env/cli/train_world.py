"""``li-env train world``: the training that made the shipped weights of the freedoom world."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

MOST_WORKERS = 1024
"""Processes that may be asked for."""

NEEDED = ("autoencoder", "dynamics", "motion")
"""Stages without which there is no world; the others improve it."""


@dataclass(frozen=True)
class Arguments:
    """Train the freedoom world (needs the extra doom and, to be of use, a large GPU).

    Renders its own data. Run it again with the same folder and configuration to go on after an interruption. On several
    GPUs: torchrun --nproc-per-node 2 --no-python li-env train world ...
    """

    config: Path
    """YAML file with the settings of all stages, such as configs/train/freedoom.yaml."""
    out: Path
    """Folder for log.jsonl, one file per finished stage and, at the end, the folder weights; made if needed."""
    device: str = "auto"
    """auto, cpu or cuda."""
    workers: int | None = None
    """Processes that render; one per core by default."""


def run(arguments: Arguments) -> None:
    """Train, stage after stage."""
    from li_env.files import check_folder
    from li_env.validation import check_whole

    if arguments.workers is not None:
        check_whole("workers", arguments.workers, 1, MOST_WORKERS)
    check_folder("out", arguments.out)

    import torch

    from li_env.worlds.common.game import require_game
    from li_env.worlds.freedoom.training.run import TrainConfig, train_world
    from li_env.worlds.freedoom.weights import export_weights
    from li_env.worlds.registry import resolve_device

    config = TrainConfig.read(arguments.config)
    device = torch.device(resolve_device(arguments.device))
    require_game("training the freedoom world")
    with _bars() as bars:
        train_world(config, arguments.out, device, arguments.workers, StageBars(bars).show)
    if int(os.environ.get("RANK", "0")):
        return  # torchrun's first process writes and tells
    missing = [name for name in NEEDED if not (arguments.out / f"{name}.safetensors").is_file()]
    if missing:
        print(f"no weights to use yet: the stages {', '.join(missing)} were left out")
        return
    export_weights(arguments.out, arguments.out / "weights")
    print(f"weights for --weights: {arguments.out / 'weights'}")


class StageBars:
    """One progress bar per stage, and a line for every held-out measurement."""

    def __init__(self, bars: Progress) -> None:
        self.bars = bars
        self.tasks: dict[str, TaskID] = {}

    def show(self, entry: dict[str, Any]) -> None:
        """Show a log entry of `train_world`."""
        stage = str(entry["stage"])
        if stage not in self.tasks:
            self.tasks[stage] = self.bars.add_task(stage, total=1.0)
        done = 1.0 if "fraction" not in entry and ("final" in entry or "step" not in entry) else entry.get("fraction")
        if done is not None:
            self.bars.update(self.tasks[stage], completed=done)
        measured = {key: value for key, value in entry.items() if "psnr" in key or "metres" in key}
        if measured:
            self.bars.console.print(f"{stage}: " + ", ".join(f"{key} {value:.3g}" for key, value in measured.items()))


def _bars() -> Progress:
    from rich.progress import Progress

    return Progress()
