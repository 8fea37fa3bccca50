"""The whole pipeline as `hub` runs where nothing is set: SQLite and the embedded bus, files of one folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks import events, rates
from benchmarks.stand import CONSUMERS, RELAY, Plan, Site, Stand, progress
from benchmarks.table import Row
from hub import wiring
from tests.running import Machine

WORK = "embedded default, whole pipeline"
LEAST = 1000.0
MOST_ROUNDS = 2


def measured(stand: Stand, plan: Plan) -> list[Row]:
    """Events a second to all four systems, and how often a process found a database locked."""
    runs, locked = [], 0
    with TemporaryDirectory(prefix="hub-bench-") as home:
        whole = Path(home) / "template"
        _prepare(whole, stand.orders or events.made_up(Path(home), plan.part(0.2, 1000)))
        for number in range(min(plan.rounds, MOST_ROUNDS)):
            rate, found = _run(whole, Path(home) / f"run-{number}", plan.part(0.2, 1000))
            progress(f"embedded: {rate:,.0f}/s, {found} lock errors")
            runs.append(rate)
            locked += found
    rate = median(runs)
    return [
        Row("embedded.rate", WORK, "", "events/s", rate, None, rate, ">=", LEAST, tuple(runs)),
        Row("embedded.locked", WORK, "", "lock errors", locked, None, locked, "<=", 0),
    ]


def _machine(folder: Path) -> Machine:
    return Machine(folder, {"HUB_DATA_DIR": str(folder)})


def _prepare(folder: Path, orders: Path) -> None:
    folder.mkdir()
    machine = _machine(folder).prepared()
    with wiring.hub_engine(machine.settings, "bench") as engine:
        events.keep(engine, orders, folder)


def _run(template: Path, folder: Path, count: int) -> tuple[float, int]:
    shutil.copytree(template, folder)
    machine = _machine(folder)
    with wiring.hub_engine(machine.settings, "bench") as engine:
        site = Site("", machine, engine)
        with site.daemons(RELAY, *CONSUMERS) as daemons:
            count = events.load(engine, count)
            site.until(lambda: rates.is_through(engine, count), daemons)
        locked = sum("locked" in line for daemon in daemons for line in daemon.said().splitlines())
        return rates.piped(engine), locked
