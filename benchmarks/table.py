"""What was measured: rows of one table, each beside the figure that it has to reach, and the same as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.limits import LIMITS

_ENOUGH = {
    ">=": lambda value, bound: value >= bound,
    "<=": lambda value, bound: value <= bound,
    "<": lambda value, bound: value < bound,
}


@dataclass(frozen=True)
class Row:
    """One figure of the hub, the peer's beside it, and what is judged: a ratio, or the figure itself.

    Without a `relation` nothing is promised and the row only tells. `runs` are the hub's figures of all rounds.
    """

    key: str
    work: str
    beside: str
    unit: str
    ours: float
    theirs: float | None
    value: float
    relation: str = ""
    bound: float = 0.0
    runs: tuple[float, ...] = ()

    @property
    def reached(self) -> bool:
        """Whether the figure is what it has to be."""
        return not self.relation or _ENOUGH[self.relation](self.value, self.bound)

    @property
    def limit(self) -> str:
        """What keeps the figure from being better, where that was measured."""
        return LIMITS.get(self.key, "")


def told(rows: Sequence[Row], notes: Sequence[str]) -> str:
    """The table, below it what limits each figure, and then the notes."""
    lines = [_HEADING, *map(_line, rows), ""]
    limits = dict.fromkeys(f"{row.work}: {row.limit}" for row in rows if row.limit)
    return "\n".join([*lines, *(f"limited by  {each}" for each in limits), *notes, machine()])


def kept(path: Path, rows: Sequence[Row], facts: dict[str, Any]) -> None:
    """Write the same to a JSON file: `cores`, `load`, the facts, and `rows` with what they have to reach."""
    found = [asdict(row) | {"reached": row.reached, "limit": row.limit} for row in rows]
    whole = {"cores": os.cpu_count(), "load": os.getloadavg(), **facts, "rows": found}
    path.write_text(json.dumps(whole, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def machine() -> str:
    """How many cores there are, and how busy they were in the last minutes."""
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    return f"{os.cpu_count()} cores, load {load}: whoever else uses the machine blurs the ratios."


_HEADING = f"{'work':<41}  {'beside':<33}  {'hub':>9}  {'other':>9}  {'unit':<12}  {'is':>8}  needed"


def _line(row: Row) -> str:
    theirs = "" if row.theirs is None else _figure(row.theirs)
    needed = f"{row.relation} {row.bound:g}" if row.relation else ""
    short = "" if row.reached else "  falls short"
    figures = f"{_figure(row.ours):>9}  {theirs:>9}  {row.unit:<12}  {_figure(row.value):>8}"
    return f"{row.work:<41}  {row.beside:<33}  {figures}  {needed}{short}"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
