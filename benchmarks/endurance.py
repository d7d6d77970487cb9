"""Ten thousand steps of the freedoom world on a CPU: memory, file descriptors and threads must stay as they are.

    python benchmarks/endurance.py --steps 10000 --out benchmarks/endurance_cpu.json

A vector environment of a few worlds takes random actions; between steps random worlds are reset, forked, saved and put
back, as training code does. A step counts once per world. Memory is what the kernel reports (VmRSS), without any help.
The file is written anew with every sample, so that a run that is cut off has said how far it came.
Exits with 1 if memory still grows after the first fifth by more than ``GROWTH_MIB``, or descriptors or threads change.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from on_device import resident_mib
from provenance import provenance

import li_env  # noqa: F401  registers the ids
from li_env.files import write_json

GROWTH_MIB = 16.0


def status() -> dict[str, float]:
    """Count resident memory in MiB, open file descriptors and threads of this process (Linux)."""
    return {
        "resident_mib": round(resident_mib(trim=False), 1),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "threads": len(list(Path("/proc/self/task").iterdir())),
    }


def disturb(env: Any, rng: np.random.Generator, saved: list[Any]) -> None:
    """Reset, fork, save or restore some envs."""
    worlds = env.num_envs
    if rng.random() < 0.3:
        mask = rng.random(worlds) < 0.5
        if mask.any():
            env.reset(seed=int(rng.integers(2**31)), options={"reset_mask": mask})
    if rng.random() < 0.2:
        env.fork(int(rng.integers(worlds)), int(rng.integers(worlds)))
    if rng.random() < 0.2:
        saved[:] = [*env.save_state([int(rng.integers(worlds))]), *saved][:4]
    if saved and rng.random() < 0.2:
        env.restore_state([saved[int(rng.integers(len(saved)))]], [int(rng.integers(worlds))])


def judged(samples: list[dict[str, float]]) -> tuple[float, bool]:
    """Return the growth of memory [MiB] after a fifth of the samples, and if descriptors and threads are constant."""
    settled = samples[len(samples) // 5 :]
    growth = max(each["resident_mib"] for each in settled) - settled[0]["resident_mib"]
    return growth, all(len({each[key] for each in settled}) == 1 for key in ("descriptors", "threads"))


def main() -> None:
    """Run, write, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--worlds", type=int, default=4)
    parser.add_argument("--world", default="freedoom")
    parser.add_argument("--preset", default="all")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/endurance_cpu.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    env = gymnasium.make_vec(
        "LightInteraction/PointGoal-v0", arguments.worlds, vectorization_mode="vector_entry_point",
        world=arguments.world, preset=arguments.preset, observation="frame", device="cpu", max_episode_steps=16,
    )  # fmt: skip
    env.action_space.seed(0)
    env.reset(seed=0)
    given = {name: getattr(arguments, name) for name in ("world", "preset", "worlds", "threads")}
    facts = {"provenance": provenance(), **given}
    rng, saved, samples, began = np.random.default_rng(0), [], [], time.perf_counter()
    every = max(1, arguments.steps // 50)
    for step in range(0, arguments.steps, arguments.worlds):
        disturb(env, rng, saved)
        env.step(env.action_space.sample())
        if step // every != (step + arguments.worlds) // every:
            samples.append({"steps": step + arguments.worlds, **status()})
            print(samples[-1], flush=True)
            growth, constant = judged(samples)
            report = {
                **facts,
                "seconds": round(time.perf_counter() - began, 1),
                "growth_mib_after_the_first_fifth": round(growth, 1),
                "descriptors_and_threads_constant": constant,
                "samples": samples,
            }
            write_json(arguments.out, report)
    env.close()
    sys.exit(0 if growth <= GROWTH_MIB and constant else 1)


if __name__ == "__main__":
    main()
