"""Contact sheets of maps and walks, to look at: ``python scripts/preview_maps.py --out DIR``."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from li_env.doom.explorers import KINDS
from li_env.doom.maps import generate_map, write_wad
from li_env.doom.renderer import DoomRenderer, renderable_poses
from li_env.doom.trajectories import simulate
from li_env.doom.watchdog import temporary_folder


def _sheet(path: Path, rows: list[np.ndarray]) -> None:
    """Write rows of frames [n, H, W, 3] as one picture."""
    cv2.imwrite(str(path), np.vstack([np.hstack(list(row)) for row in rows])[:, :, ::-1])


def write_preview(out: Path, first_seed: int, maps: int, seed: int) -> list[Path]:
    """Write ``places.png`` (random views, one row per map) and ``walks.png`` (one row per kind of explorer)."""
    out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    made = [generate_map(first_seed + i) for i in range(maps)]
    which = [i % maps for i in range(len(KINDS))]
    walks = simulate([m.space for m in made], [m.segments for m in made], which, list(KINDS), 48, rng)
    with temporary_folder() as folder:
        wad = folder / "maps.wad"
        write_wad(made, wad)
        with DoomRenderer(wad) as renderer:
            views = []
            for i, doom_map in enumerate(made):
                poses = [[*doom_map.sample_free_position(rng), rng.uniform(0, 360)] for _ in range(8)]
                views.append(renderer.render(i, renderable_poses(np.array(poses))))
            rows = [renderer.render(m, walk[::4]) for m, walk in zip(which, walks.doom_poses, strict=True)]
    _sheet(out / "places.png", views)
    _sheet(out / "walks.png", rows)
    return [out / "places.png", out / "walks.png"]


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(description="Write contact sheets of random Doom maps and walks.")
    parser.add_argument("--out", type=Path, required=True, help="folder for the PNG files")
    parser.add_argument("--first-seed", type=int, default=0, help="seed of the first map (default 0)")
    parser.add_argument("--maps", type=int, default=8, help="number of maps (default 8)")
    parser.add_argument("--seed", type=int, default=0, help="seed of views and walks (default 0)")
    arguments = parser.parse_args()
    for path in write_preview(arguments.out, arguments.first_seed, arguments.maps, arguments.seed):
        print(path)


if __name__ == "__main__":
    main()
