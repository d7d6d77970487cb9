"""Many worlds in one process on one model: the native vector environment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium.error import ResetNeeded
from gymnasium.utils import EzPickle, seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space, iterate

from li_env.accel.config import AccelConfig
from li_env.env import DEFAULT_PRESET
from li_env.episodes import Preset, open_episodes
from li_env.errors import check_choice
from li_env.state import SavedState
from li_env.vector.batches import batch_arrays, batch_tensors, on_device
from li_env.vector.infos import objects, stack_infos
from li_env.vector.memory import check_memory

Outcome = tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]


@dataclass(frozen=True, eq=False)
class WorldSnapshot:
    """One world of a vector environment at one moment: what `LightInteractionVectorEnv.save_state` returns.

    Attributes:
        moment: the episode; usable as reset option ``state`` of a single environment too.
        steps: steps since its reset, for the time limit.
        over: whether the episode has ended and waits for its reset.
    """

    moment: SavedState
    steps: int
    over: bool


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
        self.num_envs = _whole("num_envs", num_envs)
        self.max_episode_steps = None if max_episode_steps is None else _whole("max_episode_steps", max_episode_steps)
        modes = [mode.value for mode in AutoresetMode]
        value = autoreset_mode.value if isinstance(autoreset_mode, AutoresetMode) else autoreset_mode
        self.autoreset_mode = AutoresetMode(check_choice("autoreset_mode", value, modes))
        if render_mode is not None:
            check_choice("render_mode", render_mode, self.metadata["render_modes"])
        self.render_mode = render_mode
        self.device_obs = device_obs
        self.episodes = open_episodes(**{"preset": DEFAULT_PRESET, **kwargs}, device_frames=device_obs)
        self.world = self.episodes.world
        check_memory(self.world, self.num_envs, self.max_episode_steps)
        self.single_observation_space = self.episodes.observation_space
        self.single_action_space = self.episodes.actions.space
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        spec = self.world.spec
        frame_rate = spec.fps / spec.step_frames
        self.metadata = {**type(self).metadata, "render_fps": frame_rate, "autoreset_mode": self.autoreset_mode}
        self._generators: list[np.random.Generator | None] = [None] * self.num_envs
        self._seeds: list[int | None] = [None] * self.num_envs
        self._worlds: list[WorldSnapshot | None] = [None] * self.num_envs
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
        shared = dict(options or {})
        rows = self._masked(shared.pop("reset_mask", None))
        each = self._each(shared)
        for index in rows:
            self.episodes.check_options(each[index])
        for index, one in zip(rows, self._seeds_of(seed, rows), strict=True):
            if one is not None:
                self._generators[index], self._seeds[index] = seeding.np_random(one)
        self._start(rows, [each[index] for index in rows])
        worlds = self._current()
        infos = [self.episodes.info(worlds[index].moment) for index in rows]
        return self._observe([world.moment for world in worlds]), stack_infos(infos, rows, self.num_envs)

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
        over = [index for index, world in enumerate(worlds) if world.over]
        if over and self.autoreset_mode == AutoresetMode.DISABLED:
            raise ResetNeeded(f"worlds {over} are over: call reset(options={{'reset_mask': mask}}) for them first")
        going = [index for index, world in enumerate(worlds) if not world.over]
        rewards, terminations, truncations = np.zeros(self.num_envs), *np.zeros((2, self.num_envs), dtype=np.bool_)
        moments = self.episodes.step([worlds[index].moment for index in going], [chosen[index] for index in going])
        for index, moment in zip(going, moments, strict=True):
            steps = worlds[index].steps + 1
            rewards[index] = self.episodes.reward(moment)
            terminations[index] = self.episodes.terminated(moment)
            truncations[index] = self.episodes.truncated(moment) or steps == self.max_episode_steps
            self._worlds[index] = WorldSnapshot(moment, steps, bool(terminations[index] or truncations[index]))
        ended = [index for index in going if terminations[index] or truncations[index]]
        final: dict[str, Any] = {}
        if self.autoreset_mode == AutoresetMode.SAME_STEP and ended:
            final = self._final(ended)
            self._start(ended, [{}] * len(ended))
        if over:
            self._start(over, [{}] * len(over))
        now = [world.moment for world in self._current()]
        infos = stack_infos([self.episodes.info(moment) for moment in now], range(self.num_envs), self.num_envs)
        return self._observe(now), rewards, terminations, truncations, {**final, **infos}

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
        lasts = [world.moment.last for world in self._current()]
        return tuple(None if last is None else last.plan.to_dict() for last in lasts)

    def save_state(self, worlds: Iterable[int] | None = None) -> tuple[WorldSnapshot, ...]:
        """These worlds (all by default) at this moment, O(1) each. The environment may go on; snapshots do not change.

        The generators behind later resets are not part of it.
        """
        current = self._current()
        rows = range(self.num_envs) if worlds is None else [self._row(index) for index in worlds]
        return tuple(current[index] for index in rows)

    def restore_state(self, snapshots: Sequence[WorldSnapshot], worlds: Iterable[int] | None = None) -> None:
        """Put ``worlds`` (all by default) back, or over, to saved moments, O(1) each.

        Raises:
            ValueError: another number of snapshots than of worlds, or states of another world model.
        """
        rows = list(range(self.num_envs)) if worlds is None else [self._row(index) for index in worlds]
        if len(snapshots) != len(rows):
            raise ValueError(f"{len(snapshots)} snapshots given for {len(rows)} worlds; allowed: one per world")
        for snapshot in snapshots:
            if not isinstance(snapshot, WorldSnapshot):
                raise ValueError(f"{type(snapshot).__name__} is not usable; allowed: what save_state() returned")
            self.episodes.check_state(snapshot.moment)
        for index, snapshot in zip(rows, snapshots, strict=True):
            self._worlds[index] = snapshot
            self._presets[index] = self.episodes.preset_of(snapshot.moment)

    def fork(self, src: int, dst: int | Iterable[int]) -> None:
        """Make the worlds ``dst`` continue from where world ``src`` is, O(1) each: nothing is copied.

        They keep their own generators, so that later resets take them apart.
        """
        (snapshot,) = self.save_state([src])
        rows = [self._row(index) for index in ([dst] if isinstance(dst, int | np.integer) else dst)]
        self.restore_state([snapshot] * len(rows), rows)

    def render(self) -> tuple[np.ndarray, ...] | None:
        """``rgb_array``: the last frame of every world, uint8 [H, W, 3]."""
        if self.render_mode is None:
            return None
        frames = [world.moment.frames[-1] for world in self._current()]
        return tuple(np.array(frame if isinstance(frame, np.ndarray) else frame.cpu()) for frame in frames)

    def close_extras(self, **kwargs: Any) -> None:
        """Forget the episodes, so that their memory is free again."""
        self._worlds = [None] * self.num_envs

    def __getstate__(self) -> dict[str, Any]:
        """Constructor arguments only (EzPickle).

        Raises:
            TypeError: the environment was built on a `WorldModel`, whose weights must not be pickled.
        """
        if not isinstance(self._ezpickle_kwargs.get("world", ""), str):
            raise TypeError(
                "an environment on a WorldModel object cannot be pickled (it would carry the weights): "
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

    def _start(self, rows: Sequence[int], options: Sequence[dict[str, Any]]) -> None:
        """Begin new episodes; those with a saved state as option take that."""
        fresh = [place for place, given in enumerate(options) if "state" not in given]
        started = iter(
            self.episodes.start(
                [self._generator(rows[place]) for place in fresh],
                [options[place] for place in fresh],
                [self._presets[rows[place]] for place in fresh],
            )
            if fresh
            else []
        )
        moments = [given["state"] if "state" in given else next(started) for given in options]
        for index, moment in zip(rows, moments, strict=True):
            self._worlds[index] = WorldSnapshot(moment, 0, False)
            self._presets[index] = self.episodes.preset_of(moment)

    def _final(self, ended: Sequence[int]) -> dict[str, Any]:
        """What SAME_STEP tells about episodes that end in this step."""
        worlds = self._current()
        moments = [worlds[index].moment for index in ended]
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

    def _observe(self, moments: Sequence[SavedState]) -> Any:
        items = [self.episodes.observation(moment, copy=False) for moment in moments]  # the batch is a copy
        return (
            batch_tensors(items, self.world.device)
            if self.device_obs
            else batch_arrays(self.single_observation_space, items)
        )

    def _actions(self, actions: Any) -> list[Any]:
        """One action per world; what is wrong inside a row is said by the action mapper."""
        batch = actions.cpu().numpy() if isinstance(actions, torch.Tensor) else actions
        shape = (self.num_envs, *self.single_action_space.shape)  # type: ignore[misc]
        try:
            found = np.shape(batch)
        except ValueError:  # rows of different lengths
            found = None
        if found != shape:
            what = "rows of different lengths" if found is None else f"shape {list(found)}"
            raise ValueError(f"actions: {what} for {self.num_envs} worlds; allowed: shape {list(shape)}")
        return list(iterate(self.action_space, np.asarray(batch)))

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
        if isinstance(seed, int | np.integer):
            return [int(seed) + index for index in rows]
        if len(seed) != self.num_envs:
            raise ValueError(
                f"seed: {len(seed)} given for {self.num_envs} worlds; allowed: one number, or one per world"
            )
        return [seed[index] for index in rows]

    def _row(self, index: int) -> int:
        if not 0 <= index < self.num_envs:
            raise ValueError(f"world {index!r} does not exist; allowed: 0 to {self.num_envs - 1}")
        return int(index)

    def _current(self) -> list[WorldSnapshot]:
        worlds = [world for world in self._worlds if world is not None]
        if len(worlds) < self.num_envs:
            raise ResetNeeded("call reset() first")
        return worlds


def _whole(key: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{key}={value!r} is not allowed; allowed: a whole number from 1 up")
    return int(value)
