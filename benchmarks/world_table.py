"""Turn a report of `li-env evaluate world` into its table, as Markdown.

    python benchmarks/world_table.py benchmarks/freedoom_world.json
    python benchmarks/world_table.py benchmarks/freedoom_world.json --page docs/worlds/freedoom.md

With --page the table takes the place of what stands between `<!-- world table -->` and `<!-- /world table -->` there.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from li_env.evaluation.world.tables import markdown
from li_env.files import atomic_write, read_json

MARKER = re.compile(r"(<!-- world table -->\n).*?(<!-- /world table -->)", re.DOTALL)


def table(path: Path) -> str:
    """Return the table of a report, and where its numbers come from.

    Raises:
        ValueError: no file, or no report of `li-env evaluate world`.
    """
    report = read_json(path, "report")
    if not isinstance(report, dict) or not {"parts", "settings", "identity"} <= set(report):
        raise ValueError(f"report={path.name!r} is no report of li-env evaluate world; allowed: its JSON file")
    settings = report["settings"]
    commits = sorted({str(commit) for part in report["parts"].values() for commit in part["commits"]})
    origin = (
        f"{settings['trajectories']} walks of every kind on maps of the split {settings['split']}, "
        f"{settings['headings']} views per spot, {report['device']}, commit {', '.join(commits)}: `{report['command']}`"
    )
    missing = f"\n\nNot measured: {', '.join(report['missing'])}." if report["missing"] else ""
    return f"{markdown(report)}\n\n{origin}{missing}"


def main(argv: list[str] | None = None) -> int:
    """Print the table, or put it into a page; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path)
    parser.add_argument("--page", type=Path, help="page whose table is replaced")
    given = parser.parse_args(argv)
    try:
        text = table(given.report)
        if given.page is None:
            print(text)
            return 0
        old = given.page.read_text(encoding="utf-8")
        if len(MARKER.findall(old)) != 1:
            raise ValueError(f"page={given.page.name!r} has no place for it; allowed: one pair of world table comments")
        new = MARKER.sub(lambda found: f"{found[1]}{text}\n{found[2]}", old)
        with atomic_write(given.page) as file:
            file.write_text(new, encoding="utf-8")
    except (ValueError, OSError) as error:
        print(f"world_table: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
