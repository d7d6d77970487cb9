"""Links and citations lead somewhere: files, headings and numbered sections of the repository."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[2]
TEXTS = {".py", ".md", ".yaml", ".yml", ".toml", ".json", ".cff", ".txt", ""}
"""Suffixes of files that may cite a page."""

FENCE = re.compile(r"^(```|~~~).*?^\1", re.DOTALL | re.MULTILINE)
HEADING = re.compile(r"^ {0,3}#{1,6} +(.*?)(?: +#+)? *$", re.MULTILINE)
LINK = re.compile(
    r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)|^\[[^\]]+\]: +(\S+)|(?:href|src)=\"([^\"]+)\"", re.MULTILINE
)
NUMBER = r"\d+(?:\.\d+)*"
CITATION = re.compile(
    rf"(?P<page>\bdocs/[\w/-]+\.md)(?:#(?P<anchor>[\w-]+))?"
    rf"|(?P<public>\barXiv[ :]\d)"
    rf"|\b[Ss]ections? (?P<numbers>{NUMBER}(?:(?:, | and | to |, and ){NUMBER})*)(?!\.?\w)"
)
LOST = re.compile(
    r"(?<![\w/])specs[/]|\.\./shared|/work/shared"
    r"|[Ss]pecifications? of (?:[A-Z]|this project)|[Ss]pecification,? (?:[Ss]ections? )?\d"
)
"""Names of documents that are not part of the repository."""


@cache
def tracked() -> tuple[str, ...]:
    if not (ROOT / ".git").exists():
        pytest.skip("needs the repository")
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], capture_output=True, text=True, check=True).stdout
    names = [name for name in listed.split("\0") if name and not (ROOT / name).is_symlink()]
    return tuple(name for name in names if (ROOT / name).is_file() and Path(name).suffix in TEXTS)


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def headings(text: str) -> list[str]:
    """Texts of the headings outside fenced code, without their formatting."""
    plain = [re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", title) for title in HEADING.findall(FENCE.sub("", text))]
    return [title.replace("`", "").replace("**", "") for title in plain]


def anchors(text: str) -> set[str]:
    """Anchors that GitHub gives to the headings, and those written as HTML."""
    found: set[str] = set(re.findall(r"<\w+ [^>]*(?:id|name)=\"([^\"]+)\"", text))
    seen: Counter[str] = Counter()
    for title in headings(text):
        slug = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


def sections(text: str) -> set[str]:
    """Numbers at the beginning of headings."""
    return {match[1] for title in headings(text) if (match := re.match(rf"({NUMBER})\.? ", title))}


def broken_links(name: str, text: str) -> list[str]:
    """Relative links of a page that lead to no file, or to no heading of it."""
    broken = []
    for groups in LINK.findall(re.sub(r"`[^`\n]*`", "", FENCE.sub("", text))):
        link = next(filter(None, groups))
        path, _, anchor = unquote(link).partition("#")
        if re.match(r"[a-z][a-z0-9+.-]*:", link):
            continue
        target = (ROOT / name).parent / path if path else ROOT / name
        if not target.exists() or not target.resolve().is_relative_to(ROOT):
            broken.append(f"{name}: {link}: no such file")
        elif anchor and anchor not in anchors(text if not path else target.read_text(encoding="utf-8")):
            broken.append(f"{name}: {link}: no such heading")
    return broken


def broken_citations(name: str, text: str) -> list[str]:
    """Pages and sections that a file cites and that are not there.

    A section belongs to the page or paper named last before it. A page in docs/spec may cite its own sections.
    """
    broken = []
    page = name if name.startswith("docs/spec/") else ""
    for match in CITATION.finditer(re.sub(r"\s*\n[ \t]*#?[ \t]*", " ", text)):
        if match["public"]:
            page = "public"
        elif match["page"]:
            page = match["page"]
            if not (ROOT / page).is_file():
                broken.append(f"{name}: {page}: no such file")
            elif match["anchor"] and match["anchor"] not in anchors(read(page)):
                broken.append(f"{name}: {match[0]}: no such heading")
        elif not page:
            broken.append(f"{name}: {match[0]}: of which document?")
        elif (ROOT / page).is_file():
            known = sections(read(page))
            broken += [f"{name}: {page}, section {n}" for n in re.findall(NUMBER, match["numbers"]) if n not in known]
    return broken


def test_every_link_of_a_page_leads_somewhere() -> None:
    assert [fault for name in tracked() if name.endswith(".md") for fault in broken_links(name, read(name))] == []


def test_every_cited_page_and_section_is_there() -> None:
    names = [name for name in tracked() if name != "LICENSE" and not name.startswith("tests/docs/")]
    faults = [fault for name in names for fault in broken_citations(name, read(name))]
    # Other tests name pages that they write themselves.
    assert [fault for fault in faults if not re.fullmatch(r"tests/.*: no such file", fault)] == []


def test_no_document_from_outside_is_cited() -> None:
    found = [f"{name}: {m[0]}" for name in tracked() if name != ".ci/run" for m in LOST.finditer(read(name))]
    assert [fault for fault in found if not fault.startswith(("docs/spec/", "tests/docs/"))] == []


def test_numbered_pages_have_each_number_once() -> None:
    for name in tracked():
        if name.startswith("docs/spec/"):
            numbers = [match[1] for title in headings(read(name)) if (match := re.match(rf"({NUMBER})\.? ", title))]
            assert numbers and max(Counter(numbers).values()) == 1, name


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("# What is exact, what is mended", "what-is-exact-what-is-mended"),
        ("## 9.4 Sparse attention", "94-sparse-attention"),
        ("### `hy_worldplay` — `LI_ENV_X`", "hy_worldplay--li_env_x"),
        ("## A [link](x.md) and **bold** #", "a-link-and-bold"),
        ("## Twice\n## Twice", "twice-1"),
        ('<a id="here"></a>', "here"),
    ],
)
def test_anchors_are_those_of_github(heading: str, anchor: str) -> None:
    assert anchor in anchors(heading)


def test_headings_in_code_have_no_anchor() -> None:
    assert anchors("```bash\n# A comment\n```\n# Title\n") == {"title"}


@pytest.mark.parametrize(
    "text",
    ["[x](nowhere.md)", "[x](README.md#nowhere)", "[x](#nowhere)", "![x](docs/no.png)", "[x](../outside.md)",
     "[x]: nowhere.md", '<img src="no.png">'],
)  # fmt: skip
def test_broken_links_are_noticed(text: str) -> None:
    assert len(broken_links("README.md", text)) == 1


@pytest.mark.parametrize("text", ["[x](https://a.b/c#d)", "[x](LICENSE)", "`[x](no.md)`", "```\n[x](no.md)\n```"])
def test_other_links_are_not(text: str) -> None:
    assert broken_links("README.md", text) == []


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("See docs/spec/hy_worldplay.md, section 3.2.", 0),
        ("See docs/spec/hy_worldplay.md, sections 3.5, 3.8 and\n    # 10.2.", 0),
        ("See docs/spec/hy_worldplay.md, sections 3.4 to 3.99.", 1),
        ("See docs/spec/hy_worldplay.md,\n    section 99.", 1),
        ("See docs/spec/nowhere.md, section 1.", 1),
        ("See docs/worlds/freedoom.md#nowhere.", 1),
        ("See section 3.", 1),
        ("See arXiv 2605.31158, section 99.", 0),
    ],
)
def test_broken_citations_are_noticed(text: str, faults: int) -> None:
    assert len(broken_citations("accel/x.py", text)) == faults


@pytest.mark.parametrize(
    "text",
    ["specs/platform.md section B", "the specification of HY-WorldPlay", "(specification 3.7)", "../shared/x"],
)  # fmt: skip
def test_lost_documents_are_noticed(text: str) -> None:
    assert LOST.search(text)
    assert not LOST.search("docs/spec/platform.md; the specification of a space; env.spec")
