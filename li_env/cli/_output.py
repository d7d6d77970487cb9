"""What is printed has to fit what the terminal, the file or the pipe can take."""

from __future__ import annotations

import codecs
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

LINE = 500
"""Most characters of an error, its beginning included."""

_PLAIN = {
    sign: plain
    for plain, signs in (
        ("...", "\u2026"),
        ("x", "\u00d7"),
        ("-", "\u2013\u2014\u00b7\u2022\u2500\u2501\u2578\u257a"),
        ("+-", "\u00b1"),
        ("'", "\u2019\u2018"),
        ('"', "\u201c\u201d"),
        ("->", "\u2192"),
        (">=", "\u2265"),
        ("<=", "\u2264"),
        ("|", "\u2502\u2503"),
    )
    for sign in signs
}
"""Plain characters for the signs of tables, progress displays and quotes."""
_CORNERS = re.compile("[\u2500-\u257f]")


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Replace signs that the output cannot show by plain ones, or by a question mark."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    text = "".join(_PLAIN.get(sign) or ("+" if _CORNERS.match(sign) else "?") for sign in signs)
    return text, error.end


codecs.register_error("li_env.plain", _plain)


@contextmanager
def any_text_can_be_printed() -> Iterator[None]:
    """Let standard output and error take any text, in an ASCII locale too, while this lasts."""
    before = []
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            before.append((stream, stream.errors))
            stream.reconfigure(errors="li_env.plain")
    try:
        yield
    finally:
        for stream, errors in before:
            stream.reconfigure(errors=errors)


def progress_display() -> Progress:
    """Make a progress display on standard error that vanishes in the end; it stays silent without a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    return Progress(console=console, transient=True, disable=not console.is_terminal)


def one_line(text: str) -> str:
    """Remove line breaks and cut the middle to `LINE` characters: the end of a message says what is allowed."""
    line = re.sub(r"\s*\n\s*", " ", text.strip())
    if len(line) <= LINE:
        return line
    return f"{line[: LINE // 2 - 2]} ... {line[3 - LINE // 2 :]}"
