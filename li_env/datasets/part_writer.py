"""Writer of the parts of episodes in the journal, made of plain values: an encoding process can have it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from li_env.datasets import clips, lerobot, minari
from li_env.datasets.episode_rows import EpisodeRows


@dataclass(frozen=True)
class PartWriter:
    """Writer of the parts of episodes in all formats of a dataset.

    Attributes:
        names: of the formats.
        layout: of the rows.
        fps: frames per second.
    """

    names: tuple[str, ...]
    layout: lerobot.Layout
    fps: float

    def write(self, folder: Path, episode: EpisodeRows, options: Mapping[str, Any], seed: int) -> None:
        """Write the parts of an episode into its entry of the journal.

        Args:
            folder: of the entry.
            episode: to write.
            options: reset options that begin the episode.
            seed: seed of the reset that begins it.
        """
        for name in self.names:
            part = folder / name
            part.mkdir()
            if name == "lerobot":
                lerobot.write_part(part, episode, self.layout)
            elif name == "minari":
                minari.write_part(part, episode, options, seed)
            else:
                clips.write_part(part, episode, self.fps, self.layout.codec)
