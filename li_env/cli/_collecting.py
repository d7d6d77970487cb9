"""Parts of ``li-env collect``: the manifest of its arguments, and the player of a manifest."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from li_env.datasets.manifest import MANIFEST, Manifest, episode_seeds, parse_numbers, sha256_of, sha256_of_files
from li_env.validation import MOST_SEED, check_choice, check_text, check_whole, shown

if TYPE_CHECKING:
    from li_env.cli._collect_arguments import Arguments
    from li_env.datasets.recorder import Player
    from li_env.env import LightInteractionEnv
    from li_env.episodes import EpisodeRunner

_SUFFIXES = (".safetensors", ".json", ".pt", ".bin", ".yaml")


def manifest_of(arguments: Arguments) -> tuple[Manifest, Player, EpisodeRunner]:
    """Check the arguments; return their manifest and what plays it.

    Raises:
        ValueError: an argument that is not allowed.
    """
    import torch

    from li_env.accel.config import AccelConfig
    from li_env.agents.registry import NAMES
    from li_env.worlds.registry import resolve_device

    numbers = parse_numbers(arguments.episodes)
    for name in ("seed", "agent_seed"):
        check_whole(name, getattr(arguments, name), 0, MOST_SEED)
    threads = check_whole("threads", arguments.threads, 0, 1024) or torch.get_num_threads()
    if arguments.label:
        check_choice("label", arguments.label, NAMES)
    check_text("instruction", arguments.instruction, empty=True)
    device = resolve_device(arguments.device)
    if arguments.weights is not None and not arguments.weights.is_dir():
        raise ValueError(f"weights={shown(str(arguments.weights))} is not a folder; allowed: one with the weights")
    weights = None if arguments.weights is None else str(arguments.weights.resolve())
    weights_hash = world_hash(arguments.world, arguments.weights)
    agent = agent_path(arguments.agent)
    computation = {
        **machine(device),
        "threads": threads if device == "cpu" else 0,
        "batch": 0 if device == "cpu" else arguments.worlds,
        "seed": arguments.seed,
    }
    manifest = Manifest(
        world=arguments.world,
        weights=weights_hash,
        weights_folder=weights,
        preset=AccelConfig.of(arguments.preset).replace(cost_model=False).to_dict(),  # no machine's times decide
        task=arguments.task,
        max_steps=arguments.max_steps,
        episode_file=None if arguments.dataset is None else str(arguments.dataset.resolve()),
        episodes_hash="",
        episodes=numbers,
        seeds=episode_seeds(numbers, arguments.seed),
        agent=agent,
        agent_hash=folder_hash(Path(agent)) if agent and os.path.isdir(agent) else "",
        agent_seed=arguments.agent_seed,
        greedy=arguments.greedy,
        label=arguments.label,
        noise=arguments.noise,
        keep=arguments.keep,
        formats=tuple(arguments.format.split(",")),
        codec=arguments.codec,
        fps=0.0,
        instruction=arguments.instruction,
        validation=arguments.validation,
        computation=computation,
    )
    player, runner = load_player(manifest)
    known = known_episodes(runner)
    if known is not None and numbers[-1] >= len(known):
        raise ValueError(
            f"episodes={shown(arguments.episodes)}: episode {max(numbers[0], len(known))} is not in the episode file; "
            f"allowed: 0:{len(known)} or a part of it"
        )
    from dataclasses import replace

    return replace(manifest, episodes_hash=episodes_hash(runner), fps=float(runner.spec.fps)), player, runner


def machine(device: str) -> dict[str, Any]:
    """Name what the bits of frames and files depend on; another machine of the same kind makes the same bits."""
    import av
    import torch

    from li_env.datasets.extras import installed

    return {
        "device": device if device == "cpu" else torch.cuda.get_device_name(),
        "cpu": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
        "torch": torch.__version__.split("+")[0],
        "av": av.__version__,
        "pyarrow": installed("pyarrow"),
    }


def known_episodes(runner: EpisodeRunner) -> Sequence[Any] | None:
    """Return the records of the task's episode file; ``None`` for a task without one."""
    from li_env.tasks.navigation import Navigation

    task = runner.task
    return task.dataset.episodes if isinstance(task, Navigation) and task.dataset is not None else None


def episodes_hash(runner: EpisodeRunner) -> str:
    """Compute the SHA-256 of the task's episodes; empty for a task without an episode file."""
    known = known_episodes(runner)
    if known is None:
        return ""
    return sha256_of([
        [record.start, record.pose, record.goal, record.goal_frame, record.map_seed, record.seed] for record in known
    ])  # fmt: skip


def open_player(manifest: Manifest) -> tuple[Player, EpisodeRunner]:
    """Load the world and the agents of a manifest, if they and this machine are those of the manifest.

    Raises:
        ValueError: weights or episodes that have changed, a machine that makes other bits, or an agent that cannot
            play the task.
    """
    check_weights(manifest)
    now = machine("cpu" if manifest.computation["device"] == "cpu" else "cuda")
    for name, value in now.items():
        stored = manifest.computation.get(name, value)  # older manifests have fewer
        if value != stored:
            raise ValueError(
                f"computation.{name}={shown(value)} of this machine differs from the manifest's {shown(stored)}; "
                "allowed: a machine that makes the same bits"
            )
    player, runner = load_player(manifest)
    if episodes_hash(runner) != manifest.episodes_hash:
        raise ValueError("the episode file has changed since the manifest was written; allowed: the old file")
    return player, runner


def load_player(manifest: Manifest) -> tuple[Player, EpisodeRunner]:
    """Load the world and the agents of a manifest without looking whether they have changed.

    Raises:
        ValueError: an agent that cannot play the task.
    """
    import torch

    from li_env.agents.base import ACTION_SPACE
    from li_env.datasets.recorder import Player
    from li_env.env import LightInteractionEnv

    device = "cpu" if manifest.computation["device"] == "cpu" else "cuda"
    if device == "cpu":
        torch.set_num_threads(int(manifest.computation["threads"]))
    preset = {**manifest.preset, "cost_model": False}
    env = LightInteractionEnv(
        manifest.world, preset, ACTION_SPACE, "frame", device=device, task=manifest.task,
        weights=manifest.weights_folder, dataset=manifest.episode_file,
    )  # fmt: skip
    agent = _agent(manifest.agent, env, manifest, device)
    if not manifest.label:
        return Player(env, agent.act), env.runner
    teacher = _agent(manifest.label, env, manifest, device)

    def teach(views: Sequence[Any]) -> list[np.ndarray]:
        actions: list[np.ndarray] = teacher.act(views)[0]
        return actions

    return Player(env, agent.act, teach), env.runner


def _agent(name: str, env: LightInteractionEnv, manifest: Manifest, device: str) -> Any:
    from li_env.agents.registry import make_agent

    return make_agent(name, env, manifest.agent_seed, manifest.greedy, device)


def agent_path(name: str) -> str:
    """Return the name of a scripted agent, or the full path of a folder; ``ppo:DIR`` and ``mapper:DIR`` name one."""
    kind, colon, folder = name.partition(":")
    if colon and kind in ("ppo", "mapper", "bc"):
        if not os.path.isdir(folder):
            raise ValueError(
                f"agent={shown(name)}: {shown(folder)} is not a folder; allowed: one of li-env train agent"
            )
        name = folder
    return str(Path(name).resolve()) if name and os.path.isdir(name) else name


def hash_of_files(paths: Sequence[Path]) -> str:
    """Compute the SHA-256 of files; empty without any."""
    return sha256_of_files(paths) if paths else ""


def world_hash(world: str, folder: Path | None) -> str:
    """Compute the SHA-256 of a world's weights: of those in ``folder``, or of the shipped ones."""
    from li_env.worlds.registry import world_entry

    entry = world_entry(world)
    return hash_of_files(entry.weight_files()) if folder is None else folder_hash(folder)


def folder_hash(folder: Path) -> str:
    """Compute the SHA-256 of the weights and settings directly in a folder or one level below."""
    found = [path for pattern in ("*", "*/*") for path in folder.glob(pattern) if path.suffix in _SUFFIXES]
    return hash_of_files([path for path in found if path.is_file()])


def prepare(out: Path, manifest: Manifest, resume: bool) -> None:
    """Make the folder of a dataset and write its manifest, or check the one that is there.

    Raises:
        ValueError: a folder with other content, or another manifest.
    """
    from li_env.files import WRITING, check_folder

    check_folder("out", out, (MANIFEST,))
    if (out / MANIFEST).is_file():
        if not resume:
            raise ValueError(f"out={shown(str(out))} holds a dataset; allowed: --resume, or another folder")
        manifest.check_same(Manifest.read(out))
        return
    others = [path.name for path in out.iterdir() if not path.name.startswith(WRITING)] if out.is_dir() else []
    if others:
        raise ValueError(f"out={shown(str(out))} is not empty ({shown(sorted(others)[0])}); allowed: a new folder")
    manifest.write(out)


@contextmanager
def claim(out: Path) -> Iterator[None]:
    """Keep other processes from collecting into the same folder.

    Raises:
        ValueError: another process does already.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    descriptor = os.open(out / MANIFEST, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"out={shown(str(out))} is being written by another process; allowed: wait") from None
        yield
    finally:
        os.close(descriptor)


def check_weights(manifest: Manifest) -> None:
    """Refuse a world or an agent whose files are not those of the manifest.

    Raises:
        ValueError: says which files changed.
    """
    now = world_hash(manifest.world, None if manifest.weights_folder is None else Path(manifest.weights_folder))
    agent = folder_hash(Path(manifest.agent)) if manifest.agent_hash else ""
    for what, old, new in (("world", manifest.weights, now), ("agent", manifest.agent_hash, agent)):
        if old != new:
            raise ValueError(
                f"weights of {what} {shown(getattr(manifest, what))} have changed since the manifest was written "
                f"({new[:12] or 'none'}, were {old[:12]}); allowed: the old files"
            )
