"""Whether chunk 1,000 of an episode costs what chunk 20 costs, planner included.

    python benchmarks/flat_cost.py --device cuda --out benchmarks/flat_cost_h200.json

Steps one freedoom episode with seeded random actions through the Gymnasium environment, once per preset, and records
the milliseconds of every stage as the engine reports them, the whole step, and the memory in use. Writes a JSON file
and a plot of the same name. `first` and `last` are medians over chunks 20 to 119 and over the last 100.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import gymnasium
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from on_device import resident_mib
from provenance import provenance

import li_env  # noqa: F401  registers the ids
from li_env.accel.runtime.chunk import STAGES
from li_env.accel.runtime.machine import device_name
from li_env.files import write_json


def measure(preset: str, device: str, chunks: int) -> dict[str, Any]:
    """Measure milliseconds by stage and chunk, and memory every 50 chunks."""
    env = gymnasium.make(
        "LightInteraction/Explore-v0",
        world="freedoom", preset=preset, device=device, max_episode_steps=chunks, timings=True,
    )  # fmt: skip
    env.reset(seed=0)
    env.action_space.seed(0)
    times: dict[str, list[float]] = {}
    memory = []
    for chunk in range(chunks):
        began = time.perf_counter()
        *_, info = env.step(env.action_space.sample())
        step = 1000 * (time.perf_counter() - began)
        stages = {stage: info[f"milliseconds_{stage}"] for stage in STAGES} | {"step": step}
        for stage, value in stages.items():
            times.setdefault(stage, []).append(round(value, 3))
        if chunk % 50 == 49:
            allocated = torch.cuda.memory_allocated() / 2**20 if device == "cuda" else 0.0
            memory.append({"chunk": chunk + 1, "resident_mib": resident_mib(), "device_mib": allocated})
    env.close()
    spans = {"first": slice(20, 120), "last": slice(-100, None)}
    medians = {
        span: {stage: round(statistics.median(values[part]), 3) for stage, values in times.items()}
        for span, part in spans.items()
    }
    return {"preset": preset, "medians": medians, "memory": memory, "milliseconds": times}


def smooth(values: list[float], width: int = 25) -> list[float]:
    """Return the running median."""
    return [statistics.median(values[max(0, i - width) : i + width + 1]) for i in range(len(values))]


def write_plot(runs: list[dict[str, Any]], path: Path) -> None:
    """One panel per preset: running medians of the step and its stages."""
    figure = Figure(figsize=(6 * len(runs), 4), layout="constrained")
    FigureCanvasAgg(figure)
    for axis, run in zip(figure.subplots(1, len(runs), squeeze=False)[0], runs, strict=True):
        for stage, values in run["milliseconds"].items():
            axis.plot(smooth(values), label=stage)
        axis.set(title=f"preset {run['preset']}", xlabel="chunk", ylabel="ms per chunk", yscale="log")
        axis.grid(alpha=0.3)
        axis.legend()
    figure.savefig(path, dpi=80)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--chunks", type=int, default=1000)
    parser.add_argument("--presets", nargs="+", default=["off", "all"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/flat_cost.json"))
    options = parser.parse_args()
    if options.chunks < 240:
        parser.error(f"--chunks {options.chunks}: at least 240 are needed to compare early and late ones")
    torch.set_num_threads(options.threads)
    facts = provenance()
    runs = [measure(preset, options.device, options.chunks) for preset in options.presets]
    device = device_name(torch.device(options.device))
    write_json(options.out, {"provenance": facts, "device": device, "runs": runs})
    write_plot(runs, options.out.with_suffix(".png"))
    for run in runs:
        print(run["preset"], run["medians"])


if __name__ == "__main__":
    main()
