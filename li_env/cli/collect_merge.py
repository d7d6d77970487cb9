"""``li-env collect merge``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional


@dataclass(frozen=True)
class Arguments:
    """Merge recorded datasets that differ in their episodes alone."""

    folders: Positional[tuple[Path, ...]]
    """Folders of the datasets, in the order of their episodes."""
    out: Path
    """Folder of the merged dataset, new or empty; with --resume one that was begun."""
    resume: bool = False
    """Go on with a merge of the same datasets that was stopped."""


def run(arguments: Arguments) -> None:
    """Check, unpack, join."""
    from li_env.cli._collecting import claim, load_player, prepare
    from li_env.datasets.finish import SUMMARY, finish, read_summary
    from li_env.datasets.formats import Formats
    from li_env.datasets.journal import Journal
    from li_env.datasets.merge import merged_manifest, unpack
    from li_env.datasets.verify import check_files

    folders, out = [folder.absolute() for folder in arguments.folders], arguments.out.absolute()
    manifest = merged_manifest(folders)
    for folder in folders:
        for found in check_files(folder):
            raise ValueError(f"{folder.name}/{found}")
    prepare(out, manifest, arguments.resume)
    journal = Journal(out)
    with claim(out):
        if (out / SUMMARY).exists():
            journal.remove()
            summary = read_summary(out)
        else:
            journal.open()
            for folder in folders:
                unpack(folder, journal, manifest)
            summary = finish(out, manifest, Formats(manifest, load_player(manifest, scans=False)[1]))
    print(f"{summary['episodes']} episodes of {len(folders)} datasets, content {summary['content'][:16]}: {out}")
