"""The prose check finds what the style refuses, with its line, and leaves code alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.scripts.loading import load

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "check_prose.py"
prose = load("check_prose")
RULES = prose.Rules.read(ROOT / prose.PAGE)

GOOD = [
    '"""Camera geometry."""\n',
    'def f():\n    """Return the pose after a motion."""\n',
    'class A:\n    """The pose of a camera."""\n',
    'class A:\n    @property\n    def f(self):\n        """The pose of a camera."""\n',
    'x = 1\n"""A number."""\n',
    "x = 1  # there is a way to do it, in the same way, this way\n",
    "moment = 'a moment'  # the name `moment` stays\n",
    'def f():\n    return """At the end of a moment."""\n',
    "x = 1  # noqa: E501 moment\n",
    "x = a_way  # always, a highway\n",
]
BAD = [
    ('"""Of the module."""\n', 1, "'Of'"),
    ('def f():\n    """The pose."""\n', 2, "'The'"),
    ('async def f():\n    """Whether it is."""\n', 2, "'Whether'"),
    ('class A:\n    """\n    As it is.\n    """\n', 2, "'As'"),
    ('class A:\n    @property\n    def f(self):\n        """At the end."""\n', 4, "'At'"),
    ("x = 1\n\"\"\"For nothing.\"\"\"\n", 2, "'For'"),
    ("x = 1  # at this moment\n", 1, "'moment'"),
    ("# A long comment that is carried\n# out.\n", 1, "'carried out'"),
    ("# One.\n# Two, by the way.\n", 2, "'way'"),
    ('def f():\n    """Return x.\n\n    It has its ways.\n    """\n', 4, "'ways'"),
    ("x = 1\n# Told.\n", 2, "'told'"),
]  # fmt: skip


@pytest.mark.parametrize("text", GOOD)
def test_good_python_passes(text):
    assert prose.findings("x.py", text, RULES) == []


@pytest.mark.parametrize(("text", "line", "what"), BAD)
def test_bad_python_is_found_at_its_line(text, line, what):
    (found,) = prose.findings("x.py", text, RULES)
    assert str(found).startswith(f"x.py:{line}: ")
    assert what in found.what


def test_pages_are_read_without_their_code():
    page = "# A way to go\n\n`moment`\n\n```\na moment\n```\n\nThe footage\nof a moment.\n"
    assert [str(one) for one in prose.findings("x.md", page, RULES)] == [
        "x.md:9: refused word 'footage'",
        "x.md:10: refused word 'moment'",
    ]


def test_every_refused_opening_is_noticed():
    for word in RULES.openings | RULES.function_openings:
        assert len(prose.findings("x.py", f'def f():\n    """{word} x."""\n', RULES)) == 1, word
    assert {"None", "On", "Of"} <= RULES.openings


def test_the_page_itself_keeps_to_its_list():
    assert prose.findings(prose.PAGE, (ROOT / prose.PAGE).read_text(), RULES) == []


@pytest.mark.parametrize("text", ["", "```yaml\nopenings: []\n```\n"])
def test_a_page_without_its_list_is_an_error(text, tmp_path):
    (tmp_path / "page.md").write_text(text)
    with pytest.raises(ValueError, match="YAML"):
        prose.Rules.read(tmp_path / "page.md")


def test_command_prints_lines_and_a_count_by_folder(tmp_path):
    (tmp_path / prose.PAGE).write_text((ROOT / prose.PAGE).read_text())
    (tmp_path / "x.py").write_text('"""Of."""\n')
    for words in (["init", "-q"], ["add", "."]):
        subprocess.run(["git", "-C", tmp_path, *words], check=True)
    run = subprocess.run(
        [sys.executable, SCRIPT, "--root", tmp_path], capture_output=True, text=True, check=False
    )  # fmt: skip
    assert (run.returncode, run.stdout) == (1, "x.py:1: docstring opens with 'Of'\n")
    assert run.stderr == "findings: 1 x.py 1\n"
