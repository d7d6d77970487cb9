"""Finished episodes, once each, for any policy: evaluation, imitation and data collection all use them.

for episode in play_episodes(env, act, 100, batch=16):
    print(episode.number, episode.measures, len(episode.actions))
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import VectorEnv
from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker, TimeLimit

from li_env.accel.config import AccelConfig
from li_env.env import LightInteractionEnv
from li_env.episodes import EpisodeRunner, Observation
from li_env.generators import new_generator
from li_env.state import EpisodeState
from li_env.validation import check_whole, shown
from li_env.vector_env import LightInteractionVectorEnv

Environment = EpisodeRunner | gymnasium.Env[Any, Any] | VectorEnv[Any, Any, Any]
"""What episodes are played in."""

_TRANSPARENT = (OrderEnforcing, PassiveEnvChecker, TimeLimit)  # wrappers that change no observation, action or reward
_AGENT = 1  # keeps the generators of agents different from those of episodes


@dataclass(frozen=True, eq=False)
class View:
    """One episode before one action: what a policy sees.

    Attributes:
        observation: what the environment shows.
        info: the environment's info beside the observation.
        state: the state of the episode, to fork from.
        memory: agent state that the policy returned with its last action; ``None`` at the start.
        generator: numbers for the policy's draws. Every episode has a generator of its own, made from the seed of the
            agent and the number of the episode, so that draws do not depend on which episodes are played beside it. A
            view that is built without one gets a new generator with an unknown seed.
    """

    observation: Observation
    info: Mapping[str, Any]
    state: EpisodeState
    memory: Any = None
    generator: np.random.Generator = field(default_factory=np.random.default_rng)


Act = Callable[[Sequence[View]], tuple[Sequence[Any], Sequence[Any] | None]]
"""Policy: views -> (an action per view, agent state per view or ``None``)."""


@dataclass(frozen=True, eq=False)
class FinishedEpisode:
    """One episode from its reset to its end, of ``n`` steps.

    Attributes:
        index: its index in ``options``.
        number: from which, together with the seeds, everything in the episode follows.
        options: its reset options.
        observations: ``n + 1`` of them, from the reset to the end; ``None`` unless they were asked for.
        actions: the ``n`` actions.
        rewards: float64 [n].
        infos: ``n + 1`` of them, from the reset to the end.
        terminated: whether the task ended.
        truncated: whether the time limit or a degenerated world ended the episode.
        measures: every number that the task measures, at the end (`li_env.tasks.Task.metrics`).
        last: the state at the end.
        memory: agent state that the policy returned with its last action.
    """

    index: int
    number: int
    options: Mapping[str, Any]
    observations: list[Observation] | None
    actions: list[Any]
    rewards: np.ndarray
    infos: list[dict[str, Any]]
    terminated: bool
    truncated: bool
    measures: dict[str, float]
    last: EpisodeState
    memory: Any = None


def play_episodes(
    env: Environment,
    act: Act,
    options: int | Iterable[Mapping[str, Any] | None],
    *,
    max_steps: int | None = None,
    seed: int = 0,
    agent_seed: int = 0,
    batch: int = 64,
    numbers: Iterable[int] | None = None,
    seeds: Iterable[int] | None = None,
    in_order: bool = False,
    observations: bool = False,
) -> Iterator[FinishedEpisode]:
    """Play every given episode once and yield it when it has ended.

    Up to ``batch`` episodes step together on one model. As soon as an episode has ended, the next one begins in its
    row; towards the end fewer step together. No step is computed for an episode that is over. The environment itself
    stays where it is.

    An episode is a function of its options, its number, ``seed`` and ``agent_seed``. Neither the size of the batch nor
    the order of ``options`` nor the other episodes change a bit of it, if the world computes episodes independently
    (all do on a CPU; on a GPU the size of the micro-batches must stay the same, see docs/vector_env.md) and the
    policy treats each view by itself and draws from `View.generator` only. So the work can be divided between
    processes: give each of them its part of ``options``, and ``numbers`` where options do not name an ``episode``.

    Args:
        env: a single or vector environment of this package, or an `EpisodeRunner`. Its world, task, preset, action
            space and observations are used. Wrappers that change what a policy sees or does are refused, because they
            would be skipped.
        act: the policy.
        options: reset options of every episode, such as ``{"episode": 3}``; or a number of episodes without options.
            An iterable is asked for the next episode only when there is room for it. It may answer ``None``, which
            means that no episode is ready: it is asked again after the next step.
        max_steps: steps until an episode is cut; the environment's own time limit by default.
        seed: of the episodes: noise and whatever a reset draws.
        agent_seed: of the policy's draws.
        batch: most episodes that step together.
        numbers: one per episode, from 0 up; by default the ``episode`` that its options name, else its index in
            ``options``. Episodes of equal numbers count their repetitions, so that a second try differs from the first.
        seeds: one per episode, instead of ``seed``: the episode then equals the one after ``env.reset(seed=...)`` with
            its options.
        in_order: yield in the order of ``options``; the episodes that end early are kept until their turn. Otherwise
            an episode is yielded at once, and the order depends on lengths and ``batch``.
        observations: keep the observations.

    Raises:
        ValueError: an argument or option that is not allowed, before anything is played; or a policy that does not
            answer every view.
    """
    runner, limit = _runner_of(env, max_steps)
    if isinstance(options, bool) or (isinstance(options, int) and options < 0):
        raise ValueError(f"options={shown(options)} is not allowed; allowed: a number from 0 up, or reset options")
    for name, value, least in (("seed", seed, 0), ("agent_seed", agent_seed, 0), ("batch", batch, 1)):
        check_whole(name, value, least)
    given = iter([{}] * options) if isinstance(options, int) else iter(options)
    if isinstance(options, Sequence):
        for index, one in enumerate(each for each in options if each is not None):
            runner.check_options(one)
            _number("reset option episode", one.get("episode", index))
    runner = runner.in_batches_of(batch)  # as the batch runs empty, a world's micro-batches stay what they are
    named, seeded = (None if each is None else iter(each) for each in (numbers, seeds))
    queue = _queue(runner, given, named, seeded, seed, agent_seed, observations)
    played = _play(runner, act, queue, batch, limit, _preset_of(env, runner))
    return _sorted(played) if in_order else played


class _Running:
    """One episode that has begun."""

    def __init__(
        self,
        index: int,
        number: int,
        options: Mapping[str, Any],
        generators: tuple[np.random.Generator, np.random.Generator],
        keep: bool,
    ) -> None:
        self.index, self.number, self.options = index, number, options
        self.world_generator, self.generator = generators
        self.state: EpisodeState
        self.memory: Any = None
        self._observations: list[Observation] | None = [] if keep else None
        self._actions: list[Any] = []
        self._rewards: list[float] = []
        self._infos: list[dict[str, Any]] = []

    def begin(self, state: EpisodeState) -> None:
        self.state = state

    def view(self, runner: EpisodeRunner) -> View:
        observation = self._look(runner)
        return View(observation, self._infos[-1], self.state, self.memory, self.generator)

    def move(self, runner: EpisodeRunner, action: Any, memory: Any, state: EpisodeState) -> None:
        self._actions.append(action)
        self._rewards.append(runner.reward(state))
        self.state, self.memory = state, memory

    def finished(self, runner: EpisodeRunner, limit: int) -> FinishedEpisode | None:
        """Return the whole episode if it is over."""
        terminated, truncated = runner.terminated(self.state), runner.truncated(self.state)
        truncated = truncated or len(self._actions) >= limit  # both, as Gymnasium's time limit says it
        if not (terminated or truncated):
            return None
        self._look(runner)
        measures = {
            name: float(value) for name, value in runner.task.metrics(self.state.task).items() if np.ndim(value) == 0
        }
        return FinishedEpisode(
            *(self.index, self.number, self.options, self._observations, self._actions, np.array(self._rewards)),
            *(self._infos, terminated, truncated, measures, self.state, self.memory),
        )

    def _look(self, runner: EpisodeRunner) -> Observation:
        observation = runner.observation(self.state)
        self._infos.append(runner.info(self.state))
        if self._observations is not None:
            self._observations.append(observation)
        return observation


def _queue(
    runner: EpisodeRunner,
    options: Iterator[Mapping[str, Any] | None],
    numbers: Iterator[int] | None,
    seeds: Iterator[int] | None,
    seed: int,
    agent_seed: int,
    keep: bool,
) -> Iterator[_Running | None]:
    """Yield the episodes to play, not begun yet; ``None`` where none is ready."""
    repetitions: Counter[int] = Counter()
    index = -1
    for given in options:
        if given is None:
            yield None
            continue
        index += 1
        runner.check_options(given)
        if numbers is None:
            number = _number("reset option episode", given.get("episode", index))
        elif (named := next(numbers, None)) is None:
            raise ValueError(f"numbers: {index} given for more episodes; one per episode is needed")
        else:
            number = _number("numbers", named)
        key = (number, repetitions[number])
        repetitions[number] += 1
        if seeds is None:
            own = np.random.default_rng([seed, *key])
        elif (chosen := next(seeds, None)) is None:
            raise ValueError(f"seeds: {index} given for more episodes; one per episode is needed")
        else:
            own = new_generator(chosen)[0]
        generators = own, np.random.default_rng([agent_seed, *key, _AGENT])
        yield _Running(index, number, given, generators, keep)


def _number(name: str, value: Any) -> int:
    return check_whole(name, int(value) if isinstance(value, np.integer) else value)


def _play(
    runner: EpisodeRunner, act: Act, queue: Iterator[_Running | None], batch: int, limit: int, preset: AccelConfig
) -> Iterator[FinishedEpisode]:
    going: list[_Running] = []
    while True:
        fresh = _ready(queue, batch - len(going), wait=not going)
        _begin(runner, fresh, preset)
        going += fresh
        if not going:
            return
        views = [running.view(runner) for running in going]
        actions, memories = act(views)
        memories = [None] * len(going) if memories is None else memories
        for name, values in (("actions", actions), ("memories", memories)):
            if len(values) != len(going):
                raise ValueError(
                    f"{name}: the policy gave {len(values)} for {len(going)} views; one per view is needed"
                )
        following = runner.step([running.state for running in going], actions)
        for running, action, memory, state in zip(going, actions, memories, following, strict=True):
            running.move(runner, action, memory, state)
        finished = {running: running.finished(runner, limit) for running in going}
        going = [running for running in going if finished[running] is None]
        for episode in finished.values():
            if episode is not None:
                yield episode


def _ready(queue: Iterator[_Running | None], room: int, wait: bool) -> list[_Running]:
    """Take episodes that are ready, at most ``room``; with ``wait`` ask until there is one or the queue ends."""
    fresh: list[_Running] = []
    while len(fresh) < room:
        try:
            each = next(queue)
        except StopIteration:
            break
        if each is not None:
            fresh.append(each)
        elif fresh or not wait:
            break
    return fresh


def _begin(runner: EpisodeRunner, fresh: Sequence[_Running], preset: AccelConfig) -> None:
    """Start episodes, all without a saved state as one batch."""
    anew = [running for running in fresh if "state" not in running.options]
    if anew:
        started = runner.start(
            [running.world_generator for running in anew],
            [running.options for running in anew],
            [preset] * len(anew),
        )
        for running, state in zip(anew, started, strict=True):
            running.begin(state)
    for running in fresh:
        if "state" in running.options:
            running.begin(runner.begin_at(running.options["state"]))


def _sorted(played: Iterator[FinishedEpisode]) -> Iterator[FinishedEpisode]:
    waiting: dict[int, FinishedEpisode] = {}
    following = 0
    for episode in played:
        waiting[episode.index] = episode
        while following in waiting:
            yield waiting.pop(following)
            following += 1


def _preset_of(env: Environment, runner: EpisodeRunner) -> AccelConfig:
    """Return the acceleration settings of episodes whose options name none.

    Raises:
        ValueError: the environments of a vector environment have different settings.
    """
    if isinstance(env, EpisodeRunner):
        return runner.engine.config
    presets = env.unwrapped.preset  # type: ignore[union-attr]
    different = {presets} if isinstance(presets, AccelConfig) else set(presets)
    if len(different) > 1:
        names = shown(sorted(preset.name for preset in different))
        raise ValueError(f"preset: the environments have {names}; allowed: one for all, or reset option 'preset'")
    return different.pop()


def _runner_of(env: Environment, max_steps: int | None) -> tuple[EpisodeRunner, int]:
    """Return the runner of the environment, and the number of steps after which an episode is cut."""
    own: int | None = None
    if isinstance(env, EpisodeRunner):
        runner = env
    else:
        inner = env
        while isinstance(inner, gymnasium.Wrapper) and isinstance(inner, _TRANSPARENT):
            inner = inner.env
        if isinstance(inner, LightInteractionVectorEnv):
            runner, own = inner.runner, inner.max_episode_steps
        elif isinstance(inner, LightInteractionEnv):
            runner, own = inner.runner, None if env.spec is None else env.spec.max_episode_steps
        else:
            kind = type(inner).__name__
            raise ValueError(
                f"env={kind} cannot be played here; allowed: an environment of this package without wrappers that "
                "change observations, actions or rewards"
            )
    if max_steps is None:
        max_steps = own
    if max_steps is None:
        raise ValueError("max_steps=None needs an environment with a time limit; allowed: a whole number from 1 up")
    return runner, check_whole("max_steps", max_steps, 1)
