"""Train the eye of a `Mapper` in any world: walk around, look, and be told how far the ways were free.

A trained mapper is a folder: ``agent.json``, ``eye.safetensors``, ``log.jsonl`` and ``snapshots/`` with the eye after
every round.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from li_env.accel.world import WorldModel
from li_env.agents.base import ACTION_SPACE
from li_env.agents.constants import ARRIVAL
from li_env.agents.macro_actions import STOP, MacroActions
from li_env.agents.mapper.config import MapperConfig
from li_env.agents.mapper.free_space_net import REACH, FreeSpaceNet, FreeSpaceTrainer, ray_angles
from li_env.agents.rounds import Rounds
from li_env.agents.run_folder import RunFolder
from li_env.agents.scripted.shortest_path import ShortestPathFollower, clearances
from li_env.episodes import EpisodeRunner, open_episodes
from li_env.rollouts import View
from li_env.tasks import EpisodeDataset
from li_env.tasks.navigation import Navigation
from li_env.tensor_files import read_tensors, write_tensors
from li_env.worlds.registry import resolve_device

EYE = "eye.safetensors"
"""Name of the weights in a mapper's folder."""

_FRAMES_TOGETHER = 512


def train(
    config: MapperConfig,
    out: str | Path,
    dataset: str | Path | EpisodeDataset | None = None,
    world: WorldModel | None = None,
    device: str = "auto",
    on_update: Callable[[dict[str, Any]], None] = lambda entry: None,
) -> Path:
    """Train into folder ``out``. Nothing happens if that is done; an interrupted training, minutes long, begins anew.

    Args:
        config: as in `MapperConfig`.
        out: made if needed.
        dataset: of navigation episodes that name their maps; the world's own by default.
        world: a loaded world instead of ``config.world`` by name.
        device: of the world and of the eye: ``auto``, ``cpu`` or ``cuda``.
        on_update: called with every line of the log.

    Raises:
        ValueError: ``out`` holds an agent of another configuration, or episodes without maps.
    """
    run = RunFolder(out, "mapper", config, (EYE,))
    if run.steps_done():
        return run.path
    rules = open_episodes(
        config.world if world is None else world, config.preset, ACTION_SPACE, "frame", device,
        task=config.task, dataset=dataset,
    )  # fmt: skip
    torch.manual_seed(config.seed)
    target = torch.device(resolve_device(device))
    eye = FreeSpaceNet(rules.spec.frame_size).to(target)
    learner = FreeSpaceTrainer(eye, config.updates, config.batch_size, config.learning_rate, config.seed)
    walk = _Walk(rules, config)
    run.begin(0, rules.spec.step_frames)
    frames, ways = torch.zeros(0, dtype=torch.uint8, device=target), torch.zeros(0, device=target)
    for index in range(config.rounds):
        seen, told = walk.round(config.steps * (index + 1) // config.rounds)
        frames, ways = _joined(frames, seen), _joined(ways, told)
        error = _error(eye, frames[-len(seen) :], ways[-len(told) :])
        turns = (index + 1) * config.updates // config.rounds - index * config.updates // config.rounds
        loss = learner.fit(frames, ways, turns)
        store_eye(eye, run.snapshot(len(frames)))
        on_update(run.note(len(frames), {"loss": loss, "error": error}))
    with run.save(len(frames)) as folder:
        store_eye(eye, folder / EYE)
    return run.path


def store_eye(eye: FreeSpaceNet, path: Path) -> None:
    """Write the weights as safetensors, complete or not at all."""
    write_tensors(path, {name: tensor.detach().cpu().contiguous() for name, tensor in eye.state_dict().items()})


def load_eye(path: Path, observation_space: spaces.Space[Any], device: str) -> FreeSpaceNet:
    """Load what `store_eye` wrote.

    Raises:
        ValueError: no such file, weights of another frame size, or observations without a frame and a goal sensor.
    """
    if not isinstance(observation_space, spaces.Dict) or "pointgoal" not in observation_space.spaces:
        raise ValueError("mappers need task='pointgoal' and observation='frame'")
    shape = observation_space["rgb"].shape
    if shape is None or len(shape) != 3:
        raise ValueError("mappers need task='pointgoal' and observation='frame'")
    eye = FreeSpaceNet((shape[0], shape[1]))
    wanted = {name: tuple(tensor.shape) for name, tensor in eye.state_dict().items()}
    eye.load_state_dict(read_tensors(path, wanted, "this world"))
    return eye.to(device).eval()


class _Walk:
    """Worlds in which a teacher walks, now and then at random, and says how far the ways are free."""

    def __init__(self, rules: EpisodeRunner, config: MapperConfig) -> None:
        task = rules.task
        if not isinstance(task, Navigation) or task.dataset is None:
            raise ValueError("a mapper is trained on a dataset that names its maps: li-env build episodes")
        self._rules, self._dataset, self._random = rules, task.dataset, config.random
        self._moves = MacroActions(rules.actions.space, task.can_stop)
        self._teacher = ShortestPathFollower(self._moves, task.dataset, ARRIVAL * task.rules.success_radius)
        self._rounds = Rounds(rules, config.worlds, config.max_episode_steps, config.seed)
        self._angles = ray_angles(rules.spec.fov[0])
        self._frames: list[np.ndarray] = []
        self._ways: list[np.ndarray] = []

    def round(self, steps: int) -> tuple[np.ndarray, np.ndarray]:
        """(frames uint8 [n, 3, H, W], free ways [n, rays] in length units) of a round up to ``steps`` steps in all."""
        self._frames, self._ways = [], []
        self._rounds.play(self._act, steps)
        return np.stack(self._frames), np.stack(self._ways).astype(np.float32)

    def _act(self, views: Sequence[View]) -> tuple[list[np.ndarray], None]:
        choices = []
        for view in views:
            self._frames.append(view.observation["rgb"].transpose(2, 0, 1))
            self._ways.append(clearances(self._teacher.map_of(view), view.info["pose"], self._angles, REACH))
            drawn = view.generator.random() < self._random
            choices.append(int(view.generator.integers(STOP)) if drawn else self._teacher.choose(view))
        return self._moves.actions(choices), None


def _joined(before: torch.Tensor, new: np.ndarray) -> torch.Tensor:
    added = torch.from_numpy(new).to(before.device)
    return torch.cat([before, added]) if len(before) else added


@torch.no_grad()
def _error(eye: FreeSpaceNet, frames: torch.Tensor, ways: torch.Tensor) -> float:
    """Mean error in length units, of an eye that has not learned from these frames."""
    parts = zip(frames.split(_FRAMES_TOGETHER), ways.split(_FRAMES_TOGETHER), strict=True)
    errors = [(eye(seen).clamp(0, 1) * REACH - told).abs().mean(1) for seen, told in parts]
    return float(torch.cat(errors).mean())
