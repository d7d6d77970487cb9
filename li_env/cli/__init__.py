"""The command line ``li-env``.

One module per command in this package: ``rollout.py`` is ``li-env rollout``, ``train_world.py`` would be
``li-env train world``. A command module has

- ``Arguments``: a frozen dataclass whose docstring is the help text and whose field docstrings say unit and meaning;
- ``run(arguments)``: does the work, or raises ``ValueError`` with one line for what the user can mend.

Heavy imports belong inside ``run``, so that ``li-env --help`` stays fast. Nothing else needs to be registered.

Exit codes: 0 done, 2 bad input, a file system that refuses or too little memory (one line on stderr), 130 interrupted.
``LI_ENV_TRACEBACK=1`` shows where an error was raised.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import pkgutil
import sys
from collections.abc import Sequence
from dataclasses import fields
from itertools import zip_longest
from types import ModuleType

from li_env.cli._output import any_text_can_be_printed, one_line
from li_env.errors import MissingExtraError
from li_env.validation import check_choice

BAD_INPUT = 2
INTERRUPTED = 130


def commands() -> dict[str, str]:
    """Command (as typed, ``"train world"``) -> module name."""
    modules = [module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")]
    return {name.replace("_", " "): f"{__name__}.{name}" for name in sorted(modules)}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code and never raises for a user's mistake."""
    words = list(sys.argv[1:] if argv is None else argv)
    with any_text_can_be_printed():
        return _main(words)


def _main(words: list[str]) -> int:
    try:
        if not words or words[0] in ("-h", "--help"):
            print(_overview())
            return 0 if words else BAD_INPUT
        command, rest = _split(words)
        module = importlib.import_module(commands()[command])
        module.run(_parse(module, command, rest))
    except (ValueError, OSError, MissingExtraError, MemoryError) as error:
        if os.environ.get("LI_ENV_TRACEBACK"):
            raise
        text = str(error) or type(error).__name__
        print(one_line(f"li-env: error: {text}"), file=sys.stderr)
        return BAD_INPUT
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0
    except KeyboardInterrupt:
        print("li-env: interrupted", file=sys.stderr)
        return INTERRUPTED
    return 0


def _split(words: list[str]) -> tuple[str, list[str]]:
    """(command, its arguments); a command may have two words."""
    known = commands()
    for length in (2, 1):
        command = " ".join(words[:length])
        if command in known:
            return command, words[length:]
    # "train x": complain about what follows "train", not about "train"
    typed = " ".join(words[:2]) if any(name.startswith(f"{words[0]} ") for name in known) else words[0]
    check_choice("command", typed, known)
    raise AssertionError("unreachable")


def _parse(module: ModuleType, command: str, words: list[str]) -> object:
    """Arguments of a command; what the parser prints about a mistake becomes a one-line ``ValueError``."""
    import tyro

    _check_paths(module, words)
    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed):
            return tyro.cli(module.Arguments, prog=f"li-env {command}", args=words)
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        raise ValueError(_mistake(printed.getvalue(), command)) from None


def _check_paths(module: ModuleType, words: list[str]) -> None:
    """Refuse an empty text as the name of a file or folder: a path would make the current folder of it."""
    paths = {f"--{field.name.replace('_', '-')}" for field in fields(module.Arguments) if "Path" in str(field.type)}
    for word, following in zip_longest(words, words[1:]):
        option, sign, value = word.replace("_", "-").partition("=")
        if option in paths and (value if sign else following) == "":
            raise ValueError(f"{option[2:]}='' is empty; allowed: the name of a file or folder")


def _mistake(box: str, command: str) -> str:
    """Extract the message inside the parser's box, without frame, help text and pointers to help."""
    lines = [line.strip("│ ") for line in box.splitlines() if not line.startswith(("╭", "╰"))]
    parts: list[list[str]] = [[]]
    for line in lines:
        if set(line) == {"─"}:
            parts.append([])
        else:
            parts[-1].append(line)
    kept = [part for part in parts if part and not part[0].startswith(("For full helptext", "Argument helptext"))]
    return f"{'; '.join(' '.join(part) for part in kept)} (see li-env {command} --help)"


def _overview() -> str:
    lines = ["usage: li-env COMMAND [options]", "", "Generated worlds as a Gymnasium environment.", "", "commands:"]
    for command, module in commands().items():
        summary = (importlib.import_module(module).Arguments.__doc__ or "").strip().splitlines()[0]
        lines.append(f"  {command:<16} {summary}")
    return "\n".join([*lines, "", "li-env COMMAND --help shows a command's options."])
