"""Cells of freedoom_throughput.py: a number of envs under a preset, stepped at random or by a training with PPO."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from torch.autograd import DeviceType

import li_env  # noqa: F401  registers the ids
from li_env.accel.geometry.camera import CameraMotion, follow_many, motion_table
from li_env.accel.runtime.chunk import STAGES
from li_env.accel.runtime.requests import FIRST_MICRO_BATCH
from li_env.agents.ppo.config import PPOConfig
from li_env.agents.ppo.train import train
from li_env.infos import RegimeCode
from li_env.scans.scan import Scan
from li_env.tasks import EpisodeDataset
from li_env.vector_env import LightInteractionVectorEnv
from li_env.worlds.freedoom.world import FreedoomWorld

ID = "LightInteraction/Explore-v0"
WARM_UP = {"cuda": 12, "cpu": 6}
"""Chunks after which contexts are as long as they get; on a GPU also such that every shape has been captured."""

PROFILED = 3
"""Steps in which the work of the GPU is recorded."""

SPOTS = 32
"""Spots of a made-up scan, each with 8 views."""


def make(world: FreedoomWorld, worlds: int, **kwargs: Any) -> LightInteractionVectorEnv:
    """Make an environment without a time limit."""
    env = gymnasium.make_vec(
        ID, worlds, vectorization_mode="vector_entry_point", world=world, max_episode_steps=None, **kwargs
    )
    assert isinstance(env, LightInteractionVectorEnv)
    return env


def actions(worlds: int, steps: int, seed: int = 0) -> np.ndarray:
    """Draw actions, mostly ahead, sometimes turning: [steps, num_envs]."""
    return np.random.default_rng(seed).choice([1, 1, 1, 5, 6, 7, 8], (steps, worlds))


def synchronise(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def urgent(device: torch.device) -> Iterator[None]:
    """Let a GPU do the work inside before that of chunks, as a training does."""
    if device.type != "cuda":
        yield
        return
    with torch.cuda.stream(_urgent_stream(device)):
        yield
    torch.cuda.synchronize(device)


@cache
def _urgent_stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device, priority=-1)


class Groups:
    """Environments that step in flight; one of them steps as it is.

    Args:
        envs: the environments, on one world.
    """

    def __init__(self, envs: Sequence[LightInteractionVectorEnv]) -> None:
        self.envs = envs
        self._rows = np.split(np.arange(sum(env.num_envs for env in envs)), np.cumsum([env.num_envs for env in envs]))
        for env, rows in zip(envs, self._rows, strict=False):
            env.reset(seed=int(rows[0]))
        self._begun = False

    def step(self, row: np.ndarray) -> list[dict[str, Any]]:
        """Begin a step of every group after finishing the one before; returns the infos of what was finished."""
        infos = []
        for env, rows in zip(self.envs, self._rows, strict=False):
            if len(self.envs) == 1:
                return [env.step(row)[4]]
            if self._begun:
                infos.append(env.step_wait()[4])
            env.step_async(row[rows])
        self._begun = True
        return infos

    def close(self) -> None:
        """Finish what is begun and close the environments."""
        for env in self.envs:
            if self._begun:
                env.step_wait()
            env.close()


def measure(
    world: FreedoomWorld,
    worlds: int,
    preset: str,
    on_device: bool,
    seconds: float,
    halves: bool = False,
    scans: Sequence[Any] = (),
) -> dict[str, Any]:
    """Measure one cell: steps with random actions after a warm-up."""
    if world.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(world.device)
    sizes = [worlds - worlds // 2, worlds // 2] if halves else [worlds]
    words = {"preset": preset, "device_obs": on_device, "timings": True, **({"scans": list(scans)} if scans else {})}
    path, warm_up_steps = actions(worlds, 400), WARM_UP[world.device.type]
    stages: dict[str, list[float]] = {name: [] for name in STAGES}
    regimes: dict[str, int] = {}
    contexts: list[int] = []
    views: list[int] = []
    walls: list[float] = []
    with urgent(world.device):
        began = time.perf_counter()
        groups = Groups([make(world, size, **words) for size in sizes])
        for row in path[:warm_up_steps]:
            groups.step(row)
        synchronise(world.device)
        warm_up = time.perf_counter() - began
        began = time.perf_counter()
        for row in path[warm_up_steps:]:
            start = time.perf_counter()
            infos = groups.step(row)
            walls.append(time.perf_counter() - start)
            for name in STAGES:
                stages[name].append(float(sum(each[f"milliseconds_{name}"].sum() for each in infos)))
            for each in infos:
                for code in each["regime"]:
                    regime = RegimeCode(code).name.lower()
                    regimes[regime] = regimes.get(regime, 0) + 1
                contexts += each["context_latents"].tolist()
                views += each["scan_views"].tolist()
            if time.perf_counter() - began > seconds and len(walls) >= 3:
                break
        synchronise(world.device)
        wall = time.perf_counter() - began
        steps = len(walls)
        work = gpu_work(world, groups, path[-PROFILED:], statistics.median(walls))
        groups.close()
    per_stage = {name: round(statistics.mean(values), 2) for name, values in stages.items()}
    hidden = per_stage["plan"] * max(0.0, 1 - FIRST_MICRO_BATCH / worlds) if world.device.type == "cuda" else 0.0
    rest = {} if halves else {"environment": round(1000 * wall / steps - sum(per_stage.values()) + hidden, 2)}
    cell = {
        "worlds": worlds,
        "preset": preset,
        "observations": "device" if on_device else "host",
        **(
            {"halves": halves, "scans": len(scans), "mean_scan_views": round(statistics.mean(views), 2)}
            if scans
            else {}
        ),
        "frames_per_second": round(worlds * steps * world.spec.step_frames / wall, 1),
        "milliseconds_per_step": round(1000 * wall / steps, 2),
        "median_milliseconds": round(1000 * statistics.median(walls), 2),
        "median_frames_per_second": round(worlds * world.spec.step_frames / statistics.median(walls), 1),
        **work,
        "stages": {**per_stage, **rest},
        "planner_microseconds_per_world": round(1000 * per_stage["plan"] / worlds, 1),
        "mean_context_latents": round(statistics.mean(contexts), 2),
        "regimes": regimes,
        "steps": steps,
        "warm_up_seconds": round(warm_up, 2),
    }
    if world.device.type == "cuda":
        cell["peak_gpu_mib"] = round(torch.cuda.max_memory_allocated(world.device) / 2**20, 1)
    shown = ("preset", "worlds", "observations", "frames_per_second", "gpu_share", "stages")
    print({"halves": halves, "scans": len(scans), **{key: cell[key] for key in shown if key in cell}}, flush=True)
    return cell


def gpu_work(world: FreedoomWorld, groups: Groups, path: np.ndarray, seconds: float) -> dict[str, float]:
    """Measure how long the GPU works in a step, and which share that is of a step of ``seconds``; nothing on a CPU.

    torch's profiler records when kernels and copies run, in steps of their own, which it slows down; times in which
    several run count once. The share is of the median step that was not recorded.
    """
    if world.device.type != "cuda":
        return {}
    synchronise(world.device)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as recorded:
        for row in path:
            groups.step(row)
        synchronise(world.device)
    events = recorded.profiler.kineto_results.events()
    on_gpu = [event for event in events if event.device_type() == DeviceType.CUDA]
    busy = busy_time([(event.start_ns(), event.start_ns() + event.duration_ns()) for event in on_gpu]) / len(path) / 1e6
    return {"gpu_milliseconds": round(busy, 2), "gpu_share": round(busy / (1000 * seconds), 3)}


def busy_time(spans: Sequence[tuple[int, int]]) -> int:
    """Return the length of the union of spans (start, end)."""
    total = reached = 0
    for start, end in sorted(spans):
        total += max(0, end - max(start, reached))
        reached = max(reached, end)
    return total


def made_up_scans(count: int) -> list[Scan]:
    """Make up scans of 8 headings at `SPOTS` spots 2.5 m from each other, every scan in another grey."""
    starts = np.tile(np.eye(4), (SPOTS, 1, 1))
    starts[:, 0, 3], starts[:, 2, 3] = np.arange(SPOTS) % 6 * 2.5, np.arange(SPOTS) // 6 * 2.5
    poses = follow_many(starts, motion_table([[CameraMotion(yaw=45.0)] * 8] * SPOTS)).reshape(-1, 4, 4)
    return [Scan(np.full((len(poses), 96, 128, 3), 64 + number, dtype=np.uint8), poses) for number in range(count)]


class _EnoughError(Exception):
    """Raised to end a training whose rate is known."""


def ppo_loop(
    world: FreedoomWorld,
    worlds: int,
    preset: str,
    seconds: float,
    halves: bool,
    horizon: int = 32,
    scans: str = "",
    dataset: str | Path | EpisodeDataset | None = None,
) -> dict[str, Any]:
    """Measure the whole loop of a training on PointGoal, acting and learning included: the median over its updates.

    The first update does not count: graphs are captured there.
    """
    config = PPOConfig(
        task="pointgoal", preset=preset, scans=scans, steps=10**9, worlds=worlds, in_flight=2 if halves else 1,
        horizon=horizon, symmetric=True, max_episode_steps=32, snapshots=1,
    )  # fmt: skip
    entries: list[dict[str, Any]] = []
    began = time.perf_counter()

    def note(entry: dict[str, Any]) -> None:
        entries.append(entry)
        if time.perf_counter() - began > seconds and len(entries) > 2:
            raise _EnoughError

    with tempfile.TemporaryDirectory() as folder, suppress(_EnoughError):
        train(config, folder, dataset, world, str(world.device), note)
    spent = [after["seconds"] - before["seconds"] for before, after in pairwise(entries)]
    update, steps = statistics.median(spent), worlds * horizon
    cell = {
        "worlds": worlds,
        "preset": preset,
        "halves": halves,
        "scans": bool(scans),
        "frames_per_second": round(steps * world.spec.step_frames / update, 1),
        "steps_per_second": round(steps / update, 1),
        "seconds_per_update": round(update, 3),
        "steps_per_update": steps,
        "updates": len(spent),
        "config": {
            name: getattr(config, name) for name in ("horizon", "batch_size", "epochs", "recurrent", "symmetric")
        },
    }
    print(cell, flush=True)
    return cell
