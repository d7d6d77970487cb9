"""The reference world: the real game behind the world contract, in the maps of the freedoom world.

Spaces, motion, tasks and start frames are those of the freedoom world, so that an agent moves from the learned world to
the real one by the name of the world alone. Needs ViZDoom (extra ``doom``) and no weights.

A latent is a camera in a map (five whole numbers, see `_latent`), decoding renders it. Acceleration presets therefore
change nothing here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from li_env.accel.geometry.camera import CameraMotion
from li_env.accel.grouping import equal_groups
from li_env.accel.world import BaseWorld, ChunkRequest, MotionRequest, StartViews
from li_env.accel.world_spec import WorldSpec
from li_env.doom.known_maps import known_tangents
from li_env.doom.render_pool import ENGINES, FrameRenderer, LocalRenderer, RenderPool
from li_env.doom.walking import doom_points, doom_poses, level_pose, planar_poses
from li_env.validation import check_whole
from li_env.worlds.common.game import require_game
from li_env.worlds.freedoom.ground_truth import FreedoomTruth, episodes_file
from li_env.worlds.freedoom.sizes import SMALL, Size, named_size
from li_env.worlds.freedoom.spec import world_spec
from li_env.worlds.freedoom.start_frames import StartFrames


def game_spec(size: Size) -> WorldSpec:
    """Return the constants of the game at a size: those of the learned world, without what needs a model."""
    return replace(
        world_spec(size),
        name="freedoom_game",
        latent_shape=(5, 1, 1),
        supports_block_sparse=False,
        supports_rival_attention=False,
        supports_step_reuse=False,
        supports_shared_work=False,
    )


SPEC = game_spec(SMALL)

_PROMPT = re.compile(r"map (\d{1,9})")
_HALF = 1 << 16  # a float32 holds whole numbers up to 1 << 24 exactly
_ROUNDING = 1.0  # map units: views are shown from whole ones


@dataclass(frozen=True)
class GameScene:
    """Constants of an episode: the map."""

    map_seed: int


class FreedoomGame(BaseWorld[GameScene, None]):
    """The game. Episodes begin at any pose of any generated map, in the axes of `StartFrames.map_poses`.

    A prompt ``map N`` names the map by its seed; episodes of a dataset and the world's own start frames bring theirs.
    The picture shown at the start should be the game's own view of the start pose: it is not rendered again.

    Args:
        workers: processes that render; 0 renders in this one.
        engines: most game engines per process, 18 MB each. An engine stays on its map; a process that has shown more
            maps than this starts one anew for every episode on another map, which takes 0.7 s.
        size: of frames, ``small`` or ``large``: as in the world ``freedoom`` or ``freedoom_large``.

    Raises:
        MissingExtraError: ViZDoom is not installed.
        ValueError: a number that is not allowed.
    """

    ground_truth: FreedoomTruth

    def __init__(self, workers: int = 0, engines: int = ENGINES, size: str = SMALL.name) -> None:
        of = named_size(size)
        check_whole("workers", workers)
        check_whole("engines", engines, 1)
        require_game("the world 'freedoom_game'")
        self.device = torch.device("cpu")
        self.spec = game_spec(of)
        starts = StartFrames.load(of.data, of.frame_size)
        self.start_views = StartViews(
            starts.frames,
            np.stack([level_pose(*pose) for pose in starts.map_poses.tolist()]),
            [f"map {seed}" for seed in starts.map_seeds.tolist()],
        )
        self.episodes_file = episodes_file(of)
        self.renderer: FrameRenderer = (
            RenderPool(workers, engines, of.frame_size) if workers else LocalRenderer(engines, of.frame_size)
        )
        self.ground_truth = FreedoomTruth(starts, self.renderer)

    def render_start(self, prompt: str, pose: np.ndarray) -> np.ndarray:
        """Render what a camera sees: uint8 [H, W, 3].

        Args:
            prompt: ``map N``.
            pose: [4, 4] camera-to-world, level and at the height of the start frames.

        Raises:
            ValueError: no map, or a pose that the game cannot show.
        """
        map_seed = self.start([], [prompt])[0].map_seed
        if not np.allclose(pose[1], (0, 1, 0, 0), atol=1e-6):
            height = np.round(pose[1], 3).tolist()
            raise ValueError(f"pose with second row {height} is not usable; allowed in the game: level, [0, 1, 0, 0]")
        _check_inside(map_seed, pose)
        return self.ground_truth.render([map_seed], [pose[None]])[0][0]

    def start(self, images: Sequence[np.ndarray], prompts: Sequence[str]) -> list[GameScene]:
        """Read the map from each prompt.

        Raises:
            ValueError: a prompt that names no map.
        """
        scenes = []
        for prompt in prompts:
            found = _PROMPT.fullmatch(prompt.strip())
            if found is None:
                raise ValueError(f"prompt={prompt!r} names no map of the game; allowed: 'map N', N being a map seed")
            scenes.append(GameScene(int(found[1])))
        return scenes

    def feasible_motions(self, requests: Sequence[MotionRequest]) -> list[tuple[CameraMotion, ...]]:
        """Return the commanded motions as the game's walls allow them: the player stops at walls or slides along.

        Raises:
            ValueError: an episode begins inside a wall or outside of its map.
        """
        out = [tuple(request.motions) for request in requests]
        for request in requests:
            if not len(request.recent):
                _check_inside(request.scene.map_seed, request.pose)
        for group in equal_groups([len(motions) for motions in out]):
            if not out[group[0]]:
                continue
            maps, poses = zip(*((requests[index].scene.map_seed, requests[index].pose) for index in group), strict=True)
            realised = self.ground_truth.walk(maps, np.stack(poses), [out[index] for index in group])
            for index, motions in zip(group, realised, strict=True):
                out[index] = motions
        return out

    def generate(self, requests: Sequence[ChunkRequest]) -> list[torch.Tensor]:
        """Return the cameras of the chunk as latents."""
        return [_latent(request.scene.map_seed, doom_poses(planar_poses(request.poses))) for request in requests]

    def decode(self, latents: Sequence[torch.Tensor], streams: Sequence[None]) -> tuple[list[np.ndarray], list[None]]:
        """Render what the game shows from the cameras."""
        seeds, poses = zip(*(_camera_of(chunk) for chunk in latents), strict=True)
        return self.renderer.render(seeds, poses), [None] * len(streams)

    def close(self) -> None:
        """Stop the game engines and the processes that drive them; they start again when needed."""
        self.renderer.close()


def _check_inside(map_seed: int, pose: np.ndarray) -> None:
    if not _inside(map_seed, doom_points(pose[[0, 2], 3])):
        metres = np.round(pose[[0, 2], 3], 3).tolist()
        raise ValueError(f"pose at {metres} is outside map {map_seed}: inside a wall or outside of the rooms")


def _inside(map_seed: int, position: np.ndarray) -> bool:
    tangents = known_tangents(map_seed)
    out = tangents.push_out(position)
    return tangents.contains(out) and bool(np.hypot(*(out - position)) <= _ROUNDING)


def _latent(map_seed: int, poses: np.ndarray) -> torch.Tensor:
    """Encode cameras as [n, 5, 1, 1]: the map's seed in two halves, x, y in map units, angle in 1/65536 turns."""
    seed = np.broadcast_to(np.array(divmod(map_seed, _HALF)), (len(poses), 2))
    angle = np.round(poses[:, 2:] * (_HALF / 360.0))
    return torch.from_numpy(np.concatenate([seed, poses[:, :2], angle], 1).astype(np.float32))[..., None, None]


def _camera_of(latent: torch.Tensor) -> tuple[int, np.ndarray]:
    """Decode a latent to (map seed, Doom poses [n, 3])."""
    numbers = latent[..., 0, 0].double().numpy()
    poses = np.concatenate([numbers[:, 2:4], numbers[:, 4:] * (360.0 / _HALF)], 1)
    return int(numbers[0, 0]) * _HALF + int(numbers[0, 1]), poses


def load(
    device: str = "cpu",
    weights: str | Path | None = None,
    workers: int = 0,
    engines: int = ENGINES,
    size: str = SMALL.name,
) -> FreedoomGame:
    """Load the game; it runs on the CPU, also where ``device`` is a GPU. Arguments as `FreedoomGame`.

    Raises:
        ValueError: weights are given, or a number that is not allowed.
    """
    if weights is not None:
        raise ValueError(f"weights={str(weights)!r} are of no use to world 'freedoom_game'; allowed: none")
    return FreedoomGame(workers, engines, size)
