"""Whether a plan in a scan of 4,096 views costs what a plan in a scan of 64 views costs.

    python benchmarks/scan_plan_time.py --out benchmarks/scan_plan_time.json

Plans chunks of the freedoom world along random walks, no weights needed, in scans of growing size: a place that grows
with the scan (8 headings every 2.5 m), and one room that is scanned more and more densely. Plans are made for one
episode and for a batch. Also measured is a reset at a view, with the latents in the cache. Writes a JSON file and a
plot of the same name.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from provenance import provenance

from li_env.accel.config import AccelConfig
from li_env.accel.geometry.camera import CameraMotion, follow, follow_many, motion_table
from li_env.accel.planning.planner import Planner
from li_env.accel.pose_track import PoseTrack
from li_env.accel.view_bank import ViewBank
from li_env.env import LightInteractionEnv
from li_env.files import write_json
from li_env.scans.scan import Scan
from li_env.worlds.freedoom.spec import SPEC

SIZES = (64, 128, 256, 512, 1024, 2048, 4096)
HEADINGS, SPACING, ROOM = 8, 2.5, 12.0
PAST = 60
"""Latents of the episode before the planned chunks."""


def scan_poses(views: int, place: str) -> np.ndarray:
    """Return poses [views, 4, 4]: spots on a square grid, `SPACING` from each other or all inside one room."""
    spots = views // HEADINGS
    side = int(np.ceil(np.sqrt(spots)))
    width = (side - 1) * SPACING if place == "growing" else ROOM
    x, z = (each.ravel()[:spots] * width for each in np.meshgrid(*[np.linspace(-0.5, 0.5, side)] * 2))
    starts = np.tile(np.eye(4), (spots, 1, 1))
    starts[:, 0, 3], starts[:, 2, 3] = x, z
    turns = motion_table([[CameraMotion(yaw=360.0 / HEADINGS)] * HEADINGS] * spots)
    return follow_many(starts, turns).reshape(-1, 4, 4)


def walks(poses: np.ndarray, batch: int, chunks: int) -> list[np.ndarray]:
    """Return walks [PAST + 4 * chunks, 4, 4] that begin at random views and stay near them."""
    rng = np.random.default_rng(0)
    tracks = []
    for view in rng.integers(len(poses), size=batch):
        turn = rng.uniform(-15, 15, (PAST + 4 * chunks) // 4 + 1).repeat(4)
        motions = [CameraMotion(yaw=float(each), forward=0.3) for each in turn[: PAST + 4 * chunks]]
        tracks.append(follow(poses[view], motions))
    return tracks


def plan_milliseconds(poses: np.ndarray, batch: int, chunks: int, preset: str) -> dict[str, float]:
    """Measure the milliseconds of a plan per episode: the median over chunks, and the first one."""
    bank = ViewBank(torch.zeros(len(poses), 1, 1, 1), poses, SPEC.view_distance)
    planner = Planner(SPEC, AccelConfig.preset(preset))
    tracks = walks(poses, batch, chunks)
    times = []
    for chunk in range(chunks):
        now = PAST + 4 * chunk
        histories, coming = [PoseTrack(each[:now]) for each in tracks], [each[now : now + 4] for each in tracks]
        began = time.perf_counter()
        planner.plan(histories, coming, [bank] * batch)
        times.append(1000 * (time.perf_counter() - began) / batch)
    return {"median": round(statistics.median(times), 4), "first": round(times[0], 4), "most": round(max(times), 4)}


def best_of(action: Callable[[], object], times: int = 7) -> float:
    """Return the least milliseconds of an action."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        action()
        found.append(1000 * (time.perf_counter() - began))
    return round(min(found), 3)


def resets(sizes: tuple[int, ...]) -> list[dict[str, Any]]:
    """Measure a reset at a view in scans by path, the first one in the process and later ones; latents are cached."""
    world = LightInteractionEnv("freedoom", device="cpu").world
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LI_ENV_CACHE"] = folder
        frames = np.asarray(world.start_views.images)
        for size in sizes:
            scan = Scan(frames[np.arange(size) % len(frames)], scan_poses(size, "growing"))
            path = Path(folder) / f"{size}.npz"
            scan.save(path)
            LightInteractionEnv(world).reset(options={"scan": path, "view": 0})  # fills the cache
            env = LightInteractionEnv(world)
            first = best_of(lambda env=env, path=path: env.reset(options={"scan": path, "view": 1}), 1)
            later = best_of(lambda env=env, path=path: env.reset(options={"scan": path, "view": 2}))
            mib = round(env.save_state().episode.bank.nbytes / 2**20, 2)
            rows.append({"views": size, "first_reset": first, "later_reset": later, "latents_mib": mib})
            print(rows[-1])
    return rows


def write_plot(runs: list[dict[str, Any]], path: Path) -> None:
    """Draw milliseconds of a plan per episode over the views of the scan."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    for place in ("growing", "denser"):
        for batch in sorted({run["batch"] for run in runs}):
            chosen = [run for run in runs if (run["place"], run["batch"]) == (place, batch)]
            label = f"{place} place, {batch} episode{'s' * (batch > 1)}"
            axis.plot([run["views"] for run in chosen], [run["median"] for run in chosen], marker="o", label=label)
    axis.set(xlabel="views of the scan", ylabel="ms per plan and episode", xscale="log", ylim=(0, None))
    axis.grid(alpha=0.3)
    axis.legend()
    figure.savefig(path, dpi=80)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=40)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 64])
    parser.add_argument("--preset", default="all")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/scan_plan_time.json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    facts = provenance()
    runs = []
    for place in ("growing", "denser"):
        for batch in options.batch:
            for views in SIZES:
                measured = plan_milliseconds(scan_poses(views, place), batch, options.chunks, options.preset)
                runs.append({"place": place, "batch": batch, "views": views, **measured})
                print(runs[-1])
    result = {"provenance": facts, "preset": options.preset, "plans": runs, "resets": resets((64, 512, 4096))}
    write_json(options.out, result)
    write_plot(runs, options.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
