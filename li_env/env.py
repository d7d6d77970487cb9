"""The single environment: actions in, generated video out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from types import FrameType
from typing import Any

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.utils import EzPickle
from gymnasium.wrappers import TimeLimit

from li_env.accel.config import AccelConfig
from li_env.accel.world import BaseWorld
from li_env.episodes import Observation, Preset, open_episodes
from li_env.fitted_scans import ScanSource
from li_env.generators import new_generator, unmoved_on_failure
from li_env.images import fit_note
from li_env.start_view import moved_note
from li_env.state import EpisodeState
from li_env.tasks import EpisodeDataset, Task
from li_env.validation import check_choice
from li_env.viewer import Window

DEFAULT_PRESET = "all"


class LightInteractionEnv(gymnasium.Env[Observation, Any], EzPickle):
    """A generated world with a task: ``LightInteraction/Explore-v0``, ``/PointGoal-v0``, ``/ImageGoal-v0``.

    One step makes one chunk of video: the action is held for every latent of the chunk (or there is one per latent,
    ``latent_actions``), a planner decides what the model looks back at, the model generates the frames.

    **Action space.** ``discrete``, ``continuous`` or ``keyboard_mouse``; one table for all in `li_env.actions`. In
    PointGoal and ImageGoal it has ``stop``, which makes no chunk: the frames stay those of the step before.

    **Observation space.** ``chunk``: uint8 [T, H, W, 3], RGB, the last T frames of the episode's video, T fixed per
    world: the most that a chunk can bring. ``info["new_frames"]`` says how many rows at the end are new, so that
    ``chunk[-new:]`` of the reset and of every step, joined (nothing where it is 0), is every frame once and in order: 1
    at a reset, which shows the start frame T times, 0 after ``stop``, else the frames that the step made. ``frame``:
    uint8 [H, W, 3], the last frame. Goal tasks have a Dict of these frames as ``rgb`` and a sensor: ``pointgoal``,
    float32 [2], distance in length units and bearing in radians, positive to the right; or ``imagegoal``, uint8
    [H, W, 3].

    **Reward of Explore.** Newly seen area in units of one full view:
    ``reward = cells covered for the first time in this step / cells of one view wedge``. Cells are squares of
    ``view_distance / 16`` on the floor plan; a view covers the cells whose centres lie within the horizontal field of
    view and ``view_distance``; the wedge holds ``fov / 2 * 16**2`` cells (fov in radians). The view of the start frame
    counts as seen. Occlusion is not known to a video model and ignored (`li_env.tasks.seen_area`).

    **Reward of goals.** Length units by which the path to the goal became shorter (along corridors in a known map, else
    straight), a slack reward per step and a success reward: `li_env.tasks.navigation`, ``configs/tasks``. Success is
    ``stop`` within the success radius.

    **End.** ``terminated`` after ``stop``, never in Explore. ``truncated`` by the time limit (64 steps as registered,
    32 in goal tasks) or when the world degenerated (NaN or infinity in the latents; ``info["degenerated"]`` is then
    True).

    **Reset options.** ``image`` (uint8 [h, w, 3], RGB, any size: scaled to cover the frame, then centre-cropped;
    the attribute ``image_note`` then says so), ``prompt`` (str), ``pose`` (4x4 camera-to-world, OpenCV axes;
    the game shows its view from there, a generated world its start frame as what is seen from there),
    ``start`` (index of one of the world's start frames; drawn from the seed otherwise), ``state`` (an `EpisodeState`
    of this world and task, of an episode that was not over; excludes the others and leaves the noise of the episode as
    it was saved; the steps of the time limit begin anew, where `restore_state` counts on), ``preset`` (as the argument;
    it stays for the episodes after this one too, as if the attribute `preset` had been set), ``scan`` (a `Scan` or its
    path, None for no scan: the episode takes place there, and poses are in its axes) with ``view`` (the view to begin
    at; drawn from the seed otherwise) or ``pose`` (any pose that a view is near). Goal tasks: ``episode``
    (index in the dataset; drawn from the seed otherwise; excludes the others), ``goal`` (x, z in the axes of the poses)
    and, in ImageGoal, ``goal_image`` with it. Without a dataset a goal is drawn inside the first view.

    **Determinism.** Same seed and actions, same frames bit for bit: on one machine and device, with one version of
    PyTorch, one number of threads (``torch.set_num_threads``) and, on a GPU, one batch block (docs/vector_env.md).
    Other settings of PyTorch (autocast, default type and device, precision of products) do not reach into a world.

    **Info.** Flat: numbers and arrays of fixed shape and type, the same keys after a reset, a step and a ``stop``, new
    objects in every call.

    - Camera: ``pose`` float64 [4, 4] camera-to-world (OpenCV axes) of the last frame; ``frame_poses`` [T, 4, 4] of the
      last T frames (between latents: straight line and shortest arc); ``intrinsics`` [3, 3] in pixels;
      ``frame_times`` [T], seconds since the start frame, 0 where the start frame fills up; ``new_frames``.
    - Motion: ``latent_poses`` [n, 4, 4] and realised ``motion`` [n, 4] (yaw and pitch in degrees, right and forward in
      length units) of the step's latents, ``new_latents`` of them at the end, in front of them the pose
      before and standing still; ``blocked`` (share of the commanded distance that walls refused,
      or of the commanded pitch: cameras stop 89 degrees up or down).
    - Episode: ``chunk`` (chunks made), ``start_index``, ``episode_seed``, ``degenerated``.
    - Plan of the chunk in numbers (zeros where the step made none): ``regime`` (`li_env.infos.RegimeCode`),
      ``similarity``, ``denoising_steps``, ``context_latents``, of these ``recent_latents``, ``retrieved_latents`` and
      ``scan_views``,
      ``attention_density``. In words it is the attribute `plan`.
    - Task: Explore adds ``seen_area`` (square length units) and ``new_cells``; goal tasks add Habitat's measures as if
      the episode ended now: ``distance_to_goal``, ``success``, ``spl``, ``soft_spl``, ``path_length``, ``collisions``,
      ``num_steps``, and ``start_distance``, ``goal`` (x, z), ``episode_index``.
    - With ``timings=True`` measured milliseconds ``milliseconds_motion``, ``_plan``, ``_generate``, ``_decode``; they
      differ from run to run, which Gymnasium's checker forbids.

    **Pickling** stores the constructor's arguments and never weights or episodes: the copy starts afresh.

    Args:
        world: a name from `li_env.worlds.world_names`, or a `BaseWorld`.
        preset: acceleration settings: the name of a preset, a mapping of keys to values, the path of a YAML file, or an
            `AccelConfig` (`AccelConfig.of`); the attribute `preset` changes them later.
        action_space: ``discrete``, ``continuous`` or ``keyboard_mouse``.
        observation: ``chunk`` or ``frame``.
        render_mode: ``rgb_array`` (the last frame; one per step, hence ``render_fps`` = fps / frames of a step),
            ``human`` (a window that plays all frames; extra ``[play]``) or ``None``.
        device: ``auto``, ``cpu`` or ``cuda``; ignored when ``world`` is a `BaseWorld`.
        weights: folder with weights instead of the shipped ones; only with a world's name.
        timings: put measured milliseconds into ``info``.
        task: ``explore``, ``pointgoal`` or ``imagegoal`` (the ids bring theirs), or a `li_env.tasks.Task`.
        dataset: file of navigation episodes for a goal task, or an `EpisodeDataset`; the worlds ``freedoom``,
            ``freedoom_large`` and ``freedoom_game`` have one of their own, on held-out maps.
        plan_info: put the plan in words into ``info["plan"]``, a dictionary, empty where the step made no chunk.
        frame_size: (height, width) of observed frames, by default the world's (`li_env.observations`). Sensors that are
            pictures of the camera's size follow, and ``info["intrinsics"]``; rendering and recording show whole frames.
        grayscale: observe frames uint8 [..., H, W, 1] in grey.
        latent_actions: a step takes one action per latent of the chunk, shape [n, ...] (`li_env.latent_actions`),
            instead of one that is held for all of them.
        scan: scan in which every episode takes place, unless the option ``scan`` names another (docs/scans.md).
        scans: scans instead, a list or a folder with some: every episode draws one. Scans of maps (``map_seed``) with a
            dataset whose episodes are on them: every episode draws one of those, and takes place in its map's scan.

    Raises:
        ValueError: an argument, option or action that is not allowed; the message names key, value and what is allowed.
    """

    metadata: dict[str, Any] = {"render_modes": ["human", "rgb_array"], "render_fps": 4}  # noqa: RUF012

    def __init__(
        self,
        world: str | BaseWorld = "freedoom",
        preset: Preset = DEFAULT_PRESET,
        action_space: str = "discrete",
        observation: str = "chunk",
        render_mode: str | None = None,
        device: str = "auto",
        weights: str | Path | None = None,
        timings: bool = False,
        task: str | Task = "explore",
        dataset: str | Path | EpisodeDataset | None = None,
        plan_info: bool = False,
        frame_size: tuple[int, int] | None = None,
        grayscale: bool = False,
        latent_actions: bool = False,
        scan: ScanSource | None = None,
        scans: Sequence[ScanSource] | str | Path | None = None,
    ) -> None:
        EzPickle.__init__(
            self,
            *(world, preset, action_space, observation, render_mode, device, weights, timings, task, dataset),
            *(plan_info, frame_size, grayscale, latent_actions, scan, scans),
        )
        if render_mode is not None:
            check_choice("render_mode", render_mode, self.metadata["render_modes"])
        self.runner = open_episodes(
            *(world, preset, action_space, observation, device, weights, timings, task, dataset),
            plan_info=plan_info,
            frame_size=frame_size,
            grayscale=grayscale,
            latent_actions=latent_actions,
            scan=scan,
            scans=scans,
        )
        self.world, self.actions = self.runner.world, self.runner.actions
        spec = self.world.spec
        # Copies: wrappers are known to change spaces in place.
        self.action_space = deepcopy(self.actions.space)
        self.observation_space = deepcopy(self.runner.observation_space)
        self.render_mode = render_mode
        self.metadata = {**type(self).metadata, "render_fps": spec.fps / spec.step_frames}
        self.image_note: str | None = None
        """Note on scaling and cropping of the last reset's image, or on the view that it began at instead of a pose
        without a picture; None where all was as asked for."""
        self._preset = self.runner.engine.config
        self._state: EpisodeState | None = None
        self._elsewhere = False  # wrappers count the steps of another episode than the one that goes on here
        self._window: Window | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode; options as in the class docstring."""
        options = {} if options is None else options
        self._elsewhere = True  # wrappers have begun an episode; if this raises, the one before goes on
        self.runner.check_options(options)
        # Nothing of this environment changes before the episode has begun.
        generator, used = (self.np_random, self.np_random_seed) if seed is None else new_generator(seed)
        if "state" in options:
            state = self.runner.begin_at(options["state"])
        else:
            with unmoved_on_failure([generator]):
                (state,) = self.runner.start([generator], [options], [self._preset])
        self._state, self._np_random, self._np_random_seed, self._elsewhere = state, generator, used, False
        self._preset = self.runner.preset_of(state)
        self._show()
        self.image_note = moved_note(self.world, state.episode.bank, options.get("pose"), state.episode.pose)
        if "image" in options:
            self.image_note = fit_note(options["image"], self.world.spec.frame_size)
        return self.runner.observation(self._state), self.runner.info(self._state)

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Make one chunk under ``action``."""
        before = self._current()
        (state,) = self.runner.step([before], [action])
        if self._elsewhere:
            self._set_time_limits(before.steps)
        self._state, self._elsewhere = state, False
        self._show()
        runner = self.runner
        ended = runner.terminated(state), runner.truncated(state)
        return runner.observation(state), runner.reward(state), *ended, runner.info(state)

    @property
    def preset(self) -> AccelConfig:
        """Acceleration settings, of the episodes to come too. An assignment counts from the next reset on.

        An episode keeps those it began with. A saved state brings its own, which then stay.

        Raises:
            ValueError: on assignment of settings that are not allowed.
        """
        return self._preset

    @preset.setter
    def preset(self, preset: Preset) -> None:
        self._preset = AccelConfig.of(preset)

    @property
    def plan(self) -> dict[str, Any] | None:
        """Plan of the last step's chunk in words, as reports have it; ``None`` where the step made no chunk."""
        last = self._current().last
        return None if last is None else last.plan.to_dict()

    @property
    def task(self) -> Task:
        """Task of the agent."""
        return self.runner.task

    @property
    def stop_action(self) -> int | np.ndarray | None:
        """Action that ends an episode; None where the task has none."""
        return self.runner.stop_action

    def simulate(
        self, states: Sequence[EpisodeState], actions: Sequence[Any]
    ) -> tuple[list[EpisodeState], np.ndarray, np.ndarray, np.ndarray]:
        """Make what-if steps from saved states, see `EpisodeRunner.simulate`; the environment stays where it is."""
        return self.runner.simulate(states, actions)

    def render(self) -> np.ndarray | None:  # type: ignore[override]
        """Return the last frame, uint8 [H, W, 3], in mode ``rgb_array``; ``human`` draws in `reset` and `step`."""
        if self.render_mode != "rgb_array":
            return None
        return self._current().frames[-1].copy()

    def last_frames(self) -> np.ndarray:
        """Return the last T frames of the video, uint8 [T, H, W, 3], as in observation mode ``chunk``."""
        return self._current().frames.copy()

    def save_state(self) -> EpisodeState:
        """Return the state, in O(1). The environment may go on; the saved state does not change."""
        return self._current()

    def restore_state(self, state: EpisodeState) -> None:
        """Go back (or over) to a saved state, in O(1), the number of its steps included.

        Any environment with the same world and task may restore it. A `TimeLimit` around this one counts on from the
        state's steps. Other wrappers with a memory of their own (statistics, stacks of frames) do not notice.

        Raises:
            ValueError: not an `EpisodeState`, or a state of another world or task, or of a world on another device.
        """
        self._state, self._elsewhere = self.runner.check_state(state), True
        self._preset = self.runner.preset_of(self._state)

    def close(self) -> None:
        """Close the window, if there is one. May be called again."""
        if self._window is not None:
            self._window.close()
            self._window = None

    def __getstate__(self) -> dict[str, Any]:
        """Return the constructor's arguments only (EzPickle).

        Raises:
            TypeError: the environment was built on a `BaseWorld`, whose weights must not be pickled.
        """
        return constructor_state(self, self._ezpickle_args[0])

    def _set_time_limits(self, steps: int) -> None:
        """Let the `TimeLimit` wrappers that this step came through count on from ``steps``.

        The wrappers count for themselves and hold this environment, which does not know them. The frames of the calling
        functions are the only means to find them.
        """
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            caller = frame.f_locals.get("self")
            if isinstance(caller, TimeLimit) and caller.unwrapped is self:
                caller._elapsed_steps = steps  # type: ignore[assignment]
            frame = frame.f_back

    def _current(self) -> EpisodeState:
        if self._state is None:
            raise ResetNeeded("call reset() first")
        return self._state

    def _show(self) -> None:
        if self.render_mode != "human":
            return
        spec = self.world.spec
        if self._window is None:
            self._window = Window(spec.frame_size, spec.fps, f"LightInteraction: {spec.name}")
        state = self._current()
        self._window.show(state.frames[-max(1, state.new_frames) :])


def constructor_state(env: EzPickle, world: object) -> dict[str, Any]:
    """Return what is pickled of an environment: its constructor's arguments, of which ``world`` must be a name.

    Raises:
        TypeError: a world object, whose weights must not be pickled.
    """
    if not isinstance(world, str):
        raise TypeError(
            "an environment on a world object cannot be pickled (it would carry the weights): "
            "register_world() the world and pass its name"
        )
    state: dict[str, Any] = EzPickle.__getstate__(env)
    return state
