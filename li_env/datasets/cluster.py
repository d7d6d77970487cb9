"""Collection on a Ray cluster: a task is (manifest, slice) -> episodes in the journal on a shared file system.

A task can be repeated: it skips what is committed. So a killed worker costs the episodes that it was playing, and a
killed driver costs nothing: started again, it hands out what the journal lacks. No step is ever called remotely.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from li_env.datasets.collect import Progress, collect
from li_env.datasets.extras import ray as import_ray
from li_env.datasets.journal import Journal
from li_env.datasets.manifest import Manifest
from li_env.datasets.recorder import Player
from li_env.episodes import EpisodeRunner
from li_env.validation import shown

Opener = Callable[[Manifest], tuple[Player, EpisodeRunner]]
"""Function of a module that loads what plays a manifest; workers import it by name."""


class Worker:
    """One vector environment on one GPU, or on as many cores as the manifest has threads.

    Args:
        opener: loads the player, and refuses weights that are not the manifest's.
        manifest: of the dataset.
        folder: of the dataset, on a file system that all machines share.
        worlds: most episodes that step together.
        encoders: threads or processes that encode.
        processes: which of the two.
    """

    def __init__(
        self, opener: Opener, manifest: Manifest, folder: str, worlds: int, encoders: int, processes: bool
    ) -> None:
        self._opener, self._manifest, self._folder = opener, manifest, Path(folder)
        self._worlds, self._encoders, self._processes = worlds, encoders, processes
        self._opened: tuple[Player, EpisodeRunner] | None = None

    def collect(self, numbers: Sequence[int]) -> Progress:
        """Collect the episodes of a slice that the journal lacks; return the counts."""
        # Opened here and not in the constructor: an error of a constructor reaches the driver as text alone.
        if self._opened is None:
            self._opened = self._opener(self._manifest)
        player, runner = self._opened
        return collect(
            player, runner, self._manifest, self._folder, self._worlds, self._encoders, numbers,
            processes=self._processes,
        )  # fmt: skip


def collect_on_ray(
    opener: Opener,
    manifest: Manifest,
    folder: Path,
    address: str,
    worlds: int,
    encoders: int,
    slice_size: int,
    on_episode: Callable[[Progress], None] = lambda progress: None,
    processes: bool = False,
) -> Progress:
    """Collect with all workers that a cluster has room for, one slice per worker at a time.

    Args:
        opener: loads the player on a worker.
        manifest: what to collect.
        folder: of the dataset, on a file system that all machines share.
        address: of the cluster; ``auto`` for the running one, ``local`` for a new one on this machine.
        worlds: most episodes that step together on a worker.
        encoders: encoding threads or processes of a worker.
        slice_size: episodes of a task.
        on_episode: called after every task.
        processes: encode in processes instead of threads.

    Raises:
        ValueError: no cluster at the address, one without a free GPU or core, or a worker that cannot play the
            manifest, such as one with other weights.
        OSError: a worker could not write; what is committed stays.
        MissingExtraError: the extra ``cluster`` is not installed.
    """
    ray = import_ray()
    check_address(address)
    try:
        ray.init(None if address == "local" else address, log_to_driver=False, logging_level="error",
                 include_dashboard=False, ignore_reinit_error=True)  # fmt: skip
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ValueError(f"ray={address!r} cannot be reached: {str(error).splitlines()[0]}") from None
    try:
        on_gpu = manifest.computation["device"] != "cpu"
        share = {"num_gpus": 1} if on_gpu else {"num_cpus": max(1, int(manifest.computation["threads"]))}
        ((name, each),) = share.items()
        room = int(ray.cluster_resources().get("GPU" if on_gpu else "CPU", 0)) // each
        if room < 1:
            raise ValueError(f"ray={address!r} has no room for a worker with {name}={each}; allowed: a larger cluster")
        done = Journal(folder).numbers()
        missing = [number for number in manifest.episodes if number not in done]
        slices = [tuple(missing[first : first + slice_size]) for first in range(0, len(missing), slice_size)]
        remote = ray.remote(Worker).options(**share, max_restarts=-1, max_task_retries=-1)
        path = str(folder.resolve())
        workers = [
            remote.remote(opener, manifest, path, worlds, encoders, processes) for _ in range(min(room, len(slices)))
        ]
        return _hand_out(ray, workers, iter(slices), manifest, on_episode)
    finally:
        ray.shutdown()


def check_address(address: str) -> None:
    """Refuse a host that does not answer at once; Ray itself would try for minutes.

    Raises:
        ValueError: no address, or nobody answers there.
        MissingExtraError: the extra ``cluster`` is not installed.
    """
    import_ray()
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if address in ("auto", "local"):
        return
    if not colon or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"ray={shown(address)} is not an address; allowed: auto, local, or HOST:PORT")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise ValueError(f"ray={shown(address)} cannot be reached ({error.strerror or error})") from None


def _hand_out(
    ray: Any,
    workers: Sequence[Any],
    slices: Iterator[tuple[int, ...]],
    manifest: Manifest,
    on_episode: Callable[[Progress], None],
) -> Progress:
    """Keep every worker busy with one slice until none is left."""
    total, running = Progress(), {}

    def hand_to(worker: Any) -> None:
        part = next(slices, None)
        if part is not None:
            name = f"{manifest.digest()[:12]}:{part[0]}-{part[-1]}"
            running[worker.collect.options(name=name).remote(part)] = worker

    for worker in workers:
        hand_to(worker)
    while running:
        (ended,), _ = ray.wait(list(running), num_returns=1)
        try:
            made = ray.get(ended)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None
        for count in fields(Progress):
            setattr(total, count.name, getattr(total, count.name) + getattr(made, count.name))
        on_episode(total)
        hand_to(running.pop(ended))
    return total
