"""`hub doctor`: what stands between this machine and a working hub, and how to mend it."""

from __future__ import annotations

import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import typer
from sqlalchemy import select

from hub import clock, config, migrations, wiring
from hub.cli.output import AsJson, print_json, print_table
from hub.database import now, reading
from hub.errors import DependencyDown, HubError

app = typer.Typer()

OLDEST_SQLITE = (3, 35)
LEAST_FREE_BYTES = 1 << 30
MOST_SKEW_SECONDS = 2.0


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    check: str
    good: bool
    detail: str


@app.command()
def doctor(json_: AsJson = False) -> None:
    """Look at Python, disk, database, bus and systems and say how to mend them. Ends with 69 if anything is wrong."""
    settings = config.load()
    findings = list(_findings(settings))
    if json_:
        print_json([asdict(each) for each in findings])
    else:
        print_table(["check", "good", "detail"], [(each.check, each.good, each.detail) for each in findings])
    if bad := [each.check for each in findings if not each.good]:
        raise DependencyDown(f"not in order: {', '.join(bad)}")


def _findings(settings: config.Settings) -> Iterator[Finding]:
    yield Finding("python", sys.version_info >= (3, 11), sys.version.split()[0])
    yield Finding("sqlite", sqlite3.sqlite_version_info >= OLDEST_SQLITE, f"{sqlite3.sqlite_version}, 3.35 or newer")
    yield _disk(settings)
    yield _looked_at("database", lambda: _database(settings))
    yield _looked_at("bus", lambda: _bus(settings))
    for name in config.SYSTEMS:
        yield _looked_at(name, lambda name=name: _system(settings, name))  # type: ignore[misc]


def _looked_at(check: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(check, good=True, detail=look())
    except HubError as error:
        return Finding(check, good=False, detail=str(error))


def _disk(settings: config.Settings) -> Finding:
    place = settings.data_dir.resolve()
    there = next(folder for folder in (place, *place.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    return Finding("disk", free > LEAST_FREE_BYTES, f"{free / (1 << 30):.1f} GiB free at {there}; keep at least 1")


def _database(settings: config.Settings) -> str:
    with wiring.hub_engine(settings, "doctor") as engine:
        migrations.check(engine)
        with reading(engine) as connection:
            moment = connection.execute(select(now())).scalar_one()
        skew = abs((clock.utcnow() - moment).total_seconds())
        if skew > MOST_SKEW_SECONDS:
            raise HubError(f"its clock and this machine's are {skew:.1f} s apart: set both by NTP")
        return f"{engine.dialect.name} at revision {migrations.current(engine)}, clocks {skew:.2f} s apart"


def _bus(settings: config.Settings) -> str:
    with wiring.bus_of(settings, "doctor") as bus:
        wiring.check_bus(bus, settings)
        return f"{bus.name}, nothing is missing"


def _system(settings: config.Settings, name: str) -> str:
    system = wiring.system_of(settings, name)
    try:
        system.ping()
        return f"interface tables are there, {system.effects():,} effects so far"
    finally:
        system.close()
