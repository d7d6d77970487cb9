"""Archives with which trainings of ppo_training.py travel between machines: little besides what goes on from them.

Of a cell travel the agent, the optimiser's state while it still learns, the log, the evaluated points of its curve, its
result, and snapshots that are not evaluated yet. Episodes travel too; scans are built again.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

from li_env.files import read_json

CURVE = "curve.json"
"""File of a cell with the evaluated points of its learning curve."""

RESULT = "result.json"
"""File of a cell that is trained and evaluated."""

BEGUN = "provenance.json"
"""File of a cell with the command and the machine that trained it last."""

LARGEST = 15 * 2**20
"""Most bytes in an archive, as far as one cell does not have more."""


def points_of(folder: Path) -> list[dict[str, float]]:
    """Return the evaluated points of a cell's curve."""
    path = folder / CURVE
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []


def waiting_snapshots(folder: Path) -> list[Path]:
    """Return the snapshots of a cell that are not evaluated, in the order of their steps."""
    known = {int(point["steps"]) for point in points_of(folder)}
    return [path for path in sorted((folder / "snapshots").glob("*.safetensors")) if int(path.stem) not in known]


def pack(keep: Path, out: Path) -> list[Path]:
    """Write archives ``part_<n>.tar`` of the cells and episodes in ``keep`` into ``out``, and return them."""
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("part_*.tar"):
        old.unlink()
    batches: list[list[Path]] = [[]]
    room = LARGEST
    for group in _groups(keep):
        size = sum(path.stat().st_size + 1024 for path in group)
        if batches[-1] and size > room:
            batches.append([])
            room = LARGEST
        batches[-1] += group
        room -= size
    written = []
    for number, batch in enumerate(each for each in batches if each):
        written.append(out / f"part_{number}.tar")
        with tarfile.open(written[-1], "w") as archive:
            for path in batch:
                archive.add(path, path.relative_to(keep).as_posix())
    return written


def unpack(source: Path, keep: Path) -> None:
    """Put what `pack` wrote into ``keep``, except cells that are further there.

    Raises:
        ValueError: ``source`` holds no archives.
    """
    archives = sorted(source.glob("part_*.tar"))
    if not archives:
        raise ValueError(f"unpack={str(source)!r} holds no part_<n>.tar; allowed: a folder that --pack wrote")
    for path in archives:
        with tarfile.open(path) as archive:
            members = archive.getmembers()
            for cell in sorted({member.name.split("/")[0] for member in members}):
                own = [member for member in members if member.name.split("/")[0] == cell]
                state = next((member for member in own if member.name == f"{cell}/agent.json"), None)
                there, file = keep / cell / "agent.json", None if state is None else archive.extractfile(state)
                further = json.load(file)["steps"] if file is not None else 0
                if there.is_file() and read_json(there, "agent")["steps"] >= further:
                    continue
                archive.extractall(keep, own, filter="data")


def _groups(keep: Path) -> Iterator[list[Path]]:
    """Yield the files that belong together: the episodes, and those of every cell that has begun."""
    yield sorted((keep / "episodes").glob("*.json"))
    for state in sorted(keep.glob("*/agent.json")):
        folder, agent = state.parent, read_json(state, "agent")
        names = ["policy.safetensors", "log.jsonl", BEGUN, CURVE, RESULT]
        if agent["steps"] < agent["config"]["steps"]:
            names.append("optimizer.safetensors")
        yield [state, *(folder / name for name in names if (folder / name).is_file()), *waiting_snapshots(folder)]
