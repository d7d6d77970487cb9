"""The single-world environment: actions in, generated video out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from gymnasium.utils import EzPickle

from li_env.accel.camera import CameraMotion
from li_env.accel.config import AccelConfig
from li_env.accel.engine import Engine
from li_env.accel.world import WorldModel
from li_env.actions import ActionMapper
from li_env.errors import check_choice, check_keys
from li_env.images import fit_image
from li_env.seen_area import SeenArea, ViewWedge
from li_env.state import SavedState, StepRecord, check_pose, fixed_rows, read_only
from li_env.window import Window
from li_env.worlds.registry import load_world

DEFAULT_PRESET = "off"
OBSERVATIONS = ("chunk", "frame")
RESET_OPTIONS = ("image", "prompt", "pose", "start", "state")


class LightInteractionEnv(gymnasium.Env[np.ndarray, Any], EzPickle):
    """Explore a generated world: ``LightInteraction/Explore-v0``.

    One step makes one chunk of video: the action is held for every latent of the chunk, a planner decides what the
    model looks back at, the model generates the frames.

    **Action space.** ``discrete``, ``continuous`` or ``keyboard_mouse``; one table for all in `li_env.actions`.

    **Observation space.** ``chunk``: uint8 [T, H, W, 3], RGB, the frames of the step, T fixed per world. Where a first
    chunk has fewer new frames it is padded in front with the start frame, where it has more the last T count; a reset
    shows the start frame T times. ``frame``: uint8 [H, W, 3], the last frame.

    **Reward.** Newly seen area in units of one full view:
    ``reward = cells covered for the first time in this step / cells of one view wedge``. Cells are squares of
    ``view_distance / 16`` on the floor plan; a view covers the cells whose centres lie within the horizontal field of
    view and ``view_distance``; the wedge holds ``fov / 2 * 16**2`` cells (fov in radians). The view of the start frame
    counts as seen. Occlusion is not known to a video model and ignored (`li_env.seen_area`).

    **End.** Never ``terminated``. ``truncated`` by the time limit (64 steps as registered) or when the world
    degenerated (NaN or infinity in the latents; ``info["degenerated"]`` is then True).

    **Reset options.** ``image`` (uint8 [h, w, 3], RGB, any size: scaled to cover the frame, then centre-cropped),
    ``prompt`` (str), ``pose`` (4x4 camera-to-world, OpenCV axes), ``start`` (index of one of the world's start frames;
    drawn from the seed otherwise), ``state`` (a `SavedState`; excludes the others and leaves the noise of the
    episode as it was saved).

    **Determinism.** Same seed and actions, same frames bit for bit, on one device.

    **Info.** New objects in every call, arrays of fixed shape: ``pose`` float64 [4, 4] camera-to-world (OpenCV axes),
    ``latent_poses`` float64 [n, 4, 4] and ``motion`` float64 [n, 4] (yaw and pitch in degrees, right and forward in
    length units, as it really happened) for the n latents of a chunk, ``blocked`` (share of the commanded way that
    walls refused), ``seen_area`` (square length units), ``new_cells``, ``chunk`` (chunks made), ``start_index``,
    ``episode_seed``, ``degenerated``, and after a step ``accel``: the chunk's plan as a dictionary. Measured times
    differ from run to run, which Gymnasium's checker forbids, so ``accel["milliseconds"]`` (by stage) is there only
    with ``timings=True``.

    **Pickling** stores the constructor's arguments and never weights or episodes: the copy starts afresh.

    Args:
        world: a name from `li_env.worlds.world_names`, or a `WorldModel`.
        preset: an acceleration preset by name, or an `AccelConfig`.
        action_space: ``discrete``, ``continuous`` or ``keyboard_mouse``.
        observation: ``chunk`` or ``frame``.
        render_mode: ``rgb_array`` (the last frame; one per step, hence ``render_fps`` = fps / T), ``human`` (a window
            that plays all frames; extra ``[play]``) or ``None``.
        device: ``auto``, ``cpu`` or ``cuda``; ignored when ``world`` is a `WorldModel`.
        weights: folder with weights instead of the shipped ones; only with a world's name.
        timings: put measured milliseconds into ``info["accel"]``.

    Raises:
        ValueError: any argument, option or action that is not allowed; the message names it, its value and what is.
    """

    metadata: dict[str, Any] = {"render_modes": ["human", "rgb_array"], "render_fps": 4}  # noqa: RUF012

    def __init__(
        self,
        world: str | WorldModel = "freedoom",
        preset: str | AccelConfig = DEFAULT_PRESET,
        action_space: str = "discrete",
        observation: str = "chunk",
        render_mode: str | None = None,
        device: str = "auto",
        weights: str | Path | None = None,
        timings: bool = False,
    ) -> None:
        EzPickle.__init__(self, world, preset, action_space, observation, render_mode, device, weights, timings)
        if render_mode is not None:
            check_choice("render_mode", render_mode, self.metadata["render_modes"])
        self.observation = check_choice("observation", observation, OBSERVATIONS)
        config = preset if isinstance(preset, AccelConfig) else AccelConfig.preset(preset)
        if isinstance(world, str):
            self.world = load_world(world, device=device, weights=weights)
        elif weights is not None:
            # Silently ignoring the folder would run other weights than the user asked for.
            raise ValueError(f"weights={str(weights)!r} goes with a world's name; a WorldModel brings its own")
        elif isinstance(world, WorldModel):
            self.world = world
        else:
            raise ValueError(f"world={type(world).__name__} is not usable; allowed: a world's name or a WorldModel")
        self.engine = Engine(self.world, config)
        spec = self.world.spec
        self.actions = ActionMapper(action_space, spec.motion)
        self.action_space = self.actions.space
        shape = (*spec.frame_size, 3)
        self.observation_space = spaces.Box(
            0, 255, (spec.chunk_frames, *shape) if observation == "chunk" else shape, np.uint8
        )
        self.render_mode = render_mode
        self.metadata = {**type(self).metadata, "render_fps": spec.fps / spec.chunk_frames}
        self._timings = timings
        self._wedge = ViewWedge(spec.fov[0], spec.view_distance)
        self._now: SavedState | None = None
        self._window: Window | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode; options as in the class docstring."""
        super().reset(seed=seed)
        options = dict(options or {})
        check_keys("reset option", options, RESET_OPTIONS)
        if "state" in options:
            if len(options) > 1:
                others = ", ".join(sorted(set(options) - {"state"}))
                raise ValueError(f"reset option 'state' excludes the others; given with it: {others}")
            self.restore_state(options["state"])
        else:
            self._now = self._start(options)
        self._show()
        return self._observe(), self._info()

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Make one chunk under ``action``."""
        now = self._current()
        if now.episode.degenerated:
            raise ResetNeeded("the world degenerated and the episode is over: call reset() or restore_state()")
        motion = self.actions.to_motion(action)
        spec = self.world.spec
        count = spec.latents_in_chunk(now.episode.chunk) - (1 if now.episode.chunk == 0 else 0)
        held: tuple[CameraMotion, ...] = (motion,) * count
        (episode,), (result,) = self.engine.step([now.episode], [held])
        seen, new_cells = now.seen.look(result.poses)
        self._now = SavedState(
            spec=spec,
            episode=episode,
            seen=seen,
            frames=read_only(fixed_rows(result.frames, spec.chunk_frames, now.frames[0])),
            start_index=now.start_index,
            new_cells=new_cells,
            last=StepRecord.of(result, spec.chunk_latents),
        )
        self._show()
        return self._observe(), new_cells / self._wedge.cells, False, bool(episode.degenerated), self._info()

    def render(self) -> np.ndarray | None:  # type: ignore[override]
        """``rgb_array``: the last frame, uint8 [H, W, 3]. ``human`` draws by itself in `reset` and `step`."""
        if self.render_mode != "rgb_array":
            return None
        return self._current().frames[-1].copy()

    def last_frames(self) -> np.ndarray:
        """All frames of the last step, uint8 [T, H, W, 3], whatever the observation mode."""
        return self._current().frames.copy()

    def save_state(self) -> SavedState:
        """This moment, in O(1). The environment may go on; the saved state does not change."""
        return self._current()

    def restore_state(self, state: SavedState) -> None:
        """Go back (or over) to a saved moment, in O(1). Any environment on the same world may restore it.

        Raises:
            ValueError: not a `SavedState`, or one of another world.
        """
        if not isinstance(state, SavedState):
            raise ValueError(f"state={type(state).__name__} is not usable; allowed: what save_state() returned")
        if state.spec != self.world.spec:
            raise ValueError(f"state of world {state.spec.name!r}; allowed here: states of {self.world.spec.name!r}")
        self._now = state

    def close(self) -> None:
        """Close the window, if there is one. May be called again."""
        if self._window is not None:
            self._window.close()
            self._window = None

    def __getstate__(self) -> dict[str, Any]:
        """Constructor arguments only (EzPickle).

        Raises:
            TypeError: the environment was built on a `WorldModel`, whose weights must not be pickled.
        """
        if not isinstance(self._ezpickle_args[0], str):
            raise TypeError(
                "an environment on a WorldModel object cannot be pickled (it would carry the weights): "
                "register_world() the world and pass its name"
            )
        state: dict[str, Any] = EzPickle.__getstate__(self)
        return state

    def _start(self, options: Mapping[str, Any]) -> SavedState:
        spec = self.world.spec
        # Always both draws, so that the noise does not depend on where the start frame came from.
        episode_seed = int(self.np_random.integers(2**31 - 1))
        image, pose, start_index = self._start_view(options, float(self.np_random.random()))
        prompt = options.get("prompt", "")
        if not isinstance(prompt, str):
            raise ValueError(f"prompt={prompt!r} is not usable; allowed: a string")
        pose = check_pose(options["pose"]) if "pose" in options else pose
        (episode,) = self.engine.start([image], [prompt], [episode_seed], [pose])
        seen, _ = SeenArea(self._wedge).look(pose[None])
        frames = np.repeat(image[None], spec.chunk_frames, axis=0)
        return SavedState(spec, episode, seen, read_only(frames), start_index, new_cells=0, last=None)

    def _start_view(self, options: Mapping[str, Any], draw: float) -> tuple[np.ndarray, np.ndarray, int]:
        """(start frame, pose, index of the start frame or -1); ``draw`` in [0, 1) picks one if nothing is asked."""
        if "image" in options:
            if "start" in options:
                raise ValueError("reset options 'image' and 'start' exclude each other")
            return fit_image(options["image"], self.world.spec.frame_size), np.eye(4), -1
        frames = getattr(self.world, "start_frames", None)
        if frames is None or len(frames) == 0:
            raise ValueError(f"world {self.world.spec.name!r} has no start frames: reset(options={{'image': ...}})")
        index = options.get("start", int(draw * len(frames)))
        whole = isinstance(index, int | np.integer) and not isinstance(index, bool)
        if not whole or not 0 <= index < len(frames):
            raise ValueError(f"start={index!r} is not a start frame; allowed: 0 to {len(frames) - 1}")
        poses = getattr(self.world, "start_poses", None)
        pose = np.eye(4) if poses is None else np.array(poses[index], dtype=np.float64)
        return fit_image(np.asarray(frames[index]), self.world.spec.frame_size), pose, int(index)

    def _current(self) -> SavedState:
        if self._now is None:
            raise ResetNeeded("call reset() first")
        return self._now

    def _observe(self) -> np.ndarray:
        return self.last_frames() if self.observation == "chunk" else self._current().frames[-1].copy()

    def _info(self) -> dict[str, Any]:
        now = self._current()
        latents = self.world.spec.chunk_latents
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

    def _show(self) -> None:
        if self.render_mode != "human":
            return
        spec = self.world.spec
        if self._window is None:
            self._window = Window(spec.frame_size, spec.fps, f"LightInteraction: {spec.name}")
        now = self._current()
        self._window.show(now.frames if now.last is not None else now.frames[-1:])
