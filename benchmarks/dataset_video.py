"""PSNR of the videos of a recorded dataset against its frames without loss.

    python benchmarks/dataset_video.py --out benchmarks/dataset_video.json

The same episodes are collected with every codec; `lossless`, which tests compare bit by bit with what was played, is
the reference. Even and odd frames are those at even and odd places of an episode: with a key frame every second frame
(``av1``), all even ones are key frames. ``frames_per_second`` is the encoder's alone, on one thread of a machine that
others use.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from provenance import provenance

from li_env.cli import main as li_env
from li_env.datasets.finish import read_episodes
from li_env.datasets.lerobot import CAMERA
from li_env.datasets.video import codec_of, encode
from li_env.files import write_json
from li_env.recording import video_frames


def collected(out: Path, codec: str, given: argparse.Namespace) -> Path:
    """Collect the episodes."""
    words = ["collect", "--world", given.world, "--task", "explore", "--agent", given.agent, "--episodes",
             f"0:{given.episodes}", "--max-steps", str(given.max_steps), "--codec", codec, "--device", "cpu",
             "--threads", "1", "--out", str(out)]  # fmt: skip
    if li_env(words):
        raise RuntimeError(f"li-env {' '.join(words)} failed")
    return out


def frames_of(dataset: Path) -> Iterator[np.ndarray]:
    """Yield the frames of a dataset in order."""
    for path in sorted((dataset / "lerobot/videos" / CAMERA).rglob("*.mp4")):
        yield from video_frames(path)


def decibels(dataset: Path, reference: Path) -> np.ndarray:
    """Return the PSNR of every frame."""
    found = []
    for one, two in zip(frames_of(dataset), frames_of(reference), strict=True):
        error = np.square(one.astype(np.float64) - two).mean()
        found.append(10 * np.log10(255**2 / max(error, 1e-9)))
    return np.array(found)


def encoding_rate(reference: Path, codec: str, folder: Path, count: int = 256) -> float:
    """Return frames per second of the encoder alone."""
    frames = np.stack([frame for _, frame in zip(range(count), frames_of(reference), strict=False)])
    began = time.perf_counter()
    encode(folder / "rate.mp4", frames, 8, codec_of(codec, frames.shape[1:3]))
    return len(frames) / (time.perf_counter() - began)


def measured(dataset: Path, reference: Path, codec: str, folder: Path) -> dict[str, Any]:
    """Describe one codec."""
    found = decibels(dataset, reference)
    place = np.concatenate([np.arange(record["rows"]) for record in read_episodes(dataset)])
    even, odd = (float(found[place % 2 == side].mean()) for side in (0, 1))
    size = sum(path.stat().st_size for path in (dataset / "lerobot/videos").rglob("*.mp4"))
    return {
        "codec": codec, "frames": len(found), "mean_db": float(found.mean()), "worst_db": float(found.min()),
        "pooled_db": float(-10 * np.log10(np.mean(10 ** (-found / 10)))), "even_db": even, "odd_db": odd,
        "share_below_40_db": float((found < 40).mean()), "bytes_per_frame": size / len(found),
        "frames_per_second": encoding_rate(reference, codec, folder),
    }  # fmt: skip


def main(words: Sequence[str] | None = None) -> None:
    """Collect, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", nargs="+", default=["freedoom_game", "freedoom"], dest="names")
    parser.add_argument("--agent", default="wanderer")
    parser.add_argument("--episodes", type=int, default=42)
    parser.add_argument("--max-steps", type=int, default=32)
    parser.add_argument("--codecs", nargs="+", default=["h264", "av1"])
    parser.add_argument("--out", type=Path, default=Path("benchmarks/dataset_video.json"))
    given = parser.parse_args(words)
    report: dict[str, Any] = {"provenance": provenance(), "worlds": {}}
    for world in given.names:
        given.world = world
        with tempfile.TemporaryDirectory() as temporary:
            folder, rows = Path(temporary), report["worlds"].setdefault(world, [])
            reference = collected(folder / "reference", "lossless", given)
            for codec in given.codecs:
                rows.append(measured(collected(folder / codec, codec, given), reference, codec, folder))
                print(world, rows[-1], flush=True)
                write_json(given.out, report)


if __name__ == "__main__":
    main()
