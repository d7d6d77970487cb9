"""Start images and prompts from a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from li_env.files import read_text
from li_env.images import read_image
from li_env.validation import shown_path

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
_MOST_BYTES = 2**24


def image_options(folder: Path, prompts: Path | None = None) -> list[dict[str, Any]]:
    """Read reset options from images in the order of their names, with one prompt each where there is a list.

    Args:
        folder: folder of PNG, JPEG or WebP files; other files are left out.
        prompts: text file with one prompt per line.

    Raises:
        ValueError: no folder, no image, images that cannot be read (the message names all), or another number of
            prompts.
    """
    if not folder.is_dir():
        raise ValueError(f"images={shown_path(folder)} is no folder; allowed: a folder of {', '.join(SUFFIXES)} files")
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not files:
        raise ValueError(f"images={shown_path(folder)} has no image; allowed: a folder of {', '.join(SUFFIXES)} files")
    options: list[dict[str, Any]] = []
    unreadable: list[str] = []
    for path in files:
        try:
            options.append({"image": read_image(path)})
        except ValueError:
            unreadable.append(path.name)
    if unreadable:
        raise ValueError(
            f"images={shown_path(folder)}: cannot read {', '.join(unreadable)}; allowed: PNG, JPEG and WebP files"
        )
    if prompts is None:
        return options
    lines = [
        line.strip() for line in read_text(prompts, "prompts", _MOST_BYTES, "a text file").splitlines() if line.strip()
    ]
    if len(lines) != len(files):
        raise ValueError(
            f"prompts={shown_path(prompts)} has {len(lines)} prompts for {len(files)} images; use one line per image, "
            "in the order of their names"
        )
    return [{**each, "prompt": line} for each, line in zip(options, lines, strict=True)]
