"""Navigation episodes in generated Freedoom maps: poses drawn in the free space, views rendered by the game."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from li_env.doom.geodesic import map_distance
from li_env.doom.known_maps import known_map
from li_env.doom.maps import write_wad
from li_env.doom.renderer import MAP_UNITS_PER_METRE, DoomRenderer, renderable_poses
from li_env.doom.space import FreeSpace
from li_env.doom.trajectories import world_poses
from li_env.doom.watchdog import temporary_folder
from li_env.tasks.dataset import EpisodeDataset, EpisodeRecord, Pose2D
from li_env.tasks.navigation import NavigationRules
from li_env.validation import check_number, check_whole
from li_env.worlds.freedoom.sizes import SMALL

MAPS_PER_FILE = 32
"""Most maps per file of the game's own format, which counts to 99."""

_OPEN_VIEW = 192.0  # map units: how far an open view is worth looking for
_TRIES = 200  # starts drawn per goal
_DRAWN = 20  # of these at once


def build_episodes(
    map_seeds: Sequence[int],
    goals_per_map: int = 2,
    starts_per_goal: int = 4,
    seed: int = 0,
    rules: NavigationRules | None = None,
    detour: float = 1.0,
    on_map: Callable[[], None] = lambda: None,
    frame_size: tuple[int, int] = SMALL.frame_size,
) -> EpisodeDataset:
    """Draw episodes and render their start and goal frames; needs ViZDoom (extra ``doom``).

    Starts look along the most open of eight headings, goals lie ``rules.goal_distance`` away along the shortest path. A
    map that offers fewer such pairs gives fewer episodes.

    Args:
        map_seeds: generated maps; `doom.splits` says which of them a world was trained on.
        goals_per_map: goals per map.
        starts_per_goal: episodes per goal.
        seed: seed of all drawing; an episode depends on it and its map alone.
        rules: `NavigationRules.default` if left out.
        detour: least ratio of the shortest path to the straight line: 1 takes all, from about 1.2 on a wall lies
            between.
        on_map: called after every map, to show progress.
        frame_size: (height, width) of the frames.

    Raises:
        ValueError: a number that is not allowed, no map, or maps without room for a single episode.
    """
    check_whole("goals_per_map", goals_per_map, 1)
    check_whole("starts_per_goal", starts_per_goal, 1)
    check_whole("seed", seed)
    check_number("detour", detour, 1.0)
    rules = NavigationRules.default() if rules is None else rules
    episodes: list[EpisodeRecord] = []
    frames: dict[str, list[np.ndarray]] = {"start": [], "goal": []}
    for first in range(0, len(map_seeds), MAPS_PER_FILE):
        group = list(map_seeds[first : first + MAPS_PER_FILE])
        with temporary_folder() as folder:
            wad = folder / "episodes.wad"
            write_wad([known_map(map_seed) for map_seed in group], wad)
            with DoomRenderer(wad, frame_size=frame_size) as renderer:
                for index, map_seed in enumerate(group):
                    rng = np.random.default_rng([seed, map_seed])
                    for goal, starts in _goals_and_starts(map_seed, goals_per_map, starts_per_goal, rules, detour, rng):
                        frames["goal"].append(renderer.render(index, goal[None])[0])
                        frames["start"].extend(renderer.render(index, starts))
                        episodes += [
                            EpisodeRecord(
                                start=len(episodes) + row,
                                pose=pose_2d(pose),
                                goal=pose_2d(goal),
                                goal_frame=len(frames["goal"]) - 1,
                                map_seed=int(map_seed),
                            )
                            for row, pose in enumerate(starts)
                        ]
                    on_map()
    if not episodes:
        raise ValueError(f"no episode with a goal {rules.goal_distance} away fits into {len(map_seeds)} maps")
    return EpisodeDataset(tuple(episodes), {name: np.stack(pictures) for name, pictures in frames.items()})


def _goals_and_starts(
    map_seed: int, goals: int, starts: int, rules: NavigationRules, detour: float, rng: np.random.Generator
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Draw (goal [3], its starts [n, 3]) as Doom poses; goals without any start are left out."""
    space = known_map(map_seed).space
    found = []
    for _ in range(goals):
        goal = open_view(space, rng)
        distance = map_distance(map_seed, *pose_2d(goal)[:2])
        near: list[np.ndarray] = []
        for _ in range(0, _TRIES, _DRAWN):
            drawn = np.stack([open_view(space, rng) for _ in range(_DRAWN)])
            near += list(drawn[_fits(distance.of(drawn[:, :2]), drawn, goal, rules, detour)])
            if len(near) >= starts:
                break
        if near:
            found.append((goal, np.stack(near[:starts])))
    return found


def _fits(
    lengths: np.ndarray, starts: np.ndarray, goal: np.ndarray, rules: NavigationRules, detour: float
) -> np.ndarray:
    """Mark the starts [n, 3], ``lengths`` [n] map units from the goal, that the rules and the detour allow."""
    low, high = (length * MAP_UNITS_PER_METRE for length in rules.goal_distance)
    straight = np.hypot(*(goal - starts)[:, :2].T)
    return (low <= lengths) & (lengths <= high) & (lengths >= detour * straight)


def open_view(space: FreeSpace, rng: np.random.Generator) -> np.ndarray:
    """Draw the Doom pose [3] (x, y, degrees) of a free position that faces the most open of eight headings."""
    position = space.sample(rng)
    headings = np.arange(0.0, 360.0, 45.0)
    lengths = space.clear_lengths(position, np.radians(headings), _OPEN_VIEW)
    order = rng.permutation(len(headings))
    return renderable_poses(np.array([[*position, headings[order[np.argmax(lengths[order])]]]]))[0]


def pose_2d(doom_pose: np.ndarray) -> Pose2D:
    """Convert a Doom pose [3] to (x, z in metres, yaw in degrees) of the world, rounded as episode files are."""
    x, z, yaw = world_poses(doom_pose[None])[0].astype(float).tolist()
    return round(x, 6), round(z, 6), round(yaw, 6)
