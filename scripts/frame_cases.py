"""Cases of `frame_hashes`: every value of every axis at least once, through surfaces that stay as they are.

These are ``gymnasium.make``, ``gymnasium.make_vec`` with the vector entry point, ``save_state``, ``restore_state``,
``fork``, and the command line (`frame_commands`). A step of freedoom takes most of a CPU-second, of a tiny published
model a third, of the game next to nothing: so the game walks the longest paths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from frame_commands import command_cases
from frame_hashes import Record
from frame_worlds import goal_options, start_options, world

Case = Callable[[Record], None]

WORLDS = ("freedoom", "freedoom_game", "hy_worldplay", "matrix_game_3")
PRESETS = ("off", "context", "cache", "sparse", "all", "paper")
OWN_PRESET = {
    "warmup_chunks": 1, "window": "adaptive", "window_chunks": 2, "window_kappa": 1.0, "memory": "fov_gate",
    "memory_groups": 1, "memory_threshold": 0.3, "revisit_similarity": 0.4, "denoising": "shortened",
    "attention": "block_sparse", "decode_ratio": 0.4, "context_ratio": 0.5, "dense_first_block": False,
    "sparse_min_context": 0,
}  # fmt: skip
"""What no shipped preset has: an adaptive window with a given kappa, every block sparse."""

STILL, FORWARD, BACKWARD, STRAFE_RIGHT, TURN_LEFT, TURN_RIGHT, FORWARD_LEFT, FORWARD_RIGHT = 0, 1, 2, 4, 5, 6, 7, 8
LOOK_UP, LOOK_DOWN = 9, 10
OUT_AND_BACK = (FORWARD, FORWARD, TURN_LEFT, TURN_RIGHT, BACKWARD, BACKWARD, FORWARD_LEFT, STILL)
"""Warm-up, exploration and revisits in every world."""

LONG = (*OUT_AND_BACK, STRAFE_RIGHT, STRAFE_RIGHT, *[TURN_LEFT] * 3, FORWARD, FORWARD, BACKWARD, *[TURN_RIGHT] * 3)
SHORT = (FORWARD, TURN_RIGHT, FORWARD_LEFT, BACKWARD, BACKWARD)
INTO_A_WALL = (FORWARD, FORWARD, FORWARD, FORWARD_RIGHT, BACKWARD)
LOOK_AROUND = (FORWARD, LOOK_UP, TURN_LEFT, LOOK_DOWN, LOOK_DOWN)
"""The camera looks up and down only in the published models."""


IDS = {name: f"LightInteraction/{name}-v0" for name in ("Explore", "PointGoal", "ImageGoal")}


def cases(checkpoints: Path) -> dict[str, Case]:
    """Return all cases by name, in the order in which they run."""
    found: dict[str, Case] = {}
    for name in WORLDS:
        use = partial(_make, name, checkpoints)
        path = LONG if name == "freedoom_game" else OUT_AND_BACK
        second = INTO_A_WALL if name.startswith("freedoom") else LOOK_AROUND
        for preset in PRESETS:
            found[f"{name}/explore/{preset}"] = partial(walk, use, path, preset=preset, plan_info=True)
        found[f"{name}/explore/own-preset"] = partial(walk, use, path, preset=OWN_PRESET, plan_info=True)
        found[f"{name}/observation/small-grey-frame"] = partial(
            walk, use, SHORT[:2], observation="frame", frame_size=(40, 56), grayscale=True
        )
        found[f"{name}/actions/discrete"] = partial(walk, use, second[:4], seed=0, observation="frame")
        found[f"{name}/actions/continuous"] = partial(
            walk, use, SHORT if second is INTO_A_WALL else LOOK_AROUND, action_space="continuous"
        )
        found[f"{name}/actions/keyboard_mouse"] = partial(walk, use, second, seed=0, action_space="keyboard_mouse")
        for space in ("discrete", "continuous"):
            found[f"{name}/actions/latent-{space}"] = partial(mixed_latents, use, space)
        found[f"{name}/goal/point"] = partial(reach, use, "PointGoal", "discrete")
        found[f"{name}/goal/image"] = partial(reach, use, "ImageGoal", "continuous")
        found[f"{name}/start/options"] = partial(start_elsewhere, use)
        found[f"{name}/state/single"] = partial(go_back, use)
        for mode in ("NextStep", "SameStep", "Disabled"):
            if mode == "SameStep" or name == "freedoom_game":
                found[f"{name}/vector/{mode}"] = partial(step_together, use, mode)
        found[f"{name}/vector/goals"] = partial(goals_together, use)
        found[f"{name}/vector/fork"] = partial(fork, use)
    return found | command_cases()


# Environments


@contextmanager
def _make(name: str, checkpoints: Path, task: str, count: int | None = None, **arguments: Any) -> Iterator[Any]:
    """Make an environment, or a vector environment of ``count``, and close it in the end."""
    loaded = world(name, checkpoints)
    arguments["world"] = name if name in ("freedoom", "freedoom_game") else loaded  # by name where that is possible
    if isinstance(arguments["world"], str):
        arguments["device"] = "cpu"
    if count is None:
        env = gymnasium.make(IDS[task], disable_env_checker=True, render_mode="rgb_array", **arguments)
    else:
        env = gymnasium.make_vec(IDS[task], count, vectorization_mode="vector_entry_point", **arguments)
    env.start_options = start_options(name) | (goal_options(name) if task == "ImageGoal" else {})
    try:
        yield env
    finally:
        env.close()


def _in_space(action: int, space: gymnasium.Space[Any], strength: float = 1.0) -> Any:
    """Convert a discrete action to ``space``; ``strength`` in (0, 1] scales continuous numbers."""
    if isinstance(space, gymnasium.spaces.Discrete):
        return action
    assert isinstance(space, gymnasium.spaces.Box)
    forward = {FORWARD: 1, BACKWARD: -1, FORWARD_LEFT: 1, FORWARD_RIGHT: 1}.get(action, 0)
    right = {STRAFE_RIGHT: 1}.get(action, 0)
    turn = {TURN_LEFT: -1, TURN_RIGHT: 1, FORWARD_LEFT: -1, FORWARD_RIGHT: 1}.get(action, 0)
    pitch = {LOOK_UP: 1, LOOK_DOWN: -1}.get(action, 0)
    values = np.zeros(space.shape, np.float32)
    if space.low[0] < 0:  # continuous: forward, right, yaw, and pitch where the camera has it
        values[:3] = np.array([forward, right, turn]) * strength
        if pitch:
            values[3] = pitch * strength
    else:  # keyboard_mouse: w, s, a, d, yaw, pitch
        pressed = np.array([forward > 0, forward < 0, False, right > 0])
        values[:4] = np.where(pressed, 0.6, 0.4)  # a key counts from 0.5
        values[4:6] = turn * strength, pitch * strength
    return values


def _stop(space: gymnasium.Space[Any]) -> Any:
    if isinstance(space, gymnasium.spaces.Discrete):
        return int(space.n) - 1
    values = np.zeros(space.shape, np.float32)
    values[-1] = 1
    return values


def _reset(record: Record, env: Any, seed: int | None = 3, **options: Any) -> dict[str, Any]:
    chosen = options if "state" in options or "reset_mask" in options else {**env.start_options, **options}
    observation, info = env.reset(seed=seed, options=chosen)
    record.add("observation", observation)
    record.add("info", info)
    return info


def _step(record: Record, env: Any, action: Any) -> bool:
    observation, reward, terminated, truncated, info = env.step(action)
    record.add("observation", observation)
    record.add("reward", reward)
    record.add("terminated", terminated)
    record.add("truncated", truncated)
    record.add("info", info)
    if env.render_mode == "rgb_array":
        record.add("rendered", env.render())
    return bool(np.any(terminated) or np.any(truncated))


# Single environments


def walk(use: Any, path: Sequence[int], record: Record, seed: int = 3, **arguments: Any) -> None:
    """Walk along a path of discrete actions, in whichever action space the environment has."""
    with use("Explore", **arguments) as env:
        _reset(record, env, seed)
        for number, action in enumerate(path):
            _step(record, env, _in_space(action, env.action_space, 1 - 0.1 * (number % 4)))


def mixed_latents(use: Any, space: str, record: Record) -> None:
    """Give every latent of a chunk an action of its own."""
    with use("Explore", action_space=space, latent_actions=True) as env:
        _reset(record, env)
        rows, low = env.action_space.shape[0], getattr(env.action_space, "low", None)
        row = gymnasium.spaces.Discrete(9) if low is None else gymnasium.spaces.Box(low[0], -low[0])
        for start in range(3):
            actions = [LONG[(start + index) % len(LONG)] for index in range(rows)]
            _step(record, env, np.array([_in_space(action, row, 0.7) for action in actions]))


def reach(use: Any, task: str, space: str, record: Record) -> None:
    """Take three steps towards a goal and stop; then begin another episode of the same generator."""
    with use(task, action_space=space) as env:
        _reset(record, env)
        for action in SHORT[:3]:
            _step(record, env, _in_space(action, env.action_space))
        _step(record, env, _stop(env.action_space))
        _reset(record, env, seed=None)
        _step(record, env, _in_space(FORWARD, env.action_space))


def start_elsewhere(use: Any, record: Record) -> None:
    """Start from an own image, at a pose, and under another preset, which then stays."""
    image = np.random.default_rng(1).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    pose = np.eye(4)
    pose[:3, 3] = 0.5, 0, 1
    with use("Explore", preset="off") as env:
        for options in ({"image": image}, {"image": image, "pose": pose, "preset": "all"}):
            if env.start_options or env.unwrapped.world.spec.name != "freedoom_game":
                _reset(record, env, **options)
                _step(record, env, FORWARD)
        if not env.start_options:
            pose = _reset(record, env, start=5, preset="paper")["pose"]
            _step(record, env, TURN_LEFT)
            _reset(record, env, start=5, pose=pose)
            _step(record, env, FORWARD)


def go_back(use: Any, record: Record) -> None:
    """Save a state, go on, restore it, go elsewhere, restore it again, and begin an episode from it."""
    with use("Explore", max_episode_steps=7) as env:
        _reset(record, env)
        for action in (FORWARD, FORWARD, TURN_LEFT):
            _step(record, env, action)
        saved = env.unwrapped.save_state()
        for path in ((BACKWARD, BACKWARD), (TURN_RIGHT, BACKWARD)):
            for action in path:
                _step(record, env, action)
            env.unwrapped.restore_state(saved)
        _reset(record, env, state=saved)
        _step(record, env, BACKWARD)


# Vector environments


def step_together(use: Any, mode: str, record: Record) -> None:
    """Step environments with different presets across the ends of their episodes, in one autoreset mode."""
    count = 3
    with use("Explore", count=count, autoreset_mode=mode, max_episode_steps=5, render_mode="rgb_array") as env:
        options = {"each": [{**env.start_options, "preset": preset} for preset in ("off", "all", "paper")]}
        env.reset(seed=3, options=options)
        for number, action in enumerate(OUT_AND_BACK[:7] if not env.start_options else OUT_AND_BACK[:4]):
            over = _step(record, env, np.array([action, OUT_AND_BACK[-1 - number], FORWARD]))
            if mode == "Disabled" and over:
                _reset(record, env, seed=None, reset_mask=np.ones(count, dtype=bool))
            elif number == 1:
                mask = np.arange(count) == 2
                env.reset(seed=9, options={"reset_mask": mask, "each": [dict(env.start_options)] * count})


def goals_together(use: Any, record: Record) -> None:
    """Play goals in a vector environment with observations as tensors; one environment stops."""
    with use("PointGoal", count=2, observation="frame", device_obs=True, autoreset_mode="Disabled") as env:
        _reset(record, env)
        _step(record, env, np.array([FORWARD, TURN_LEFT]))
        _step(record, env, np.array([_stop(env.single_action_space), FORWARD]))


def fork(use: Any, record: Record) -> None:
    """Fork one environment into another, restore states across environments, and step them separately."""
    with use("Explore", count=2, autoreset_mode="Disabled", action_space="continuous") as env:
        _reset(record, env)
        space = env.single_action_space

        def together(*actions: int) -> None:
            _step(record, env, np.stack([_in_space(action, space) for action in actions]))

        together(FORWARD, TURN_LEFT)
        together(FORWARD, TURN_LEFT)
        saved = env.unwrapped.save_state()
        env.unwrapped.fork(0, 1)
        together(FORWARD, BACKWARD)
        env.unwrapped.restore_state(saved[::-1])
        together(BACKWARD, STILL)
