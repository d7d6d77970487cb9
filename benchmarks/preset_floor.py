"""Whether a preset is ever slower than the plain model: `off` and a preset, with and without the cost model.

    python benchmarks/preset_floor.py --device cuda --out benchmarks/preset_floor_h200.json
    python benchmarks/preset_floor.py --device cpu --envs 1 4 8 --out benchmarks/preset_floor_cpu.json

Three environments of one size take turns in one process: `off`, the preset as it is, and the preset as an environment
runs it, without the parts that the cost table rules out. They see the same actions. ``ratio`` is a step's time over the
time of `off` in the same round: above 1 is slower. Steps with a full context count; those before warm up. The world's
own cost table is used; where there is none, one is measured first. The file holds it.

The file is written after every size. No size begins after --max-seconds, and none goes on for longer than it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from provenance import provenance

from li_env.accel.config import AccelConfig
from li_env.accel.planning.choice import judge_parts
from li_env.accel.world import BaseWorld
from li_env.evaluation.calibration.cost import measure_cost
from li_env.files import write_json
from li_env.vector_env import LightInteractionVectorEnv
from li_env.worlds.calibration import cost_name
from li_env.worlds.registry import load_world

ARMS = ("off", "as it is", "by cost")
LEAST_ROUNDS = 3
ACTIONS = (1, 1, 1, 5, 6, 7, 8)
"""Discrete actions that are drawn: mostly ahead, some turns."""


def configs_of(preset: str) -> dict[str, AccelConfig]:
    """Return the settings of every arm."""
    given = AccelConfig.of(preset)
    kinds = (given.replace(cost_model=False), given.replace(cost_model=True))
    return dict(zip(ARMS, (AccelConfig.preset("off"), *kinds), strict=True))


def warm_up_steps(world: BaseWorld, preset: AccelConfig) -> int:
    """Return the chunks after which contexts are full; a GPU gets more, so that every shape has been captured."""
    full = -(-world.spec.context_latents // world.spec.chunk_latents) + 1
    return max(full, preset.warmup_chunks) + (6 if world.device.type == "cuda" else 0)


def measure(world: BaseWorld, preset: str, count: int, rounds: int, until: float) -> dict[str, Any]:
    """Measure one number of environments; rounds stop at the time ``until``, after `LEAST_ROUNDS` of them."""
    configs = configs_of(preset)
    environments = {
        arm: LightInteractionVectorEnv(count, world=world, preset=config, device_obs=world.device.type == "cuda")
        for arm, config in configs.items()
    }
    warm_up = warm_up_steps(world, configs["by cost"])
    actions = np.random.default_rng(0).choice(ACTIONS, (warm_up + rounds, count))
    for env in environments.values():
        env.reset(seed=0)
        for row in actions[:warm_up]:
            env.step(row)
    times: list[list[float]] = []
    for number, row in enumerate(actions[warm_up:]):
        found = [0.0] * len(ARMS)
        # Another arm begins in every round, so that none always follows the same.
        for index in np.roll(np.arange(len(ARMS)), -number).tolist():
            synchronise(world.device)
            began = time.perf_counter()
            environments[ARMS[index]].step(row)
            synchronise(world.device)
            found[index] = 1000.0 * (time.perf_counter() - began)
        times.append(found)
        if len(times) >= LEAST_ROUNDS and time.monotonic() > until:
            break
    for env in environments.values():
        env.close()
    table = np.array(times)
    judged = judge_parts(world, configs["by cost"], count)
    return {
        "environments": count,
        "left_out": list(judged.left_out),
        "estimated_milliseconds": {"+".join(kept) or "plain": value for kept, value in judged.milliseconds.items()},
        "rounds": len(times),
        "milliseconds": {arm: spread(table[:, index]) for index, arm in enumerate(ARMS)},
        "ratio": {arm: spread(table[:, index] / table[:, 0]) for index, arm in enumerate(ARMS) if index},
    }


def spread(values: np.ndarray) -> dict[str, float]:
    """Return the median, and the values that a quarter and three quarters stay below."""
    low, median, high = np.percentile(values, (25, 50, 75))
    return {"median": round(float(median), 4), "low": round(float(low), 4), "high": round(float(high), 4)}


def synchronise(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", default="freedoom")
    parser.add_argument("--preset", default="all")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument(
        "--envs", type=int, nargs="+", help="numbers of environments; by default 1 to 1,024, 1 to 8 on a CPU"
    )
    parser.add_argument("--rounds", type=int, default=24, help="steps of every arm that count")
    parser.add_argument("--max-seconds", type=float, default=540.0)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    facts, began = provenance(), time.monotonic()
    world = load_world(given.world, device=given.device)
    sizes = given.envs or ([1, 8, 32, 128, 512, 1024] if world.device.type == "cuda" else [1, 4, 8])
    measured_here = world.costs is None
    if world.costs is None:
        world.costs, _ = measure_cost(world, num_envs=sizes, repeats=3, max_seconds=given.max_seconds / 3)
    report: dict[str, Any] = {
        "provenance": facts,
        "world": given.world,
        "preset": given.preset,
        "device": cost_name(world),
        "cost_table": {"measured_in_this_run": measured_here, **world.costs.to_dict()},
        "note": "milliseconds of a step and its ratio to the step of off in the same round: median and quartiles",
        "stopped": False,
        "cells": [],
    }
    until = began + given.max_seconds
    for count in sizes:
        if report["cells"] and time.monotonic() > until:
            report["stopped"] = True
            break
        cell = measure(world, given.preset, count, given.rounds, until)
        report["cells"].append(cell)
        print({key: cell[key] for key in ("environments", "left_out", "rounds", "ratio")}, flush=True)
        write_json(given.out, report)
    write_json(given.out, report)


if __name__ == "__main__":
    main()
