"""Many worlds in one process on one model: the native vector environment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.utils import EzPickle, seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space, iterate

from li_env.accel.config import AccelConfig
from li_env.actions import from_tensor
from li_env.env import DEFAULT_PRESET
from li_env.episodes import Preset, check_mapping, new_generator, open_episodes, unmoved_on_failure
from li_env.frames import on_host
from li_env.state import EpisodeState
from li_env.tasks import Task
from li_env.validation import check_choice, check_whole, shown
from li_env.vector.batches import batch_arrays, batch_tensors, on_device
from li_env.vector.infos import objects, stack_infos
from li_env.vector.memory_check import check_memory

Outcome = tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]


class LightInteractionVectorEnv(VectorEnv[Any, Any, np.ndarray], EzPickle):
    """``num_envs`` worlds that step together: one model, one batch for all worlds whose plans allow it.

    ``gymnasium.make_vec(id, num_envs, vectorization_mode="vector_entry_point", ...)`` takes the arguments of
    `li_env.env.LightInteractionEnv` besides those below. Every world is what the single environment is: world i of
    ``reset(seed=s)`` is the single environment after ``reset(seed=s + i)``. Frames are bit-equal to those of single
    environments up to what the size of a batch does to the rounding of the model's matrix products; an episode's
    plans, noise and reward do not depend on its neighbours.

    **Autoreset.** `AutoresetMode.NEXT_STEP`: the step after the end of an episode ignores its action, resets the world
    and gives reward 0. ``SAME_STEP``: the world is reset in the step that ends the episode; ``infos["final_obs"]``
    (one observation per ended world, None elsewhere) and ``infos["final_info"]`` tell how it ended. ``DISABLED``:
    ended worlds must be reset with ``reset(options={"reset_mask": mask})`` before the next step. Resets after the first
    draw from the world's own generator, so that they do not depend on when other worlds end.

    **Reset options.** Those of the single environment, the same for all worlds; ``reset_mask`` (bool [num_envs]) to
    reset some worlds while the others stay where they are, and ``each`` (a sequence of num_envs dictionaries of such
    options), which take precedence.

    **Infos** are stacked as Gymnasium does it: an array per key and a mask ``_key``.

    **Device observations.** With ``device_obs`` observations are torch tensors on the world's device and frames are not
    copied to the host. They belong to the caller and may be changed. Rewards, ends and infos stay on the host.

    **Pickling** stores the constructor's arguments, as in the single environment.

    Args:
        num_envs: number of worlds.
        max_episode_steps: steps until an episode is truncated; None for no limit. `gymnasium.make_vec` passes the
            registered limit.
        autoreset_mode: an `AutoresetMode` or its value (``NextStep``, ``SameStep``, ``Disabled``).
        device_obs: observations as tensors on the world's device.
        render_mode: ``rgb_array`` or None.
        **kwargs: arguments of `LightInteractionEnv`.

    Raises:
        ValueError: an argument that is not allowed, or more worlds than fit into memory (the message names the most
            that do).
    """

    metadata: dict[str, Any] = {  # noqa: RUF012
        "render_modes": ["rgb_array"],
        "render_fps": 4,
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }

    def __init__(
        self,
        num_envs: int = 1,
        max_episode_steps: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        device_obs: bool = False,
        render_mode: str | None = None,
        **kwargs: Any,
    ) -> None:
        EzPickle.__init__(self, num_envs, max_episode_steps, autoreset_mode, device_obs, render_mode, **kwargs)
        self.num_envs = check_whole("num_envs", num_envs, 1)
        limit = max_episode_steps
        self.max_episode_steps = None if limit is None else check_whole("max_episode_steps", limit, 1)
        modes = [mode.value for mode in AutoresetMode]
        value = autoreset_mode.value if isinstance(autoreset_mode, AutoresetMode) else autoreset_mode
        self.autoreset_mode = AutoresetMode(check_choice("autoreset_mode", value, modes))
        if render_mode is not None:
            check_choice("render_mode", render_mode, self.metadata["render_modes"])
        self.render_mode = render_mode
        self.device_obs = device_obs
        kwargs = {"preset": DEFAULT_PRESET, **kwargs}
        self.episodes = open_episodes(**kwargs, device_frames=device_obs, batch=self.num_envs)
        self.world = self.episodes.world
        check_memory(self.world, self.num_envs, self.max_episode_steps)
        # Wrappers are known to change spaces in place: these are copies of those that the environment computes with.
        self.single_observation_space = deepcopy(self.episodes.observation_space)
        self.single_action_space = deepcopy(self.episodes.actions.space)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._own_action_space = deepcopy(self.action_space)
        spec = self.world.spec
        frame_rate = spec.fps / spec.step_frames
        self.metadata = {**type(self).metadata, "render_fps": frame_rate, "autoreset_mode": self.autoreset_mode}
        self._generators: list[np.random.Generator | None] = [None] * self.num_envs
        self._seeds: list[int | None] = [None] * self.num_envs
        self._worlds: list[EpisodeState | None] = [None] * self.num_envs
        self._presets = [self.episodes.engine.config] * self.num_envs

    @property  # type: ignore[misc]
    def np_random(self) -> tuple[np.random.Generator, ...]:  # type: ignore[override]
        """The generators of the worlds."""
        return tuple(self._generator(index) for index in range(self.num_envs))

    @property
    def np_random_seed(self) -> tuple[int | None, ...]:  # type: ignore[override]
        """The seeds of the worlds' generators."""
        return tuple(self._seeds[index] for index in range(self.num_envs) if self._generator(index))

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """Start episodes in all worlds, or in those of ``options["reset_mask"]``; options as in the class docstring.

        Args:
            seed: world i gets ``seed + i``, or ``seed[i]``; None goes on with the generators as they are.
            options: see the class docstring.

        Returns:
            Observations of all worlds, infos of those that were reset.

        Raises:
            ValueError: seeds or options that are not allowed. Nothing has changed then.
            ResetNeeded: a mask that leaves out worlds that never began.
        """
        options = {} if options is None else options
        check_mapping(options)
        shared = dict(options)
        rows = self._masked(shared.pop("reset_mask", None))
        each = self._each(shared)
        for index in rows:
            self.episodes.check_options(each[index])
        seeds = self._seeds_of(seed, rows)
        # Nothing of this environment changes before all episodes have begun.
        drawn = [
            (self._generator(index), self._seeds[index]) if one is None else new_generator(one)
            for index, one in zip(rows, seeds, strict=True)
        ]
        generators, presets = [generator for generator, _ in drawn], [self._presets[index] for index in rows]
        moments = self._begun(generators, [each[index] for index in rows], presets)
        for index, moment, (generator, used) in zip(rows, moments, drawn, strict=True):
            self._worlds[index], self._generators[index], self._seeds[index] = moment, generator, used
            self._presets[index] = self.episodes.preset_of(moment)
        infos = [self.episodes.info(moment) for moment in moments]
        return self._observe(self._current()), stack_infos(infos, rows, self.num_envs)

    def step(self, actions: Any) -> Outcome:
        """Make one chunk in every world that goes on; ``actions`` is a batch of the action space, or a tensor of one.

        Returns:
            Observations, rewards float64 [num_envs], terminations and truncations bool [num_envs], infos.

        Raises:
            ValueError: a batch of another shape or an action outside the space. Nothing has changed then.
            ResetNeeded: before the first reset; in mode ``DISABLED`` also if a world is over.
        """
        worlds = self._current()
        chosen = self._actions(actions)
        over = [index for index, world in enumerate(worlds) if self._over(world)]
        if over and self.autoreset_mode == AutoresetMode.DISABLED:
            raise ResetNeeded(f"worlds {over} are over: call reset(options={{'reset_mask': mask}}) for them first")
        going = [index for index in range(self.num_envs) if index not in set(over)]
        rewards, terminations, truncations = np.zeros(self.num_envs), *np.zeros((2, self.num_envs), dtype=np.bool_)
        moments = self.episodes.step([worlds[index] for index in going], [chosen[index] for index in going])
        for index, moment in zip(going, moments, strict=True):
            worlds[index] = moment
            rewards[index] = self.episodes.reward(moment)
            terminations[index] = self.episodes.terminated(moment)
            truncations[index] = self.episodes.truncated(moment) or self._out_of_steps(moment)
        final: dict[str, Any] = {}
        if self.autoreset_mode == AutoresetMode.SAME_STEP:
            ended = [index for index in going if terminations[index] or truncations[index]]
            final = self._final(ended, worlds) if ended else {}
            over = sorted([*over, *ended])
        generators, presets = [self._generator(index) for index in over], [self._presets[index] for index in over]
        begun = self._begun(generators, [{}] * len(over), presets)
        for index, moment in zip(over, begun, strict=True):
            worlds[index] = moment
        self._worlds = [*worlds]
        infos = stack_infos([self.episodes.info(moment) for moment in worlds], range(self.num_envs), self.num_envs)
        return self._observe(worlds), rewards, terminations, truncations, {**final, **infos}

    @property
    def preset(self) -> tuple[AccelConfig, ...]:
        """The acceleration settings of every world, see `LightInteractionEnv.preset`.

        Assigned are those of all worlds, or a list with one entry per world; they count from the next reset on.

        Raises:
            ValueError: on assignment of settings that are not allowed, or of another number.
        """
        return tuple(self._presets)

    @preset.setter
    def preset(self, preset: Preset | Sequence[Preset]) -> None:
        each: list[Any] = list(preset) if isinstance(preset, list | tuple) else [preset] * self.num_envs
        if len(each) != self.num_envs:
            raise ValueError(f"preset: {len(each)} given for {self.num_envs} worlds; allowed: one, or one per world")
        self._presets = [AccelConfig.of(one) for one in each]

    @property
    def plans(self) -> tuple[dict[str, Any] | None, ...]:
        """The plan of every world's last step in words; None for a world whose step made no chunk."""
        lasts = [moment.last for moment in self._current()]
        return tuple(None if last is None else last.plan.to_dict() for last in lasts)

    def save_state(self, worlds: Iterable[int] | None = None) -> tuple[EpisodeState, ...]:
        """These worlds (all by default) at this moment, O(1) each. The environment may go on; states do not change.

        The generators behind later resets are not part of it. A single environment may restore them, and this one
        those of single environments.

        Raises:
            ValueError: a number of a world that does not exist.
        """
        current = self._current()
        return tuple(current[index] for index in self._rows(worlds))

    def restore_state(self, states: Sequence[EpisodeState], worlds: Iterable[int] | None = None) -> None:
        """Put ``worlds`` (all by default) back, or over, to saved moments, O(1) each, their numbers of steps included.

        A world whose episode was over at that moment (or is, under this environment's time limit) waits for its reset
        again.

        Raises:
            ValueError: another number of states than of worlds, or a state of another world model or task. Nothing has
                changed then.
        """
        rows = self._rows(worlds)
        if not isinstance(states, Sequence) or len(states) != len(rows):
            what = str(len(states)) if isinstance(states, Sequence) else type(states).__name__
            raise ValueError(f"states: {what} given for {len(rows)} worlds; allowed: a list with one state per world")
        moments = [self.episodes.check_state(state) for state in states]
        for index, moment in zip(rows, moments, strict=True):
            self._worlds[index] = moment
            self._presets[index] = self.episodes.preset_of(moment)

    def fork(self, src: int, dst: int | Iterable[int]) -> None:
        """Make the worlds ``dst`` continue from where world ``src`` is, O(1) each: nothing is copied.

        They keep their own generators, so that later resets take them apart.

        Raises:
            ValueError: a number of a world that does not exist. Nothing has changed then.
        """
        (state,) = self.save_state([src])
        rows = self._rows(dst if isinstance(dst, Iterable) else [dst])
        self.restore_state([state] * len(rows), rows)

    @property
    def task(self) -> Task:
        """What the agents are to do."""
        return self.episodes.task

    @property
    def stop_action(self) -> int | np.ndarray | None:
        """The action that ends an episode; None where the task has none."""
        return self.episodes.stop_action

    def simulate(
        self, states: Sequence[EpisodeState], actions: Sequence[Any]
    ) -> tuple[list[EpisodeState], np.ndarray, np.ndarray, np.ndarray]:
        """Make what-if steps from saved states, see `EpisodeRunner.simulate`; the environment stays where it is.

        Time limits count here too: a state at the limit is truncated.
        """
        after, rewards, terminations, truncations = self.episodes.simulate(states, actions)
        return after, rewards, terminations, truncations | np.array([self._out_of_steps(each) for each in after], bool)

    def render(self) -> tuple[np.ndarray, ...] | None:
        """``rgb_array``: the last frame of every world, uint8 [H, W, 3]."""
        if self.render_mode is None:
            return None
        return tuple(np.array(on_host(moment.frames[-1])) for moment in self._current())

    def close_extras(self, **kwargs: Any) -> None:
        """Forget the episodes, so that their memory is free again."""
        self._worlds = [None] * self.num_envs

    def __getstate__(self) -> dict[str, Any]:
        """Constructor arguments only (EzPickle).

        Raises:
            TypeError: the environment was built on a `BaseWorld`, whose weights must not be pickled.
        """
        if not isinstance(self._ezpickle_kwargs.get("world", ""), str):
            raise TypeError(
                "an environment on a world object cannot be pickled (it would carry the weights): "
                "register_world() the world and pass its name"
            )
        state: dict[str, Any] = EzPickle.__getstate__(self)
        return state

    def _generator(self, index: int) -> np.random.Generator:
        generator = self._generators[index]
        if generator is None:
            generator, self._seeds[index] = seeding.np_random()
            self._generators[index] = generator
        return generator

    def _begun(
        self,
        generators: Sequence[np.random.Generator],
        options: Sequence[Mapping[str, Any]],
        presets: Sequence[AccelConfig],
    ) -> list[EpisodeState]:
        """New episodes; those with a saved state as option begin there. If it raises, the generators are unmoved."""
        fresh = [place for place, given in enumerate(options) if "state" not in given]
        drawing = [generators[place] for place in fresh]
        with unmoved_on_failure(drawing):
            given, own = [options[place] for place in fresh], [presets[place] for place in fresh]
            started = iter(self.episodes.start(drawing, given, own) if fresh else [])
        return [self.episodes.begin_at(asked["state"]) if "state" in asked else next(started) for asked in options]

    def _out_of_steps(self, moment: EpisodeState) -> bool:
        return self.max_episode_steps is not None and moment.steps >= self.max_episode_steps

    def _over(self, moment: EpisodeState) -> bool:
        """Whether the episode has ended and waits for its reset."""
        rules = self.episodes
        return rules.terminated(moment) or rules.truncated(moment) or self._out_of_steps(moment)

    def _final(self, ended: Sequence[int], worlds: Sequence[EpisodeState]) -> dict[str, Any]:
        """What SAME_STEP tells about episodes that end in this step."""
        moments = [worlds[index] for index in ended]
        last = [self.episodes.observation(moment) for moment in moments]
        if self.device_obs:
            last = [on_device(item, self.world.device) for item in last]
        mask = np.zeros(self.num_envs, dtype=np.bool_)
        mask[list(ended)] = True
        return {
            "final_obs": objects(last, ended, self.num_envs),
            "_final_obs": mask,
            "final_info": stack_infos([self.episodes.info(moment) for moment in moments], ended, self.num_envs),
            "_final_info": mask.copy(),
        }

    def _observe(self, moments: Sequence[EpisodeState]) -> Any:
        items = [self.episodes.unformatted(moment) for moment in moments]  # the batch is a copy
        batch = (
            batch_tensors(items, self.world.device)
            if self.device_obs
            else batch_arrays(self.episodes.world_space, items)
        )
        return self.episodes.formatted(batch)

    def _actions(self, actions: Any) -> list[Any]:
        """One action per world; what is wrong inside a row is said by the action mapper."""
        shape: tuple[int, ...] = (self.num_envs, *self.episodes.actions.space.shape)  # type: ignore[misc]
        given = from_tensor(actions)
        try:
            batch = np.asarray(given)
        except (ValueError, TypeError, RuntimeError):
            what = "rows of different lengths, or no numbers,"
            raise ValueError(f"actions: {what} for {self.num_envs} worlds; allowed: shape {list(shape)}") from None
        if batch.shape != shape:
            raise ValueError(
                f"actions: shape {list(batch.shape)} for {self.num_envs} worlds; allowed: shape {list(shape)}"
            )
        return list(iterate(self._own_action_space, batch))

    def _masked(self, mask: Any) -> list[int]:
        if mask is None:
            return list(range(self.num_envs))
        allowed = f"allowed: a numpy array of bool [{self.num_envs}] with at least one True"
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != (self.num_envs,):
            what = f"{mask.dtype} {list(mask.shape)}" if isinstance(mask, np.ndarray) else type(mask).__name__
            raise ValueError(f"reset option reset_mask={what} is not usable; {allowed}")
        if not mask.any():
            raise ValueError(f"reset option reset_mask without True; {allowed}")
        if any(world is None and not chosen for world, chosen in zip(self._worlds, mask, strict=True)):
            raise ResetNeeded("call reset() without reset_mask first: some of the other worlds never began")
        return [int(index) for index in np.flatnonzero(mask)]

    def _each(self, shared: dict[str, Any]) -> list[dict[str, Any]]:
        """Options of every world."""
        own = shared.pop("each", None)
        if own is None:
            return [shared] * self.num_envs
        if not isinstance(own, Sequence) or len(own) != self.num_envs or not all(isinstance(one, dict) for one in own):
            raise ValueError(f"reset option each={type(own).__name__}; allowed: {self.num_envs} dictionaries")
        return [{**shared, **one} for one in own]

    def _seeds_of(self, seed: int | Sequence[int | None] | None, rows: Sequence[int]) -> list[int | None]:
        if seed is None:
            return [None] * len(rows)
        if isinstance(seed, np.ndarray) and seed.ndim == 1:
            seed = list(seed)
        if not isinstance(seed, Sequence) or isinstance(seed, str | bytes):
            first = check_whole("seed", seed)
            return [first + index for index in rows]
        if len(seed) != self.num_envs:
            raise ValueError(
                f"seed: {len(seed)} given for {self.num_envs} worlds; allowed: one number, or one per world"
            )
        return [None if seed[index] is None else check_whole(f"seed[{index}]", seed[index]) for index in rows]

    def _rows(self, worlds: Iterable[int] | None) -> list[int]:
        """Numbers of worlds, all by default.

        Raises:
            ValueError: something else than numbers of worlds that there are.
        """
        if worlds is None:
            return list(range(self.num_envs))
        try:
            wanted = list(worlds)
        except TypeError:  # not iterable
            raise ValueError(
                f"worlds={shown(worlds)} is not usable; allowed: a list of numbers of worlds, or None"
            ) from None
        return [check_whole("world", index, 0, self.num_envs - 1) for index in wanted]

    def _current(self) -> list[EpisodeState]:
        worlds = [world for world in self._worlds if world is not None]
        if len(worlds) < self.num_envs:
            raise ResetNeeded("call reset() first")
        return worlds
