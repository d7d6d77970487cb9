"""Memory of a collection over many episodes, which has to stay flat, and of the final pass.

    python benchmarks/dataset_memory.py --episodes 5000 --out benchmarks/dataset_memory.json

Short episodes of the real game, so that many of them pass; LeRobot, h264. Memory is what the kernel reports of this
process (VmRSS) without any help; the game's engines are processes of their own. The final pass is sampled by a thread.
The file is written with every sample.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from on_device import resident_mib
from provenance import provenance

from li_env.cli._collect_arguments import Arguments
from li_env.cli._collecting import manifest_of
from li_env.datasets.collect import Progress, collect
from li_env.datasets.finish import finish
from li_env.datasets.formats import Formats
from li_env.files import write_json


class Watch:
    """Thread that keeps the largest memory seen [MiB]."""

    def __init__(self) -> None:
        self.most, self._stop = resident_mib(trim=False), threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(0.05):
            self.most = max(self.most, resident_mib(trim=False))


def main(words: Sequence[str] | None = None) -> None:
    """Collect, sample, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", default="freedoom_game")
    parser.add_argument("--episodes", type=int, default=5000)
    parser.add_argument("--max-steps", type=int, default=2)
    parser.add_argument("--worlds", type=int, default=8, help="that step together")
    parser.add_argument("--encoders", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/dataset_memory.json"))
    given = parser.parse_args(words)
    settings = {name: str(value) for name, value in vars(given).items()}
    report: dict[str, Any] = {"provenance": provenance(), "settings": settings, "samples": []}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        manifest, player, runner = manifest_of(Arguments(
            agent="wanderer", out=folder, world=given.world, task="explore", episodes=f"0:{given.episodes}",
            max_steps=given.max_steps, worlds=given.worlds, device="cpu", threads=1,
        ))  # fmt: skip
        every, began = max(1, given.episodes // 50), time.perf_counter()

        def sample(progress: Progress) -> None:
            if progress.episodes % every == 0:
                memory = round(resident_mib(trim=False), 1)
                report["samples"].append({"episodes": progress.episodes, "resident_mib": memory})
                settled = [each["resident_mib"] for each in report["samples"][len(report["samples"]) // 5 :]]
                report["growth_mib_after_the_first_fifth"] = round(max(settled) - settled[0], 1)
                write_json(given.out, report)

        progress = collect(player, runner, manifest, folder, given.worlds, given.encoders, None, sample)
        report["frames"], report["seconds"] = progress.frames, round(time.perf_counter() - began, 1)
        report["before_the_final_pass_mib"] = round(resident_mib(trim=False), 1)
        began = time.perf_counter()
        with Watch() as watch:
            finish(folder, manifest, Formats(manifest, runner))
        report["most_in_the_final_pass_mib"] = round(watch.most, 1)
        report["final_pass_seconds"] = round(time.perf_counter() - began, 1)
        write_json(given.out, report)
    print({name: value for name, value in report.items() if name not in ("samples", "provenance")})


if __name__ == "__main__":
    main()
