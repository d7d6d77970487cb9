"""Run a command, kill it (SIGKILL) at points spread over all that it does with files, run it again, look at the folder.

``python -m tests.li_env.cli.kill_points FOLDER`` ends with a line of JSON: what is wrong by command, nothing if all is
well. Every run is a fork of this process, which has only imported things: no run pays for the imports.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # an optimiser would import it, slowly, in every run

from li_env.agents.ppo import train as _train  # noqa: F401 - what a run would import
from li_env.cli import train_world as _train_world  # noqa: F401
from li_env.files import WRITING, read_json
from li_env.recording import read_video
from li_env.tensor_files import open_tensors
from li_env.worlds.common import game
from li_env.worlds.common.transformer import TransformerConfig
from li_env.worlds.freedoom.dynamics import LATENT_CHANNELS, DynamicsModel
from li_env.worlds.freedoom.geometry import FEATURES
from li_env.worlds.freedoom.sizes import SMALL
from li_env.worlds.freedoom.training import run as training_run
from li_env.worlds.freedoom.training.data import Trajectories
from li_env.worlds.registry import register_world
from tests.analytic_world import AnalyticWorld
from tests.forks import run_in_fork

EVENTS = ("open", "os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.chmod", "os.truncate")

AGENT = "world: analytic\nsteps: 24\nworlds: 2\nhorizon: 4\nbatch_size: 8\nepochs: 1\nmax_episode_steps: 4\n"
WORLD = """\
data: {maps: 2, length: 24, validation_length: 24}
autoencoder: {steps: 1, batch: 2}
dynamics: {steps: 3, batch: 1, draws: 1, save_seconds: 0.001}
motion: {steps: 1, batch: 2, held_out_samples: 2}
stages: [autoencoder, dynamics, motion]
"""
COMMANDS = {
    "rollout": ["rollout", "--world", "analytic", "--trajectory", "w-8", "--compare", "off", "--out", "OUT"],
    "evaluate agent": ["evaluate", "agent", "--agent", "random", "--world", "analytic", "--episodes", "1",
                       "--max-steps", "2", "--out", "OUT/result.json"],
    "train agent": ["train", "agent", "--config", "agent.yaml", "--device", "cpu", "--out", "OUT"],
    "train world": ["train", "world", "--config", "world.yaml", "--device", "cpu", "--out", "OUT"],
}  # fmt: skip
POINTS = {"rollout": 5, "evaluate agent": 4, "train agent": 4, "train world": 4}


def rendered(*arguments: Any) -> tuple[Trajectories, Trajectories]:
    """Make trajectories of noise instead of the game's; the last argument but one converts the frames to learn from."""
    convert = arguments[-2]
    generator = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 256, (2, 24, 96, 128, 3), generator=generator, dtype=torch.uint8)
    poses, motions = torch.rand(2, 24, 3, generator=generator), torch.rand(2, 23, 3, generator=generator)
    tried = torch.zeros(2, 24, 0, 4, 3)
    rest = poses, motions, motions, torch.zeros(2).numpy(), frames[:, :0], poses[:, :0], tried, tried
    return Trajectories(convert(frames.clone()), *rest), Trajectories(frames, *rest)


def small_model(grid: tuple[int, int] = SMALL.token_grid) -> DynamicsModel:
    """Make a transformer that takes no time."""
    config = TransformerConfig(LATENT_CHANNELS + FEATURES, LATENT_CHANNELS, 64, 1, 2, modulation="shared")
    return DynamicsModel(config, grid)


def mistakes(folder: Path) -> list[str]:
    """List the files of ``folder`` that are half written."""
    wrong = []
    for path in folder.rglob("*"):
        if not path.is_file() or any(part.startswith(WRITING) for part in path.parts):
            continue
        try:
            if path.suffix == ".json":
                read_json(path, "file")
            elif path.suffix == ".safetensors":
                open_tensors(path)
            elif path.suffix == ".pt":
                torch.load(path, weights_only=True)
            elif path.suffix == ".mp4":
                read_video(path)
        except Exception as error:
            wrong.append(f"{path.name}: {error}")
    return wrong


def kept(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def check(command: str, folder: Path, points: int) -> list[str]:
    """Everything that went wrong."""
    folder.mkdir()
    (folder / "agent.yaml").write_text(AGENT)
    (folder / "world.yaml").write_text(WORLD)
    os.chdir(folder)
    counter = folder / "count"

    def words(out: Path) -> list[str]:
        return [word.replace("OUT", str(out)) for word in COMMANDS[command]]

    whole = folder / "whole"
    if run_in_fork(words(whole), whole, EVENTS, 0, counter):
        return ["the run without a kill failed"]
    events, wrong = int(counter.read_text()), []
    for point in range(points):
        number = 1 + point * (events - 1) // max(1, points - 1)
        out = folder / f"killed{number}"
        if not os.WIFSIGNALED(run_in_fork(words(out), out, EVENTS, number, counter)):
            wrong.append(f"event {number} of {events}: not killed")
        wrong += [f"event {number} of {events}: {each}" for each in mistakes(out)]
        if run_in_fork(words(out), out, EVENTS, 0, counter):
            wrong.append(f"event {number} of {events}: the run after it failed")
        wrong += [f"after event {number} of {events}: {each}" for each in mistakes(out)]
        if kept(out) != kept(whole):
            wrong.append(f"after event {number} of {events}: {sorted(kept(out) ^ kept(whole))}")
        for log in out.glob("log.jsonl"):
            entries = [json.loads(line) for line in log.read_text().splitlines()]
            steps = [entry["steps"] for entry in entries if "steps" in entry]
            if steps != sorted(set(steps)):
                wrong.append(f"after event {number} of {events}: the log has steps {steps}")
    return wrong


if __name__ == "__main__":
    torch.set_num_threads(1)
    register_world("analytic", lambda device, weights: AnalyticWorld(device), "for this test")
    training_run.render = rendered  # type: ignore[assignment]
    training_run.quick_measures = lambda *_: {}  # type: ignore[assignment]
    training_run.DynamicsModel = small_model  # type: ignore[assignment,misc]
    training_run.MODELS["dynamics"] = small_model
    # These two write nothing while they run.
    training_run.train_autoencoder = training_run.train_motion = lambda model, *_: model  # type: ignore[assignment]
    game.require_game = lambda purpose: None
    sys.stdout.flush()
    found = {command: check(command, Path(sys.argv[1], command), points) for command, points in POINTS.items()}
    print(f"\n{json.dumps(found)}")
