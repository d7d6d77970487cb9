"""Settings with which the scans of a folder were built, so that the same scans can be built again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from li_env.files import read_json, write_json
from li_env.validation import check_keys, check_mapping, check_number, shown

SETTINGS = "build.json"
"""File beside scans that were built together."""

NAMES = ("spacing", "headings", "most", "size")
"""Settings, as the flags of ``li-env scan build`` are called; ``size`` is left out where it is the default."""

Settings = Mapping[str, float | str | None]


def read_settings(folder: Path) -> dict[str, float | str | None] | None:
    """Read the settings of the scans in a folder; ``None`` where they are not known.

    Raises:
        ValueError: a damaged file.
    """
    path = folder / SETTINGS
    if not path.is_file():
        return None
    data = dict(check_mapping(SETTINGS, read_json(path, "scans", "a file of li-env scan build")))
    check_keys(f"{SETTINGS}:", data, NAMES)
    for name, value in data.items():
        if name == "size" and not isinstance(value, str):
            raise ValueError(f"{SETTINGS}: size={shown(value)} is not allowed; use the name of a size")
        if value is not None and name != "size":
            check_number(f"{SETTINGS}: {name}", value, 0)
    return data


def keep_settings(folder: Path, settings: Settings) -> None:
    """Write the settings of scans that are about to be built into a folder, if no scan is there yet.

    Raises:
        ValueError: the folder holds scans of other settings.
    """
    there = read_settings(folder)
    if there is None:
        if not any(folder.iterdir()):
            write_json(folder / SETTINGS, dict(settings))
        return
    for name in NAMES:
        value = settings.get(name)
        if there.get(name) != value:
            raise ValueError(
                f"{name}={shown(value)} differs from that of the scans in {shown(str(folder))}, which were built with "
                f"{shown(there.get(name))}; allowed: the same again, or another folder"
            )
