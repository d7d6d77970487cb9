"""``li-env collect verify``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional


@dataclass(frozen=True)
class Arguments:
    """Check a recorded dataset: checksums, counts, rows, and episodes that are played again and compared."""

    folder: Positional[Path]
    """Folder of the dataset."""
    replays: int = 2
    """Episodes to play again; 0 for none."""
    worlds: int = 8
    """Most episodes that step together."""


def run(arguments: Arguments) -> None:
    """Check and print; the first finding ends the command with exit code 2."""
    import numpy as np

    from li_env.datasets.finish import read_episodes, read_summary
    from li_env.datasets.manifest import Manifest
    from li_env.datasets.verify import check_files, replay
    from li_env.validation import check_whole

    check_whole("replays", arguments.replays, 0, 10**6)
    check_whole("worlds", arguments.worlds, 1, 10**5)
    folder = arguments.folder.absolute()  # starting the game changes the current folder for a while
    found = check_files(folder)
    if not found and arguments.replays:
        from li_env.cli._collecting import open_player

        manifest, records = Manifest.read(folder), read_episodes(folder)
        picked = np.unique(np.linspace(0, len(records) - 1, min(arguments.replays, len(records))).astype(int))
        player, runner = open_player(manifest)
        found = list(replay(player, runner, manifest, [records[index] for index in picked], arguments.worlds))
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise ValueError(f"{found[0]}{more}")
    summary = read_summary(folder)
    print(f"{summary['episodes']} episodes, {summary['rows']} rows, {len(summary['files'])} files are right; content "
          f"{summary['content'][:16]}")  # fmt: skip
