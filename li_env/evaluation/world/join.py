"""Join reports of one measurement whose parts were divided over several processes or GPUs."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from li_env.evaluation.fidelity import run as fidelity
from li_env.evaluation.world.pictures import write_plot
from li_env.evaluation.world.run import PICTURE, PLOT, REPORT
from li_env.evaluation.world.settings import PARTS
from li_env.evaluation.world.store import LABELS, joined_settings, unit_words
from li_env.evaluation.world.targets import targets_by_preset
from li_env.files import atomic_folder, check_folder, read_json, write_json

COPIED = (PICTURE, fidelity.REPORT, fidelity.PLOT, fidelity.PICTURE)
"""Files that are taken over from the first folder that has them."""

_RUN = ("command", "commit", "date", "device", "versions", "seconds")

Report = dict[str, Any]


def read_report(path: Path) -> Report:
    """Read a report of `run.measure_world`, or one that was joined.

    Raises:
        ValueError: no file, or no such report.
    """
    report = read_json(path, "report")
    if not isinstance(report, dict) or not {"parts", "settings", "identity"} <= set(report):
        raise ValueError(f"report={path.name!r} is no report of li-env evaluate world; allowed: its JSON file")
    return report


def join_folders(folders: Sequence[Path], out: Path) -> Report:
    """Join the reports in some folders, and write report, plot and pictures into ``out``.

    The plot is drawn anew. `COPIED` come from the first folder that has each of them.

    Args:
        folders: where `run.measure_world` wrote, two or more.
        out: folder of the files; made if needed, files of the same name are replaced.

    Returns:
        the content of the joined report; see `joined`.

    Raises:
        ValueError: fewer than two folders, a missing file, or reports that do not belong together.
    """
    report = joined([(str(folder), read_report(folder / REPORT)) for folder in folders])
    check_folder("out", out, (REPORT, PLOT, *COPIED))
    with atomic_folder(out) as written:
        for name in COPIED:
            source = next((folder / name for folder in folders if (folder / name).is_file()), None)
            if source is not None:
                shutil.copyfile(source, written / name)
        write_json(written / REPORT, report)
        write_plot(report, written / PLOT)
    return report


def joined(named: Sequence[tuple[str, Report]]) -> Report:
    """Join reports that divide the units of one measurement; targets are computed anew.

    Args:
        named: name and content of every report.

    Returns:
        a report without ``seconds`` and ``versions``, which stand in ``runs``: `_RUN` and the parts of every process.
        ``command``, ``commit`` and ``device`` hold the different ones of all.

    Raises:
        ValueError: fewer than two, one that was stopped by force, other settings or weights, or a unit that two of them
            measured.
    """
    if len(named) < 2:
        raise ValueError(f"{len(named)} report is not allowed; join two or more")
    for name, report in named:
        if "missing" not in report:
            raise ValueError(f"report of {name!r} was not written to its end; run its command again, or leave it out")
    name, first = named[0]
    settings = first["settings"]
    for other, report in named[1:]:
        _check_equal(name, first, other, report)
        settings = joined_settings(settings, report["settings"])
    parts = _parts(named)
    runs = [run for _, report in named for run in report.get("runs") or [_run(report)]]
    measured = {unit_words(part, row[LABELS]) for part, found in parts.items() for row in found["rows"]}
    missing = dict.fromkeys(words for _, report in named for words in report["missing"] if words not in measured)
    report = {
        "note": first["note"],
        **{key: "; ".join(dict.fromkeys(str(run[key]) for run in runs)) for key in ("command", "commit", "device")},
        "settings": settings,
        "identity": first["identity"],
        "missing": [*missing],
        "targets": {},
        "runs": runs,
        "parts": parts,
    }
    return {**report, "targets": targets_by_preset(report)}


def _check_equal(name: str, first: Report, other: str, report: Report) -> None:
    """Refuse a report that is of other settings or weights than the first."""
    mine, theirs = first["identity"], report["identity"]
    keys = [key for key in {**mine, **theirs} if mine.get(key) != theirs.get(key)]
    if keys:
        differ = ", ".join(f"{key} {mine.get(key)!r} and {theirs.get(key)!r}"[:100] for key in keys)
        raise ValueError(f"reports of {name!r} and {other!r} differ in {differ}; join those of one measurement")


def _parts(named: Sequence[tuple[str, Report]]) -> dict[str, Any]:
    """Return the rows of all reports by part, every unit once."""
    parts: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for name, report in named:
        for part, found in report["parts"].items():
            entry = parts.setdefault(part, {"seconds": 0.0, "commits": [], "rows": []})
            for row in found["rows"]:
                words = unit_words(part, row[LABELS])
                if words in origin:
                    raise ValueError(
                        f"{words!r} was measured in {origin[words]!r} and {name!r}; every unit may come once"
                    )
                origin[words] = name
            entry["rows"] += found["rows"]
            entry["seconds"] = round(entry["seconds"] + found["seconds"], 1)
            entry["commits"] = [*dict.fromkeys([*entry["commits"], *found["commits"]])]
    order = [*PARTS, *(part for part in parts if part not in PARTS)]
    return {part: parts[part] for part in order if part in parts}


def _run(report: Report) -> Report:
    """Return what is kept of the process that wrote a report."""
    return {**{key: report.get(key) for key in _RUN}, "parts": [*report["parts"]]}
