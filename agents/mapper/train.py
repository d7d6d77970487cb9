"""Mapper training in any world: the free-space network learns on frames labelled with clearances from the map.

A trained mapper is a `RunFolder`: ``agent.json``, ``eye.safetensors``, ``log.jsonl``, and ``snapshots/`` with the
network after every round.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from li_env import BaseWorld, EpisodeDataset, LightInteractionEnv, View
from li_env.agents.base import ACTION_SPACE
from li_env.agents.macro_actions import STOP, MacroActions
from li_env.agents.mapper.config import MapperConfig
from li_env.agents.mapper.free_space_net import REACH, FreeSpaceNet, FreeSpaceTrainer, ray_angles
from li_env.agents.rounds import Rounds
from li_env.agents.run_folder import RunFolder
from li_env.agents.scripted.shortest_path import follower_of
from li_env.tensor_files import read_tensors, write_tensors
from li_env.worlds import resolve_device

WEIGHTS = "eye.safetensors"
"""File name of the network in a mapper's folder."""

_MICRO_BATCH = 512  # frames whose error is computed in one call


def train(
    config: MapperConfig,
    out: str | Path,
    dataset: str | Path | EpisodeDataset | None = None,
    world: BaseWorld | None = None,
    device: str = "auto",
    on_update: Callable[[dict[str, Any]], None] = lambda entry: None,
) -> Path:
    """Train into folder ``out`` and return it; a finished training is left alone.

    A training takes minutes, so that an interrupted one begins anew.

    Args:
        config: settings of the training.
        out: folder, made if needed.
        dataset: navigation episodes that name their maps; the world's own by default.
        world: loaded world to use instead of loading ``config.world``.
        device: device of the world and the network: ``auto``, ``cpu`` or ``cuda``.
        on_update: called with every line of the log.

    Raises:
        ValueError: ``out`` holds an agent of another configuration, or the episodes name no maps.
    """
    run = RunFolder(out, "mapper", config, (WEIGHTS,))
    if run.steps_done():
        return run.path
    env = LightInteractionEnv(
        config.world if world is None else world, config.preset, ACTION_SPACE, "frame", device=device,
        task=config.task, dataset=dataset, scans=config.scans or None,
    )  # fmt: skip
    torch.manual_seed(config.seed)
    target = torch.device(resolve_device(device))
    net = FreeSpaceNet(env.world.spec.frame_size).to(target)
    trainer = FreeSpaceTrainer(net, config.updates, config.batch_size, config.learning_rate, config.seed)
    walk = _Walk(env, config)
    run.begin(0, env.world.spec.step_frames)
    frames, labels = torch.zeros(0, dtype=torch.uint8, device=target), torch.zeros(0, device=target)
    for index in range(config.rounds):
        new_frames, new_labels = walk.round(config.steps * (index + 1) // config.rounds)
        frames, labels = _joined(frames, new_frames), _joined(labels, new_labels)
        error = _error(net, frames[-len(new_frames) :], labels[-len(new_labels) :])
        updates = (index + 1) * config.updates // config.rounds - index * config.updates // config.rounds
        loss = trainer.fit(frames, labels, updates)
        store_net(net, run.snapshot(len(frames)))
        on_update(run.note(len(frames), {"loss": loss, "error": error}))
    with run.save(len(frames)) as folder:
        store_net(net, folder / WEIGHTS)
    return run.path


def store_net(net: FreeSpaceNet, path: Path) -> None:
    """Write a network as safetensors, whole or not at all."""
    write_tensors(path, {name: tensor.detach().cpu().contiguous() for name, tensor in net.state_dict().items()})


def load_net(path: Path, observation_space: spaces.Space[Any], device: str) -> FreeSpaceNet:
    """Load a network that `store_net` wrote.

    Raises:
        ValueError: no such file, weights of another frame size, or observations without a frame and a goal sensor.
    """
    if not isinstance(observation_space, spaces.Dict) or "pointgoal" not in observation_space.spaces:
        raise ValueError("mappers need task='pointgoal' and observation='frame'")
    shape = observation_space["rgb"].shape
    if shape is None or len(shape) != 3:
        raise ValueError("mappers need task='pointgoal' and observation='frame'")
    net = FreeSpaceNet((shape[0], shape[1]))
    wanted = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
    net.load_state_dict(read_tensors(path, wanted, "this world"))
    return net.to(device).eval()


class _Walk:
    """Walk of a teacher, now and then at random, that collects frames and the clearances in the map."""

    def __init__(self, env: LightInteractionEnv, config: MapperConfig) -> None:
        self._macro_actions = MacroActions(env.action_space, env.task.can_stop)
        teacher = follower_of(env.task, self._macro_actions)
        if teacher is None:
            raise ValueError("a mapper is trained on a dataset that names its maps: li-env build episodes")
        self._random, self._teacher = config.random, teacher
        self._rounds = Rounds(env, config.worlds, config.max_episode_steps, config.seed)
        self._angles = ray_angles(env.world.spec.fov[0])
        self._frames: list[np.ndarray] = []
        self._labels: list[np.ndarray] = []

    def round(self, steps: int) -> tuple[np.ndarray, np.ndarray]:
        """Walk until all rounds together have ``steps`` steps.

        Returns:
            (frames uint8 [n, 3, H, W], clearances [n, rays] in length units) of this round.
        """
        self._frames, self._labels = [], []
        self._rounds.play(self._act, steps)
        return np.stack(self._frames), np.stack(self._labels).astype(np.float32)

    def _act(self, views: Sequence[View]) -> tuple[list[np.ndarray], None]:
        indices = []
        for view in views:
            self._frames.append(view.observation["rgb"].transpose(2, 0, 1))
            self._labels.append(self._teacher.clearances(view, self._angles, REACH))
            drawn = view.generator.random() < self._random
            indices.append(int(view.generator.integers(STOP)) if drawn else self._teacher.choose(view))
        return self._macro_actions.actions(indices), None


def _joined(before: torch.Tensor, new: np.ndarray) -> torch.Tensor:
    added = torch.from_numpy(new).to(before.device)
    return torch.cat([before, added]) if len(before) else added


@torch.no_grad()
def _error(net: FreeSpaceNet, frames: torch.Tensor, labels: torch.Tensor) -> float:
    """Return the mean error in length units on frames that the network has not learned from."""
    parts = zip(frames.split(_MICRO_BATCH), labels.split(_MICRO_BATCH), strict=True)
    errors = [(net(seen).clamp(0, 1) * REACH - wanted).abs().mean(1) for seen, wanted in parts]
    return float(torch.cat(errors).mean())
