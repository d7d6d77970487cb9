"""Record what the environments do, as hashes and numbers, to compare two commits on one machine.

    cd TREE && PYTHONPATH=. python scripts/frame_hashes.py --checkpoints DIR --out FILE [--only PATTERN]

runs the cases of `frame_cases` on the package in the current folder and writes ``{case: {part: values}}``. A part is
one thing that a case observes in the order of its calls: frames, rewards, ends, one key of ``info``. Small numbers
stand for themselves; arrays become the first 16 hexadecimal digits of a SHA-256 over type, shape and bytes. A case that
raises has the part ``error``. Bits differ between machines and versions of PyTorch, so no result is stored in git.
``make frames-equal`` (`frames_equal`) runs this script on two commits and compares.
"""

from __future__ import annotations

import os

os.environ |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}  # read once, when PyTorch is imported

import argparse
import hashlib
import json
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

SHORT = 4
"""Arrays of at most so many numbers are written out."""

TEXTS = ("reason", "note", "path")
"""Keys whose values are sentences for people."""


class Record:
    """Values of one case by part, each a list in the order in which they were observed."""

    def __init__(self) -> None:
        self.parts: dict[str, list[Any]] = {}

    def add(self, part: str, value: Any) -> None:
        """Append a value; a dictionary is split into one part per key."""
        if isinstance(value, Mapping):
            for key, each in value.items():
                if key not in TEXTS:
                    self.add(f"{part}.{key}", each)
        else:
            self.parts.setdefault(part, []).append(plain(value))


def plain(value: Any) -> Any:
    """Convert a value to something that JSON can hold and that is equal only for equal values."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.dtype == object):
        return [plain(each) for each in value]
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.generic):
        return value.item()
    if not isinstance(value, np.ndarray):
        return value
    if value.size <= SHORT:
        return f"{value.dtype} {value.tolist()}"
    head = f"{value.dtype} {value.shape} ".encode()
    return hashlib.sha256(head + np.ascontiguousarray(value).tobytes()).hexdigest()[:16]


def check_tree(tree: Path) -> None:
    """Stop unless every loaded module of the package lies in ``tree``.

    Raises:
        SystemExit: a module comes from elsewhere, such as an editable install of another checkout.
    """
    import li_env  # noqa: F401

    for name, module in sorted(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if (
            name.split(".")[0] == "li_env"
            and file is not None
            and not Path(file).resolve().is_relative_to(tree.resolve())
        ):
            sys.exit(f"{name} comes from {file}, not from {tree}: run in the root of a checkout with PYTHONPATH=.")


def make_checkpoints(folder: Path, tree: Path) -> None:
    """Write the tiny random checkpoints that are not there yet, with the makers in the tests of ``tree``."""
    from frame_worlds import FRAME_SIZES, write_checkpoint

    folder.mkdir(parents=True, exist_ok=True)
    for name in FRAME_SIZES:
        if not (folder / name).exists():
            (maker,) = tree.glob(f"tests/**/{name}/tiny_checkpoint.py")
            with tempfile.TemporaryDirectory(dir=folder) as unfinished:
                write_checkpoint(name, maker, Path(unfinished) / name)
                (Path(unfinished) / name).rename(folder / name)


def run_cases(checkpoints: Path, only: str) -> dict[str, dict[str, Any]]:
    """Run the cases whose names match the pattern ``only``."""
    from frame_cases import cases

    results: dict[str, dict[str, Any]] = {}
    for name, case in cases(checkpoints).items():
        if not fnmatchcase(name, only):
            continue
        record, before = Record(), time.process_time()
        try:
            case(record)
        except Exception as error:
            traceback.print_exc()
            record.parts["error"] = [f"{type(error).__name__}: {error}"]
        results[name] = record.parts
        print(f"{time.process_time() - before:6.1f} CPU-seconds  {name}", file=sys.stderr, flush=True)
    return results


def main() -> int:
    """Make checkpoints, run, write; the exit code is 1 if a case raised."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoints", type=Path, required=True, help="folder of tiny checkpoints; filled if needed")
    parser.add_argument("--out", type=Path, help="JSON file to write; without it only the checkpoints are made")
    parser.add_argument("--only", default="*", help="pattern of case names, such as 'freedoom_game/*'")
    arguments = parser.parse_args()
    tree = Path.cwd()
    check_tree(tree)
    warnings.simplefilter("ignore")

    import torch

    torch.set_num_threads(1)
    make_checkpoints(arguments.checkpoints, tree)
    if arguments.out is None:
        return 0
    results = run_cases(arguments.checkpoints, arguments.only)
    check_tree(tree)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(results, indent=1), encoding="utf-8")
    print(f"wrote {len(results)} cases to {arguments.out} in {time.process_time():.0f} CPU-seconds", file=sys.stderr)
    return int(not results or any("error" in parts for parts in results.values()))


if __name__ == "__main__":
    sys.exit(main())
