"""Many environments in one process on one model: the native vector environment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
from gymnasium.error import AlreadyPendingCallError, NoAsyncCallError, ResetNeeded
from gymnasium.utils import EzPickle, seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space, iterate

from li_env.accel.config import AccelConfig
from li_env.accel.device import on_host
from li_env.actions import from_tensor
from li_env.env import DEFAULT_PRESET, constructor_state
from li_env.episodes import Preset, open_episodes
from li_env.generators import new_generator, unmoved_on_failure
from li_env.pending_episodes import PendingEpisodes
from li_env.state import EpisodeState
from li_env.tasks import Task
from li_env.validation import check_choice, check_mapping, check_whole
from li_env.vector.arguments import action_batch, env_rows, masked_rows, options_of_each, seeds_of_rows
from li_env.vector.batches import batch_arrays, batch_tensors, observation_on_device
from li_env.vector.infos import objects
from li_env.vector.memory_check import check_memory

Outcome = tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]


class LightInteractionVectorEnv(VectorEnv[Any, Any, np.ndarray], EzPickle):
    """``num_envs`` environments that step together: one model, one batch for all whose plans allow it.

    ``gymnasium.make_vec(id, num_envs, vectorization_mode="vector_entry_point", ...)`` takes the arguments of
    `li_env.env.LightInteractionEnv` besides those below. Environment i after ``reset(seed=s)`` equals the
    single environment after ``reset(seed=s + i)``, frames included, up to what docs/vector_env.md says of GPUs. An
    episode's plans, noise and reward do not depend on its neighbours.

    **Autoreset.** `AutoresetMode.NEXT_STEP`: the step after the end of an episode ignores its action, resets the
    environment and gives reward 0. ``SAME_STEP``: the environment is reset in the step that ends the episode;
    ``infos["final_obs"]`` (one observation per ended episode, None elsewhere) and ``infos["final_info"]`` describe the
    end. ``DISABLED``: ended episodes must be reset with ``reset(options={"reset_mask": mask})`` before the next step.
    Resets after the first draw from the environment's own generator, so that they do not depend on when others end.

    **Reset options.** Those of the single environment, the same for all environments. ``reset_mask`` (bool [num_envs])
    resets some environments while the others stay where they are. ``each`` (a sequence of num_envs dictionaries of such
    options) takes precedence.

    **Infos** are stacked as Gymnasium does it: an array per key and a mask ``_key``.

    **Device observations.** With ``device_obs`` observations are torch tensors on the world's device and frames are not
    copied to the host. They belong to the caller and may be changed. Rewards, ends and infos stay on the host.

    **Pickling** stores the constructor's arguments, as in the single environment.

    Args:
        num_envs: number of environments.
        max_episode_steps: steps until an episode is truncated; None for no limit. `gymnasium.make_vec` passes the
            registered limit.
        autoreset_mode: an `AutoresetMode` or its value (``NextStep``, ``SameStep``, ``Disabled``).
        device_obs: observations as tensors on the world's device.
        render_mode: ``rgb_array`` or None.
        **kwargs: arguments of `LightInteractionEnv`.

    Raises:
        ValueError: an argument that is not allowed, or more environments than fit into memory (the message names the
            largest number).
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
        self.runner = open_episodes(**kwargs, device_frames=device_obs, batch=self.num_envs)
        self.world = self.runner.world
        banks = [each.bank for each in self.runner.scans.own]
        check_memory(self.world, self.num_envs, self.max_episode_steps, self.runner.engine.config, banks)
        # Copies, because wrappers are known to change spaces in place.
        self.single_observation_space = deepcopy(self.runner.observation_space)
        self.single_action_space = deepcopy(self.runner.actions.space)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._own_action_space = deepcopy(self.action_space)
        spec = self.world.spec
        frame_rate = spec.fps / spec.step_frames
        self.metadata = {**type(self).metadata, "render_fps": frame_rate, "autoreset_mode": self.autoreset_mode}
        self._generators: list[np.random.Generator | None] = [None] * self.num_envs
        self._seeds: list[int | None] = [None] * self.num_envs
        self._states: list[EpisodeState | None] = [None] * self.num_envs
        self._presets = [self.runner.engine.config] * self.num_envs
        self._pending: tuple[PendingEpisodes, list[int], list[int]] | None = None

    @property  # type: ignore[misc]
    def np_random(self) -> tuple[np.random.Generator, ...]:  # type: ignore[override]
        """Random generators of the environments."""
        return tuple(self._generator(index) for index in range(self.num_envs))

    @property
    def np_random_seed(self) -> tuple[int | None, ...]:  # type: ignore[override]
        """Seeds of the random generators."""
        return tuple(self._seeds[index] for index in range(self.num_envs) if self._generator(index))

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """Start episodes in all environments, or in those of ``options["reset_mask"]``.

        Args:
            seed: environment i gets ``seed + i``, or ``seed[i]``; None goes on with the generators as they are.
            options: see the class docstring.

        Returns:
            Observations of all environments, infos of those that were reset.

        Raises:
            ValueError: seeds or options that are not allowed. Nothing has changed then.
            ResetNeeded: a mask that leaves out environments that never began.
        """
        self._refuse_while_pending()
        options = {} if options is None else options
        shared = dict(check_mapping("options", options))
        rows = masked_rows(shared.pop("reset_mask", None), [state is not None for state in self._states])
        each = options_of_each(shared, self.num_envs)
        for index in rows:
            self.runner.check_options(each[index])
        seeds = seeds_of_rows(seed, rows, self.num_envs)
        # Nothing of this environment changes before all episodes have begun.
        drawn = [
            (self._generator(index), self._seeds[index]) if one is None else new_generator(one)
            for index, one in zip(rows, seeds, strict=True)
        ]
        generators, presets = [generator for generator, _ in drawn], [self._presets[index] for index in rows]
        states = self._begun(generators, [each[index] for index in rows], presets)
        for index, state, (generator, used) in zip(rows, states, drawn, strict=True):
            self._states[index], self._generators[index], self._seeds[index] = state, generator, used
            self._presets[index] = self.runner.preset_of(state)
        return self._observe(self._current()), self.runner.infos(states, rows, self.num_envs)

    def step(self, actions: Any) -> Outcome:
        """Make one chunk in every running episode; ``actions`` is a batch of the action space, also as a tensor.

        Returns:
            Observations, rewards float64 [num_envs], terminations and truncations bool [num_envs], infos.

        Raises:
            ValueError: a batch of another shape or an action outside the space. Nothing has changed then.
            ResetNeeded: before the first reset; in mode ``DISABLED`` also if an episode is over.
        """
        self.step_async(actions)
        return self.step_wait()

    def step_async(self, actions: Any) -> None:
        """Begin a step: the first half of `step`, which ends when everything is queued on the GPU.

        Until `step_wait` this environment takes no other call, and others on the same world may step meanwhile. On a
        CPU the chunks are finished here.

        Raises:
            ValueError, ResetNeeded: as `step`.
            AlreadyPendingCallError: a step is begun already.
        """
        states = self._current()
        chosen = self._actions(actions)
        over = [index for index, state in enumerate(states) if self._over(state)]
        if over and self.autoreset_mode == AutoresetMode.DISABLED:
            raise ResetNeeded(f"environments {over} are over: call reset(options={{'reset_mask': mask}}) first")
        going = [index for index in range(self.num_envs) if index not in set(over)]
        begun = self.runner.step_async([states[index] for index in going], [chosen[index] for index in going])
        self._pending = begun, going, over

    def step_wait(self) -> Outcome:
        """Finish the step that `step_async` began, and return what `step` returns.

        Raises:
            NoAsyncCallError: no step is begun.
        """
        if self._pending is None:
            raise NoAsyncCallError("no step is begun: call step_async() first", "step")
        (begun, going, over), self._pending = self._pending, None
        states = self._current()
        rewards, terminations, truncations = np.zeros(self.num_envs), *np.zeros((2, self.num_envs), dtype=np.bool_)
        for index, state in zip(going, begun.wait(), strict=True):
            states[index] = state
            rewards[index] = self.runner.reward(state)
            terminations[index] = self.runner.terminated(state)
            truncations[index] = self.runner.truncated(state) or self._out_of_steps(state)
        final: dict[str, Any] = {}
        if self.autoreset_mode == AutoresetMode.SAME_STEP:
            ended = [index for index in going if terminations[index] or truncations[index]]
            final = self._final(ended, states) if ended else {}
            over = sorted([*over, *ended])
        generators, presets = [self._generator(index) for index in over], [self._presets[index] for index in over]
        fresh = self._begun(generators, [{}] * len(over), presets)
        for index, state in zip(over, fresh, strict=True):
            states[index] = state
        self._states = [*states]
        infos = self.runner.infos(states, range(self.num_envs), self.num_envs)
        return self._observe(states), rewards, terminations, truncations, {**final, **infos}

    @property
    def preset(self) -> tuple[AccelConfig, ...]:
        """Acceleration settings of every environment, see `LightInteractionEnv.preset`.

        Assign settings for all, or a list with one entry per environment; they count from the next reset on.

        Raises:
            ValueError: on assignment of settings that are not allowed, or of another number.
        """
        return tuple(self._presets)

    @preset.setter
    def preset(self, preset: Preset | Sequence[Preset]) -> None:
        each: list[Any] = list(preset) if isinstance(preset, list | tuple) else [preset] * self.num_envs
        if len(each) != self.num_envs:
            given = f"preset: {len(each)} given for {self.num_envs} environments"
            raise ValueError(f"{given}; allowed: one, or one for each")
        self._presets = [AccelConfig.of(one) for one in each]

    @property
    def plans(self) -> tuple[dict[str, Any] | None, ...]:
        """Plan of every environment's last step in words; None where the step made no chunk."""
        lasts = [state.last for state in self._current()]
        return tuple(None if last is None else last.plan.to_dict() for last in lasts)

    def save_state(self, worlds: Iterable[int] | None = None) -> tuple[EpisodeState, ...]:
        """Return the states of ``worlds`` (all environments by default), O(1) each.

        The vector environment may go on; saved states do not change. The generators behind later resets are not part of
        a state. Single and vector environments may restore each other's states.

        Raises:
            ValueError: a number of an environment that does not exist.
        """
        current = self._current()
        return tuple(current[index] for index in env_rows(worlds, self.num_envs))

    def restore_state(self, states: Sequence[EpisodeState], worlds: Iterable[int] | None = None) -> None:
        """Put ``worlds`` (all environments by default) back, or over, to saved states, O(1) each, with their steps.

        An environment waits for its reset if the saved episode was over, or is over under this time limit.

        Raises:
            ValueError: another number of states than of environments, or a state of another world or task. Nothing has
                changed then.
        """
        rows = env_rows(worlds, self.num_envs)
        if not isinstance(states, Sequence) or len(states) != len(rows):
            what = str(len(states)) if isinstance(states, Sequence) else type(states).__name__
            raise ValueError(
                f"states: {what} given for {len(rows)} environments; allowed: a list with a state for each"
            )
        self._refuse_while_pending()
        checked = [self.runner.check_state(state) for state in states]
        for index, state in zip(rows, checked, strict=True):
            self._states[index] = state
            self._presets[index] = self.runner.preset_of(state)

    def fork(self, src: int, dst: int | Iterable[int]) -> None:
        """Make the environments ``dst`` continue from the state of ``src``, O(1) each: nothing is copied.

        They keep their own generators, so that their episodes differ after the next reset.

        Raises:
            ValueError: a number of an environment that does not exist. Nothing has changed then.
        """
        (state,) = self.save_state([src])
        rows = env_rows(dst if isinstance(dst, Iterable) else [dst], self.num_envs)
        self.restore_state([state] * len(rows), rows)

    @property
    def task(self) -> Task:
        """Task of the agents."""
        return self.runner.task

    @property
    def stop_action(self) -> int | np.ndarray | None:
        """Action that ends an episode; None where the task has none."""
        return self.runner.stop_action

    def simulate(
        self, states: Sequence[EpisodeState], actions: Sequence[Any]
    ) -> tuple[list[EpisodeState], np.ndarray, np.ndarray, np.ndarray]:
        """Make what-if steps from saved states, see `EpisodeRunner.simulate`; the environment stays where it is.

        Time limits count here too: a state at the limit is truncated.
        """
        after, rewards, terminations, truncations = self.runner.simulate(states, actions)
        return after, rewards, terminations, truncations | np.array([self._out_of_steps(each) for each in after], bool)

    def render(self) -> tuple[np.ndarray, ...] | None:
        """Return the last frame of every environment, uint8 [H, W, 3], in mode ``rgb_array``."""
        if self.render_mode is None:
            return None
        return tuple(np.array(on_host(state.frames[-1])) for state in self._current())

    def close_extras(self, **kwargs: Any) -> None:
        """Forget the episodes, so that their memory is free again."""
        self._states, self._pending = [None] * self.num_envs, None

    def __getstate__(self) -> dict[str, Any]:
        """Return the constructor's arguments only (EzPickle).

        Raises:
            TypeError: the environment was built on a `BaseWorld`, whose weights must not be pickled.
        """
        return constructor_state(self, self._ezpickle_kwargs.get("world", ""))

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
        """Begin episodes, at the saved state if the options name one. If it raises, the generators are unmoved."""
        fresh = [row for row, given in enumerate(options) if "state" not in given]
        drawing = [generators[row] for row in fresh]
        with unmoved_on_failure(drawing):
            given, own = [options[row] for row in fresh], [presets[row] for row in fresh]
            started = iter(self.runner.start(drawing, given, own) if fresh else [])
        return [self.runner.begin_at(asked["state"]) if "state" in asked else next(started) for asked in options]

    def _out_of_steps(self, state: EpisodeState) -> bool:
        return self.max_episode_steps is not None and state.steps >= self.max_episode_steps

    def _over(self, state: EpisodeState) -> bool:
        """Tell whether the episode has ended and waits for its reset."""
        runner = self.runner
        return runner.terminated(state) or runner.truncated(state) or self._out_of_steps(state)

    def _final(self, ended: Sequence[int], states: Sequence[EpisodeState]) -> dict[str, Any]:
        """Describe the episodes that end in this step, for mode SAME_STEP."""
        over = [states[index] for index in ended]
        last = [self.runner.observation(state) for state in over]
        if self.device_obs:
            last = [observation_on_device(item, self.world.device) for item in last]
        mask = np.isin(np.arange(self.num_envs), ended)
        return {
            "final_obs": objects(last, ended, self.num_envs),
            "_final_obs": mask,
            "final_info": self.runner.infos(over, ended, self.num_envs),
            "_final_info": mask.copy(),
        }

    def _observe(self, states: Sequence[EpisodeState]) -> Any:
        parts = self.runner.unformatted_parts(states)  # the batch is a copy
        batch = (
            batch_tensors(parts, self.world.device) if self.device_obs else batch_arrays(self.runner.world_space, parts)
        )
        return self.runner.formatted(batch)

    def _actions(self, actions: Any) -> list[Any]:
        """Return one action per environment; the action mapper says what is wrong inside a row."""
        shape: tuple[int, ...] = self.runner.actions.space.shape  # type: ignore[assignment]
        return list(iterate(self._own_action_space, action_batch(from_tensor(actions), self.num_envs, shape)))

    def _current(self) -> list[EpisodeState]:
        self._refuse_while_pending()
        states = [state for state in self._states if state is not None]
        if len(states) < self.num_envs:
            raise ResetNeeded("call reset() first")
        return states

    def _refuse_while_pending(self) -> None:
        if self._pending is not None:
            raise AlreadyPendingCallError("a step is begun: call step_wait() first", "step")
