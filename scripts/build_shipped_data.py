"""Start frames and navigation episodes that the wheel ships, made anew or compared with what is there.

    python scripts/build_shipped_data.py                 writes li_env/worlds/freedoom/data
    python scripts/build_shipped_data.py --size large    writes li_env/worlds/freedoom/data/large
    python scripts/build_shipped_data.py --check         exits with 1 if the files hold anything else

They take a minute and need ViZDoom (extra ``doom``). The weights come from training: docs/worlds/freedoom.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from li_env.doom.geodesic import map_distance, metres_to_goal
from li_env.doom.known_maps import known_map
from li_env.doom.maps import write_wad
from li_env.doom.renderer import DoomRenderer, renderable_poses
from li_env.doom.space import FreeSpace
from li_env.doom.splits import TEST
from li_env.doom.trajectories import world_poses
from li_env.doom.watchdog import temporary_folder
from li_env.files import atomic_folder
from li_env.tasks import EpisodeDataset, NavigationRules
from li_env.tasks.dataset import EpisodeRecord
from li_env.worlds.freedoom.build_episodes import open_view, pose_2d
from li_env.worlds.freedoom.ground_truth import episodes_file
from li_env.worlds.freedoom.sizes import SIZES, SMALL, Size
from li_env.worlds.freedoom.start_frames import COLUMNS, StartFrames

MAPS = {"small": 72, "large": 8}
"""Maps by size: large frames take four times the bytes."""

SEED = 0
OPEN_VIEW = 192.0
"""Map units (6 m) that must be free straight ahead of a start."""

_TRIES = 200  # goals drawn per start


def render_starts(map_seeds: Sequence[int], seed: int = SEED, size: Size = SMALL) -> StartFrames:
    """Draw and render one start per map; the first starts do not depend on how many follow."""
    rng = np.random.default_rng(seed)
    maps = [known_map(map_seed) for map_seed in map_seeds]
    poses = renderable_poses(np.array([_open_spot(doom_map.space, rng) for doom_map in maps]))
    with temporary_folder() as folder:
        wad = folder / "starts.wad"
        write_wad(maps, wad)
        with DoomRenderer(wad, frame_size=size.frame_size) as renderer:
            frames = np.concatenate([renderer.render(index, poses[index : index + 1]) for index in range(len(maps))])
    rounded = np.array([[round(float(value), 6) for value in pose] for pose in world_poses(poses)])
    return StartFrames(frames, np.array(map_seeds, dtype=np.int64), rounded)


def _open_spot(space: FreeSpace, rng: np.random.Generator) -> tuple[float, float, float]:
    """Draw (x, y, degrees) of a free spot, looking along the most open of eight headings (ties drawn)."""
    headings = np.arange(0.0, 360.0, 45.0)
    for _ in range(20):
        position = space.sample(rng)
        lengths = space.clear_lengths(position, np.radians(headings), OPEN_VIEW)
        order = rng.permutation(len(headings))
        best = order[np.argmax(lengths[order])]
        if lengths[best] >= 0.9 * OPEN_VIEW:
            break
    return (*position, float(headings[best]))


def goals_for_starts(
    starts: StartFrames, seed: int = SEED, rules: NavigationRules | None = None, size: Size = SMALL
) -> EpisodeDataset:
    """Draw one episode per start frame, with a rendered goal; a start without a goal in reach gets none.

    Every episode has a seed of its own, so that an evaluation on this file is the same for everybody.
    """
    rules = NavigationRules.default() if rules is None else rules
    episodes: list[EpisodeRecord] = []
    pictures: list[np.ndarray] = []
    for index, (map_seed, (x, z, yaw)) in enumerate(zip(starts.map_seeds.tolist(), starts.map_poses, strict=True)):
        space = known_map(map_seed).space
        rng = np.random.default_rng([seed, map_seed])
        for _ in range(_TRIES):
            doom_goal = open_view(space, rng)
            goal = pose_2d(doom_goal)
            distance = metres_to_goal(map_distance(map_seed, goal[0], goal[1]), float(x), float(z))
            if rules.goal_distance[0] <= distance <= rules.goal_distance[1]:
                break
        else:
            continue
        with temporary_folder() as folder:
            wad = folder / "goal.wad"
            write_wad([known_map(map_seed)], wad)
            with DoomRenderer(wad, frame_size=size.frame_size) as renderer:
                pictures.append(renderer.render(0, doom_goal[None])[0])
        pose = (round(float(x), 6), round(float(z), 6), round(float(yaw), 6))
        episodes.append(EpisodeRecord(index, pose, goal, len(pictures) - 1, map_seed, len(episodes)))
    return EpisodeDataset(tuple(episodes), {"goal": np.stack(pictures)})


def write_starts(folder: Path, starts: StartFrames) -> None:
    """Write ``start_states.png``, one sheet of frames, and ``start_states.json``, their map seeds and poses."""
    count = len(starts.frames)
    height, width = starts.frames.shape[1:3]
    padded = np.zeros((-(-count // COLUMNS) * COLUMNS, height, width, 3), dtype=np.uint8)
    padded[:count] = starts.frames
    sheet = padded.reshape(-1, COLUMNS, height, width, 3).transpose(0, 2, 1, 3, 4).reshape(-1, COLUMNS * width, 3)
    data = cv2.imencode(".png", np.ascontiguousarray(sheet[..., ::-1]))[1]
    rows = [
        {"map_seed": seed, "pose": pose}
        for seed, pose in zip(starts.map_seeds.tolist(), starts.map_poses.tolist(), strict=True)
    ]
    text = "[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n"
    with atomic_folder(folder) as temporary:
        (temporary / "start_states.png").write_bytes(data.tobytes())
        (temporary / "start_states.json").write_bytes(text.encode())


def differences(
    starts: StartFrames, episodes: EpisodeDataset, maps: int = MAPS["small"], size: Size = SMALL
) -> list[str]:
    """Name what differs from the first ``maps`` start frames and their episodes as they are shipped."""
    shipped, known = StartFrames.load(size.data, size.frame_size), EpisodeDataset.read(episodes_file(size))
    pairs = {
        "start frames": (starts.frames, shipped.frames[:maps]),
        "map seeds": (starts.map_seeds, shipped.map_seeds[:maps]),
        "start poses": (starts.map_poses, shipped.map_poses[:maps]),
        "goal frames": (episodes.frames["goal"], known.frames["goal"][: len(episodes.frames["goal"])]),
    }
    found = [name for name, (made, there) in pairs.items() if not np.array_equal(made, there)]
    if episodes.episodes != tuple(each for each in known.episodes if each.start < maps):
        found.append("episodes")
    return found


def main() -> int:
    """Write or compare; the exit code is 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare and write nothing")
    parser.add_argument("--size", choices=SIZES, default=SMALL.name, help="size of frames")
    arguments = parser.parse_args()
    size, maps = SIZES[arguments.size], MAPS[arguments.size]
    starts = render_starts(TEST[:maps], size=size)
    episodes = goals_for_starts(starts, size=size)
    if arguments.check:
        found = differences(starts, episodes, maps, size)
        print(f"differs from what is shipped: {', '.join(found)}" if found else "all as shipped")
        return int(bool(found))
    write_starts(size.data, starts)
    episodes.write(episodes_file(size))
    return 0


if __name__ == "__main__":
    sys.exit(main())
