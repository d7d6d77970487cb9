"""Final pass: join the journal into the formats, describe the dataset, write checksums."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from li_env.datasets.card import card
from li_env.datasets.formats import Formats
from li_env.datasets.journal import JOURNAL, Journal, flush, flush_tree
from li_env.datasets.manifest import MANIFEST, Manifest, sha256_of
from li_env.files import WRITING, atomic_write, file_sha256, read_json, scratch_folder, write_json

SUMMARY = "dataset.json"
"""File that exists once a dataset is complete: its content hash and the checksum of every file."""

EPISODES = "episodes.jsonl"
"""File with one line per episode."""


def finish(folder: Path, manifest: Manifest, formats: Formats) -> dict[str, Any]:
    """Turn a complete journal into the dataset and return the content of `SUMMARY`.

    Every folder of a format appears whole or not at all; a call after a kill goes on where the last one stood.

    Raises:
        ValueError: episodes are missing, or none is kept.
    """
    journal = Journal(folder)
    missing = set(manifest.episodes) - journal.numbers()
    if missing:
        raise ValueError(f"episode {min(missing)} and {len(missing) - 1} others are not recorded yet; use --resume")
    everything = [journal.record(number) for number in manifest.episodes]
    records = [record for record in everything if record["kept"]]
    if not records:
        raise ValueError(f"keep='success': none of {len(everything)} episodes succeeded; allowed: keep='all'")
    entries = [journal.entry(record["episode"]) for record in records]
    with scratch_folder(WRITING, folder) as scratch:
        for name in manifest.formats:
            if not (folder / name).exists():
                formats.assemble(name, scratch / name, entries, records)
                flush_tree(scratch / name)
                os.rename(scratch / name, folder / name)
                flush(folder)
    lines = "".join(json.dumps(record, sort_keys=True) + "\n" for record in everything)
    with atomic_write(folder / EPISODES) as temporary:
        temporary.write_text(lines, encoding="utf-8")
    splits = formats.splits(records)
    with atomic_write(folder / "README.md") as temporary:
        temporary.write_text(card(manifest, everything, splits, formats), encoding="utf-8")
    summary = summarise(folder, manifest, everything)
    write_json(folder / SUMMARY, summary)
    flush(folder / SUMMARY)
    journal.remove()
    return summary


def summarise(folder: Path, manifest: Manifest, everything: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Compute the content of `SUMMARY`: counts, checksums, and the hash of all of them."""
    files = {name: {"sha256": file_sha256(folder / name), "bytes": (folder / name).stat().st_size}
             for name in files_of(folder)}  # fmt: skip
    kept = [record for record in everything if record["kept"]]
    return {
        "content": sha256_of([[name, entry["sha256"]] for name, entry in files.items()]),
        "manifest": manifest.digest(),
        "episodes": len(kept),
        "left_out": len(everything) - len(kept),
        "frames": sum(record["frames"] for record in kept),
        "rows": sum(record["rows"] for record in kept),
        "steps": sum(record["steps"] for record in kept),
        "success": sum(record["success"] for record in everything) / len(everything),
        "files": files,
    }


def files_of(folder: Path) -> list[str]:
    """List the files whose content belongs to the dataset, sorted."""
    found = []
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        if path.is_file() and not parts[0].startswith(WRITING) and parts[0] not in (JOURNAL, MANIFEST, SUMMARY):
            found.append("/".join(parts))
    return sorted(found)


def read_summary(folder: Path) -> dict[str, Any]:
    """Read `SUMMARY`.

    Raises:
        ValueError: the folder holds no complete dataset.
    """
    path = folder / SUMMARY
    summary = read_json(path, "dataset", "the folder of a complete dataset (li-env collect --resume completes one)")
    if not isinstance(summary, dict) or not isinstance(summary.get("files"), dict):
        raise ValueError(f"{path.name}: 'files' is missing; allowed: a file of li-env collect")
    return summary


def read_episodes(folder: Path) -> list[dict[str, Any]]:
    """Read the descriptions of all episodes, the ones that were left out too."""
    text = (folder / EPISODES).read_text(encoding="utf-8")
    try:
        return [json.loads(line) for line in text.splitlines()]
    except json.JSONDecodeError as error:
        raise ValueError(f"{EPISODES}: {error.msg} in line {text[: error.pos].count(chr(10)) + 1}") from None
