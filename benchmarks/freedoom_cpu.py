"""Speed and memory of the freedoom world on this machine's CPU, preset off, through the Gymnasium environment.

    python benchmarks/freedoom_cpu.py --chunks 500 --out benchmarks/freedoom_cpu.json

Writes frames per second, the same as a ratio to one matrix-multiply calibration (so that machines can be compared), and
the resident memory during the run.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from pathlib import Path

import gymnasium
import torch
from on_device import resident_mib
from provenance import provenance

import li_env  # noqa: F401  registers the ids
from li_env.files import write_json


def calibrate(size: int = 1024, repeats: int = 20) -> float:
    """Median GFLOP/s of a float32 matrix product."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    seconds = []
    for _ in range(repeats + 3):
        began = time.perf_counter()
        a @ b
        seconds.append(time.perf_counter() - began)
    return 2 * size**3 / statistics.median(seconds[3:]) / 1e9


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=500)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--preset", default="off")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/freedoom_cpu.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    facts = provenance()
    gflops = calibrate()
    env = gymnasium.make(
        "LightInteraction/Explore-v0", world="freedoom", preset=arguments.preset, max_episode_steps=arguments.chunks
    )
    env.reset(seed=0)
    env.action_space.seed(0)
    seconds, memory = [], []
    for chunk in range(arguments.chunks):
        began = time.perf_counter()
        env.step(env.action_space.sample())
        seconds.append(time.perf_counter() - began)
        if chunk % 25 == 24:
            memory.append(round(resident_mib(), 1))
    steady = statistics.median(seconds[6:])
    frames = env.unwrapped.world.spec.step_frames  # type: ignore[attr-defined]
    tenth = max(1, len(seconds) // 10)
    write_json(
        arguments.out,
        {
            "provenance": facts,
            "machine": platform.processor() or platform.machine(),
            "threads": arguments.threads,
            "preset": arguments.preset,
            "calibration_gflops": round(gflops, 1),
            "steady_seconds_per_chunk": round(steady, 4),
            "frames_per_second": round(frames / steady, 2),
            "frames_per_second_per_100_gflops": round(100 * frames / steady / gflops, 3),
            "seconds_first_tenth": round(statistics.median(seconds[6 : 6 + tenth]), 4),
            "seconds_last_tenth": round(statistics.median(seconds[-tenth:]), 4),
            "resident_mib_every_25_chunks": memory,
        },
    )
    print(arguments.out.read_text())


if __name__ == "__main__":
    main()
