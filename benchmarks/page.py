"""The table of docs/performance.md, made of what runs of `make bench` and `make bench-memory` wrote as JSON.

python -m benchmarks.page [--write]

Without `--write` it ends with 1 where the page is not what the files in `benchmarks/measured` say.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE, MEASURED = HERE.parent / "docs" / "performance.md", HERE / "measured"
BEGIN, END = "<!-- measured: python -m benchmarks.page --write -->\n", "<!-- /measured -->\n"


def table(runs: Sequence[dict[str, Any]]) -> str:
    """A row for each figure of the newest run, with what is judged in every run, the oldest first."""
    lines = ["| work | beside | hub | other | in each run | needed | |", "|---|---|---|---|---|---|---|"]
    return "\n".join([*lines, *_rows(runs)]) + "\n"


def current(page: str, runs: Sequence[dict[str, Any]]) -> str:
    """The page with the table of these runs."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table(runs)}\n{END}{after}"


def measured() -> list[dict[str, Any]]:
    """The runs that are kept, by the names of their files."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(MEASURED.glob("*.json"))]


def main(arguments: Sequence[str]) -> int:
    """Compare or write; 1 where the page is not current."""
    page = PAGE.read_text(encoding="utf-8")
    wanted = current(page, measured())
    if "--write" in arguments:
        PAGE.write_text(wanted, encoding="utf-8")
    elif page != wanted:
        print("docs/performance.md is not what benchmarks/measured says: run python -m benchmarks.page --write")
        return 1
    return 0


def _rows(runs: Sequence[dict[str, Any]]) -> Iterator[str]:
    newest = {row["key"]: row for run in runs for row in run["rows"]}
    for key, row in newest.items():
        each = [_figure(other["value"]) for run in runs for other in run["rows"] if other["key"] == key]
        needed = f"{row['relation']} {row['bound']:g}" if row["relation"] else ""
        other = "" if row["theirs"] is None else _figure(row["theirs"])
        ours = f"{_figure(row['ours'])} {row['unit']}"
        short = "" if row["reached"] else "falls short"
        yield f"| {row['work']} | {row['beside']} | {ours} | {other} | {', '.join(each)} | {needed} | {short} |"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
