"""Host time of a step: what the vector environment costs beside the model, part by part.

    python benchmarks/host_time.py --base WORKTREE --out benchmarks/host_time.json

The environment, planner, motions, tasks and infos are the real ones; the model is not. `HostWorld` is the freedoom
world with micro-batches as on a GPU whose passes return their inputs, so that what remains is the work of the host.
Where the map is known, motions stop at its walls; finding out where is left out of the time. Latents are one number
each, because a GPU would copy them, and frames are tiny with ``device`` observations; with ``host`` observations frames
have their size. Two workers, one per source tree, hold the same environments and step in turn. The clocks count
processor time of one thread, because a shared machine has other work as well. ``environment`` is what the engine's
stages leave. ``--profile`` prints where one cell spends its time; ``--equal`` compares what steps return.
"""

from __future__ import annotations

import argparse
import cProfile
import hashlib
import json
import os
import pstats
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
STAGES = ("motion", "plan", "generate", "decode")
PARTS = (*STAGES, "environment")
SIZES = (8, 128, 512)
WARM_STEPS = 14
"""Steps before the clock starts: histories are long enough for retrieval to search."""


def cells(sizes: list[int]) -> list[dict[str, Any]]:
    """Return what is measured: task, preset, observations, scan or none, number of envs."""
    plain = [
        {"task": task, "preset": preset, "observations": "device", "grounded": False}
        for task in ("pointgoal", "explore")
        for preset in ("off", "all")
    ]
    more = [
        {"task": "pointgoal", "preset": "all", "observations": "host", "grounded": False},
        {"task": "pointgoal", "preset": "off", "observations": "device", "grounded": True},
        {"task": "pointgoal", "preset": "all", "observations": "device", "grounded": True},
        {"task": "explore", "preset": "all", "observations": "device", "grounded": True},
    ]
    return [{**cell, "envs": size} for size in sizes for cell in (*plain, *more)]


def host_world(small: bool) -> Any:
    """Return the freedoom world without its model; with ``small`` frames of 12 x 16 pixels."""
    import numpy as np
    import torch

    from li_env.accel.grouping import equal_groups
    from li_env.worlds.freedoom import world as freedoom
    from li_env.worlds.freedoom.batching import GPU_MICRO_BATCHES
    from li_env.worlds.freedoom.sizes import SMALL
    from li_env.worlds.freedoom.weights import weights_folder

    def micro_batch_size(num_envs: int, device: Any) -> int:
        return next((size for size in GPU_MICRO_BATCHES if num_envs <= size), GPU_MICRO_BATCHES[-1])

    freedoom.micro_batch_size = micro_batch_size

    @dataclass(frozen=True, eq=False)
    class Scene(freedoom.FreedoomScene):
        map_seed: int | None = None

    class HostWorld(freedoom.FreedoomWorld):
        excluded = 0.0

        def __init__(self) -> None:
            super().__init__(torch.device("cpu"), weights_folder(SMALL, None), "float32", "plain")
            size = (12, 16) if small else self.spec.frame_size
            self.spec = replace(self.spec, latent_shape=(1, 1, 1), frame_size=size)

        def start(self, images: Any, prompts: Any) -> Any:
            maps = [int(prompt.removeprefix("map ")) if prompt else None for prompt in prompts]
            return [Scene(torch.zeros(self.spec.latent_shape), each) for each in maps]

        def feasible_motions(self, requests: Any) -> Any:
            began = time.process_time()
            maps = [request.scene.map_seed for request in requests]
            if None not in maps:
                requests = list(requests)
                for rows in equal_groups([len(request.motions) for request in requests]):
                    own = [requests[row] for row in rows]
                    poses, motions = np.stack([each.pose for each in own]), [each.motions for each in own]
                    walked = self.ground_truth.walk([maps[row] for row in rows], poses, motions)
                    for row, realised in zip(rows, walked, strict=True):
                        requests[row] = replace(requests[row], motions=realised)
            HostWorld.excluded += time.process_time() - began
            return super().feasible_motions(requests)

        def encode(self, frames: Any) -> Any:
            return torch.zeros(len(frames), *self.spec.latent_shape)

        def encoder_key(self) -> str:
            return ""

        def _run(self, key: Any, function: Any, *inputs: Any) -> Any:
            if key == "decode":
                return torch.zeros(len(inputs[0]), *self.spec.frame_size, 3, dtype=torch.uint8)
            return inputs[2] if key == "motion" else inputs[0].clone()

    return HostWorld()


SCANS = 64
"""Scans that grounded episodes share."""


def houses() -> list[Any]:
    """Return scans of 256 views: 8 headings at spots 2.5 m from each other, every scan in another grey."""
    import numpy as np

    from li_env.accel.geometry.camera import CameraMotion, follow_many, motion_table
    from li_env.scans.scan import Scan

    starts = np.tile(np.eye(4), (32, 1, 1))
    starts[:, 0, 3], starts[:, 2, 3] = np.arange(32) % 6 * 2.5, np.arange(32) // 6 * 2.5
    turns = motion_table([[CameraMotion(yaw=45.0)] * 8] * 32)
    poses = follow_many(starts, turns).reshape(-1, 4, 4)
    return [Scan(np.full((len(poses), 96, 128, 3), 64 + number, dtype=np.uint8), poses) for number in range(SCANS)]


def count_processor_time(world: Any) -> None:
    """Let all clocks, also those of the engine's stages, count processor time without what the world leaves out."""
    time.perf_counter = lambda: time.process_time() - world.excluded


def _flat(value: Any) -> Iterator[bytes]:
    """Yield the bytes of nested values, types included."""
    if isinstance(value, dict):
        for key in sorted(value):
            yield from _flat([key, value[key]])
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _flat(each)
    elif hasattr(value, "dtype") and str(value.dtype) != "object":
        array = value if hasattr(value, "tobytes") else value.numpy()
        yield f"{value.dtype}{tuple(value.shape)}".encode() + array.tobytes()
    elif hasattr(value, "tolist"):
        yield from _flat(value.tolist())
    else:
        yield f"{type(value).__name__} {value!r}".encode()


class Worker:
    """Environment of one cell in one source tree."""

    def __init__(self, cell: dict[str, Any]) -> None:
        import numpy as np

        from li_env.vector_env import LightInteractionVectorEnv

        device = cell["observations"] == "device"
        scan = {"scans": houses()} if cell["grounded"] else {}
        self.env = LightInteractionVectorEnv(
            *(cell["envs"],), world=host_world(device), task=cell["task"], preset=cell["preset"], device_obs=device,
            timings=True, max_episode_steps=1000, autoreset_mode="SameStep", **scan,
        )  # fmt: skip
        count_processor_time(self.env.world)
        self._rng = np.random.default_rng(0)
        self.env.reset(seed=0)
        self.steps(WARM_STEPS)

    def action(self) -> Any:
        """Draw an action each: forward mostly, with turns, as an agent walks."""
        return self._rng.choice([1, 1, 1, 5, 6, 7, 8, 2], size=self.env.num_envs)

    def digests(self, count: int) -> list[str]:
        """Step, and return a digest of everything that each step returns but times, and of the plans in words."""
        found = []
        for _ in range(count):
            action = self.action()
            if isinstance(self.env.stop_action, int):
                action[self._rng.random(self.env.num_envs) < 0.02] = self.env.stop_action
            digest = hashlib.sha256()
            *outcome, infos = self.env.step(action)
            times = [key for key in infos if "milliseconds" in key]
            for value in _flat([*outcome, {key: infos[key] for key in infos if key not in times}, self.env.plans]):
                digest.update(value)
            found.append(digest.hexdigest()[:16])
        return found

    def steps(self, count: int) -> list[dict[str, float]]:
        """Step, and return milliseconds by part of each step."""
        found = []
        for _ in range(count):
            action = self.action()
            began = time.perf_counter()
            infos = self.env.step(action)[-1]
            total = 1000 * (time.perf_counter() - began)
            parts = {stage: float(infos[f"milliseconds_{stage}"].sum()) for stage in STAGES}
            found.append({"total": total, **parts, "environment": total - sum(parts.values())})
        return found


def serve() -> None:
    """Answer lines of JSON: a cell makes its environment, a number steps it so often, a negative one for digests."""
    worker: Worker | None = None
    for line in sys.stdin:
        asked = json.loads(line)
        if isinstance(asked, dict):
            worker = Worker(asked)
            print(json.dumps("ready"), flush=True)
        else:
            assert worker is not None
            print(json.dumps(worker.steps(asked) if asked > 0 else worker.digests(-asked)), flush=True)


class Remote:
    """Worker process on a source tree."""

    def __init__(self, tree: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, str(Path(__file__).resolve()), "--serve"]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment, cwd=tree)

    def ask(self, what: Any) -> Any:
        """Send a line and wait for the answer."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def medians(steps: list[dict[str, float]]) -> dict[str, float]:
    """Return the median milliseconds of every part."""
    return {key: round(statistics.median(step[key] for step in steps), 2) for key in ("total", *PARTS)}


def measure(cell: dict[str, Any], trees: dict[str, Path], rounds: int, each: int) -> dict[str, Any]:
    """Measure one cell in all trees, which take turns."""
    remotes = {name: Remote(tree) for name, tree in trees.items()}
    try:
        for remote in remotes.values():
            remote.ask(cell)
        found: dict[str, list[dict[str, float]]] = {name: [] for name in trees}
        for number in range(rounds):
            order = list(remotes.items())
            for name, remote in order if number % 2 else order[::-1]:
                found[name] += remote.ask(each)
    finally:
        for remote in remotes.values():
            remote.close()
    row = {**cell, **{name: medians(steps) for name, steps in found.items()}}
    if "before" in row:
        row["ratio"] = round(row["before"]["total"] / row["after"]["total"], 2)
    return row


def compare(cell: dict[str, Any], trees: dict[str, Path], count: int) -> int:
    """Return how many of ``count`` steps differ between the trees in anything that they return but times."""
    answers = []
    for tree in trees.values():
        remote = Remote(tree)
        remote.ask(cell)
        answers.append(remote.ask(-count))
        remote.close()
    return sum(one != two for one, two in zip(*answers, strict=True))


def profile(cell: dict[str, Any], count: int, order: str) -> None:
    """Print the functions in which one cell spends its time."""
    worker = Worker(cell)
    print(medians(worker.steps(4)))
    record = cProfile.Profile(time.process_time)
    record.runcall(worker.steps, count)
    pstats.Stats(record).sort_stats(order).print_stats(60)


def main(argv: list[str] | None = None) -> int:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, help="source tree of the older commit; without it only this tree")
    parser.add_argument("--envs", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--each", type=int, default=3, help="steps of a worker in a round")
    parser.add_argument("--only", default="", help="keep cells whose description has this text, such as 'explore all'")
    parser.add_argument("--out", type=Path)
    parser.add_argument(
        "--equal", type=int, help="compare what so many steps return in both trees, and measure nothing"
    )
    parser.add_argument("--profile", choices=("tottime", "cumtime"), help="order of the functions")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.serve:
        serve()
        return 0
    wanted = [
        cell
        for cell in cells(arguments.envs)
        if all(word in [*map(str, cell.values()), "scan" if cell["grounded"] else "plain"]
               for word in arguments.only.split())
    ]  # fmt: skip
    if arguments.profile:
        profile(wanted[0], arguments.each, arguments.profile)
        return 0
    from provenance import provenance

    from li_env.files import write_json

    if arguments.equal:
        differing = 0
        for cell in wanted:
            count = compare(cell, {"before": arguments.base.resolve(), "after": ROOT}, arguments.equal)
            print(json.dumps({**cell, "steps": arguments.equal, "differing": count}), flush=True)
            differing += count
        return int(differing > 0)
    trees = {**({"before": arguments.base.resolve()} if arguments.base else {}), "after": ROOT}
    made = provenance()
    rows = []
    for cell in wanted:
        rows.append(measure(cell, trees, arguments.rounds, arguments.each))
        print(json.dumps(rows[-1]), flush=True)
        if arguments.out:
            base = subprocess.run(
                ["git", "-C", str(arguments.base), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
            ).stdout.strip() if arguments.base else None  # fmt: skip
            note = "processor milliseconds per step; the machine is shared, both trees step in turn"
            write_json(arguments.out, {"note": note, "base": base, "provenance": made, "cells": rows})
    return 0


if __name__ == "__main__":
    sys.exit(main())
