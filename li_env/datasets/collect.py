"""Collection: play the episodes of a manifest that the journal lacks, and commit each as soon as it has ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from li_env.datasets.encoders import Encoders, commit
from li_env.datasets.formats import Formats
from li_env.datasets.instructions import instruction_of
from li_env.datasets.journal import Journal
from li_env.datasets.manifest import Manifest
from li_env.datasets.recorder import Player, Recording, record_episodes
from li_env.datasets.rows import make_rows
from li_env.episodes import EpisodeRunner
from li_env.rollouts import FinishedEpisode


@dataclass
class Progress:
    """Counts of a collection.

    Attributes:
        episodes: that ended in this call.
        successes: of these.
        frames: that they have.
        steps: computed in this call.
        stored: steps of the episodes that were written.
    """

    episodes: int = 0
    successes: int = 0
    frames: int = 0
    steps: int = 0
    stored: int = 0


def collect(
    player: Player,
    runner: EpisodeRunner,
    manifest: Manifest,
    folder: Path,
    worlds: int,
    encoders: int = 1,
    numbers: Iterable[int] | None = None,
    on_episode: Callable[[Progress], None] = lambda progress: None,
    processes: bool = False,
) -> Progress:
    """Play what is missing and commit it to the journal.

    Episodes that are played and episodes that wait for their commit are together at most ``worlds``: a kill costs at
    most one episode per environment.

    Args:
        player: plays the episodes.
        runner: runner of the player's environment.
        manifest: what to collect.
        folder: of the dataset.
        worlds: most episodes that step together.
        encoders: threads or processes that encode and write.
        numbers: of the manifest's episodes, the ones to collect here; all by default.
        on_episode: called after every commit.
        processes: encode in processes instead of threads, see `li_env.datasets.encoders.Encoders`.

    Raises:
        OSError: a file could not be written, or an encoding process is gone; the committed episodes stay.
    """
    journal, formats, progress = Journal(folder), Formats(manifest, runner), Progress()
    journal.open()
    seeds = dict(zip(manifest.episodes, manifest.seeds, strict=True))
    done = journal.numbers()
    missing = [number for number in (manifest.episodes if numbers is None else numbers) if number not in done]
    writer = formats.writer()
    committed: SimpleQueue[Future[dict[str, Any]]] = SimpleQueue()
    started = 0

    def written(encoders: Encoders, episode: FinishedEpisode, recording: Recording) -> dict[str, Any]:
        number, spec = episode.number, runner.spec
        text = instruction_of(manifest.task, spec.length_unit, number, recording.sensors[0], manifest.instruction)
        rows = make_rows(episode, recording, runner.task, spec, text, manifest.records_teacher)
        kept = manifest.keep == "all" or bool(rows.record["success"])
        about = {"kept": kept, "map": formats.map_of(number)}
        job = partial(
            commit, folder=folder, about=about, writer=writer, options=formats.options(number), seed=seeds[number]
        )
        return encoders.run(job, rows, recording.frames.shared)

    def reap(block: bool) -> None:
        """Count the episodes that are committed; with ``block`` wait for one."""
        while block or not committed.empty():
            block = False
            record = committed.get().result()
            progress.episodes += 1
            progress.successes += record["success"]
            progress.frames += record["frames"]
            progress.stored += record["steps"] if record["kept"] else 0
            progress.steps = recorder.steps
            on_episode(progress)

    def options() -> Iterator[dict[str, Any] | None]:
        nonlocal started
        for number in missing:
            while True:
                reap(block=False)
                if started - progress.episodes < worlds:
                    break
                if started == ended:
                    reap(block=True)
                else:
                    yield None
            started += 1
            yield formats.options(number)

    ended = 0
    recorder, recorded = record_episodes(player, runner, manifest, missing, options(), worlds)
    try:
        with Encoders(encoders, processes) as pool:
            for episode, recording in recorded:
                ended += 1
                pool.submit(written, pool, episode, recording).add_done_callback(committed.put)
            while progress.episodes < ended:
                reap(block=True)
    except BrokenExecutor:
        raise OSError("an encoding process is gone; what is committed stays: use --resume") from None
    progress.steps = recorder.steps
    return progress
