"""Turn a report of `li-env evaluate world` into its table, as Markdown.

    python benchmarks/world_table.py benchmarks/freedoom_world.json
    python benchmarks/world_table.py benchmarks/freedoom_world.json --page docs/worlds/freedoom.md

    python benchmarks/world_table.py --join RUN RUN ... --out DIR

With --page the table takes the place of what stands between `<!-- world table -->` and `<!-- /world table -->` there.
With --join the report is first made of those in several folders, whose processes divided one measurement by parts.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

from li_env.evaluation.world.join import join_folders, read_report
from li_env.evaluation.world.tables import markdown
from li_env.files import atomic_write

MARKER = re.compile(r"(<!-- world table -->\n).*?(<!-- /world table -->)", re.DOTALL)


def table(report: dict[str, Any]) -> str:
    """Return the table of a report, and where its numbers come from."""
    settings = report["settings"]
    commits = sorted({str(commit) for part in report["parts"].values() for commit in part["commits"]})
    origin = (
        f"{settings['trajectories']} walks of every kind on maps of the split {settings['split']}, "
        f"{settings['headings']} views per spot, {report['device']}, commit {', '.join(commits)}:"
    )
    commands = [f"`{run['command']}`" for run in report.get("runs", [report])]
    if len(commands) == 1:
        origin += f" {commands[0]}"
    else:
        origin += "\n\n" + "\n".join(f"- {command}" for command in commands)
    missing = f"\n\nNot measured: {', '.join(report['missing'])}." if report["missing"] else ""
    return f"{markdown(report)}\n\n{origin}{missing}"


def main(argv: list[str] | None = None) -> int:
    """Print the table, or put it into a page; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("report", type=Path, nargs="?")
    source.add_argument("--join", type=Path, nargs="+", metavar="RUN", help="folders of reports that are joined first")
    parser.add_argument("--out", type=Path, help="folder of the joined report, with --join")
    parser.add_argument("--page", type=Path, help="page whose table is replaced")
    given = parser.parse_args(argv)
    if (given.join is None) != (given.out is None):
        parser.error("--join and --out go together")
    try:
        text = table(read_report(given.report) if given.join is None else join_folders(given.join, given.out))
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
