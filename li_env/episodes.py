"""Episodes of one world as values: start them, step a batch of them, read what an agent gets to see.

Nothing is kept between calls, a moment goes in and the next one comes out. The single environment holds one moment,
a batch of worlds a list of them; both get the same frames, rewards and infos from here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.error import ResetNeeded

from li_env.accel.engine import Engine
from li_env.actions import ActionMapper
from li_env.errors import check_choice, check_keys
from li_env.images import fit_image
from li_env.seen_area import SeenArea, ViewWedge
from li_env.state import SavedState, StepRecord, check_pose, fixed_rows, read_only

OBSERVATIONS = ("chunk", "frame")
START_OPTIONS = ("image", "prompt", "pose", "start", "state")


class Episodes:
    """The rules of Explore on one world.

    Args:
        engine: the world and its acceleration.
        actions: the action space.
        observation: ``chunk`` or ``frame``.
        timings: put measured milliseconds into ``info["accel"]``.

    Raises:
        ValueError: another observation mode.
    """

    def __init__(self, engine: Engine, actions: ActionMapper, observation: str, timings: bool) -> None:
        self.engine, self.actions, self._timings = engine, actions, timings
        self.world, self.spec = engine.world, engine.world.spec
        self.observation_mode = check_choice("observation", observation, OBSERVATIONS)
        self.wedge = ViewWedge(self.spec.fov[0], self.spec.view_distance)

    def start(
        self, generators: Sequence[np.random.Generator], options: Sequence[Mapping[str, Any]]
    ) -> list[SavedState]:
        """Begin one episode per generator; options as in `li_env.env.LightInteractionEnv`.

        Raises:
            ValueError: an option that is not known or a value that is not allowed.
        """
        images, prompts, seeds, poses, indices = [], [], [], [], []
        for generator, given in zip(generators, options, strict=True):
            # Always both draws, so that the noise does not depend on where the start frame came from.
            seeds.append(int(generator.integers(2**31 - 1)))
            image, pose, index = self._start_view(given, float(generator.random()))
            prompt = given.get("prompt", "")
            if not isinstance(prompt, str):
                raise ValueError(f"prompt={prompt!r} is not usable; allowed: a string")
            images.append(image)
            prompts.append(prompt)
            poses.append(check_pose(given["pose"]) if "pose" in given else pose)
            indices.append(index)
        started = self.engine.start(images, prompts, seeds, poses)
        frames = [read_only(np.repeat(image[None], self.spec.chunk_frames, axis=0)) for image in images]
        return [
            SavedState(self.spec, episode, SeenArea(self.wedge).look(pose[None])[0], shown, index, 0, None)
            for episode, pose, shown, index in zip(started, poses, frames, indices, strict=True)
        ]

    def step(self, moments: Sequence[SavedState], actions: Sequence[Any]) -> list[SavedState]:
        """Make one chunk of every episode, each under its action, held for all latents of the chunk.

        Raises:
            ValueError: an action outside the space.
            ResetNeeded: an episode that is over because its world degenerated.
        """
        motions = []
        for now, action in zip(moments, actions, strict=True):
            if now.episode.degenerated:
                raise ResetNeeded("the world degenerated and the episode is over: call reset() or restore_state()")
            count = self.spec.latents_in_chunk(now.episode.chunk) - (1 if now.episode.chunk == 0 else 0)
            motions.append((self.actions.to_motion(action),) * count)
        episodes, results = self.engine.step([now.episode for now in moments], motions)
        following = []
        for now, episode, result in zip(moments, episodes, results, strict=True):
            seen, new_cells = now.seen.look(result.poses)
            frames = read_only(fixed_rows(result.frames, self.spec.chunk_frames, now.frames[0]))
            record = StepRecord.of(result, self.spec.chunk_latents)
            following.append(SavedState(self.spec, episode, seen, frames, now.start_index, new_cells, record))
        return following

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Refuse unknown options and combinations that contradict each other.

        Raises:
            ValueError: names the option, what is wrong and what is allowed.
        """
        check_keys("reset option", options, START_OPTIONS)
        if "state" in options:
            if len(options) > 1:
                others = ", ".join(sorted(set(options) - {"state"}))
                raise ValueError(f"reset option 'state' excludes the others; given with it: {others}")
            self.check_state(options["state"])
        if "image" in options and "start" in options:
            raise ValueError("reset options 'image' and 'start' exclude each other")

    def check_state(self, state: Any) -> SavedState:
        """``state``, if it is a saved moment of this world.

        Raises:
            ValueError: it is not.
        """
        if not isinstance(state, SavedState):
            raise ValueError(f"state={type(state).__name__} is not usable; allowed: what save_state() returned")
        if state.spec != self.spec:
            raise ValueError(f"state of world {state.spec.name!r}; allowed here: states of {self.spec.name!r}")
        return state

    def observation(self, now: SavedState) -> np.ndarray:
        """The frames of the last step, or the last of them: always a new array."""
        return (now.frames if self.observation_mode == "chunk" else now.frames[-1]).copy()

    def reward(self, now: SavedState) -> float:
        """Newly seen area in views: cells first seen in the last step / cells of one view wedge."""
        return now.new_cells / self.wedge.cells

    def info(self, now: SavedState) -> dict[str, Any]:
        """What `li_env.env.LightInteractionEnv` documents: new objects, arrays of fixed shape."""
        latents = self.spec.chunk_latents
        pose = np.array(now.episode.pose, dtype=np.float64)
        info: dict[str, Any] = {
            "pose": pose,
            "latent_poses": np.tile(pose, (latents, 1, 1)) if now.last is None else now.last.latent_poses.copy(),
            "motion": np.zeros((latents, 4)) if now.last is None else now.last.motion.copy(),
            "blocked": 0.0 if now.last is None else now.last.blocked,
            "seen_area": now.seen.area,
            "new_cells": now.new_cells,
            "chunk": int(now.episode.chunk),
            "start_index": now.start_index,
            "episode_seed": int(now.episode.seed),
            "degenerated": bool(now.episode.degenerated),
        }
        if now.last is not None:
            info["accel"] = {**now.last.plan, "attention": dict(now.last.plan["attention"])}
            if self._timings:
                info["accel"]["milliseconds"] = dict(now.last.milliseconds)
        return info

    def _start_view(self, options: Mapping[str, Any], draw: float) -> tuple[np.ndarray, np.ndarray, int]:
        """(start frame, pose, index of the start frame or -1); ``draw`` in [0, 1) picks one if nothing is asked."""
        if "image" in options:
            return fit_image(options["image"], self.spec.frame_size), np.eye(4), -1
        frames = getattr(self.world, "start_frames", None)
        if frames is None or len(frames) == 0:
            raise ValueError(f"world {self.spec.name!r} has no start frames: reset(options={{'image': ...}})")
        index = options.get("start", int(draw * len(frames)))
        whole = isinstance(index, int | np.integer) and not isinstance(index, bool)
        if not whole or not 0 <= index < len(frames):
            raise ValueError(f"start={index!r} is not a start frame; allowed: 0 to {len(frames) - 1}")
        poses = getattr(self.world, "start_poses", None)
        pose = np.eye(4) if poses is None else np.array(poses[index], dtype=np.float64)
        return fit_image(np.asarray(frames[index]), self.spec.frame_size), pose, int(index)
