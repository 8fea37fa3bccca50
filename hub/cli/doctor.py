"""`hub doctor`: what stands between this machine and a working hub, and how to mend it."""

from __future__ import annotations

import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

import typer
from sqlalchemy import select

from hub import assembly, clock, config, migrations, wiring
from hub.cli.encryption import SOON_DAYS, certificates, in_the_clear, readable_by_others
from hub.cli.output import AsJson, print_json, print_table
from hub.cli.topology import looked
from hub.database import now, reading
from hub.errors import CredentialsRefused, DependencyDown, HubError
from hub.subscriptions import store
from hub.subscriptions.broker import management_of
from hub.subscriptions.inspection import apart, strangers

app = typer.Typer()

OLDEST_SQLITE = (3, 35)
LEAST_FREE_BYTES = 1 << 30
MOST_SKEW_SECONDS = 2.0
_MOST_TOLD = 5


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    check: str
    good: bool
    detail: str
    warning: bool = False
    """Whether it is good for now and should be seen to."""


@app.command()
def doctor(json_: AsJson = False) -> None:
    """Look at Python, disk, database, bus and systems and say how to mend them. Ends with 69 if anything is wrong."""
    settings = config.load()
    found = list(findings(settings))
    if json_:
        print_json([asdict(each) for each in found])
    else:
        rows = [(each.check, "!" if each.warning else each.good, each.detail) for each in found]
        print_table(["check", "good", "detail"], rows)
    if bad := [each.check for each in found if not each.good]:
        raise DependencyDown(f"not in order: {', '.join(bad)}")


def findings(settings: config.Settings) -> Iterator[Finding]:
    """Everything that is looked at, one by one."""
    yield Finding("python", sys.version_info >= (3, 11), sys.version.split()[0])
    yield Finding("sqlite", sqlite3.sqlite_version_info >= OLDEST_SQLITE, f"{sqlite3.sqlite_version}, 3.35 or newer")
    yield _disk(settings)
    yield _looked_at("database", lambda: _database(settings))
    yield _looked_at("bus", lambda: _bus(settings))
    yield _looked_at("subscriptions", lambda: _subscriptions(settings))
    yield _encryption(settings)
    yield _secrets(config.given())
    yield from _certificates(settings)
    for name in config.SYSTEMS:
        yield _looked_at(name, lambda name=name: _system(settings, name))  # type: ignore[misc]


def _looked_at(check: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(check, good=True, detail=look())
    except HubError as error:
        return Finding(check, good=False, detail=str(error))


def _encryption(settings: config.Settings) -> Finding:
    told = in_the_clear(settings)
    detail = "; ".join(told) or "what leaves this machine is encrypted, and who answers is checked"
    return Finding("encryption", good=True, detail=detail, warning=bool(told))


def _secrets(given: Mapping[str, str]) -> Finding:
    told = readable_by_others(given)
    detail = f"{'; '.join(told)}: chmod 600" if told else "no file with a secret is open to every user of this machine"
    return Finding("secrets", good=True, detail=detail, warning=bool(told))


def _certificates(settings: config.Settings) -> Iterator[Finding]:
    for name, days in certificates(settings):
        left = f"good for {days:.0f} days" if days > 0 else f"has run out {-days:.0f} days ago"
        soon = 0 < days < SOON_DAYS
        yield Finding("certificate", days > 0, f"{name}: {left}{': renew it now' if days < SOON_DAYS else ''}", soon)


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
    with wiring.bus_of(settings, "doctor") as bus, management_of(settings) as broker:
        look = looked(settings, bus, None if settings.embedded_bus else broker)
        if look.apart:
            raise HubError(f"{_first(list(map(str, look.apart)))}: run hub topology diff, then hub topology apply")
        unseen = f"; not looked at: {'; '.join(look.unseen)}" if look.unseen else ""
        return f"{bus.name}, nothing is missing{unseen}"


def _subscriptions(settings: config.Settings) -> str:
    if settings.embedded_bus:
        return "none: nobody else can connect to the embedded bus"
    with wiring.hub_engine(settings, "doctor") as engine, reading(engine) as connection:
        known = store.listed(connection)
    with management_of(settings) as broker:
        if broker is None:
            return f"{len(known)}, not looked at on the broker: HUB_BUS__MANAGEMENT_URL is not set"
        found = [line for each in known for line in apart(broker, each, settings.bus)]
        if found := found + strangers(broker, known, settings.bus):
            raise HubError(_first(found))
        return f"{len(known)} as they should be, says the {broker.where}, RabbitMQ {broker.version()}"


def _first(found: list[str]) -> str:
    more = f"; and {len(found) - _MOST_TOLD} more" if len(found) > _MOST_TOLD else ""
    return "; ".join(found[:_MOST_TOLD]) + more


def _system(settings: config.Settings, name: str) -> str:
    spoken = settings.interface(name)
    with closing(assembly.system_of(settings, name)) as system:
        if spoken is None:
            system.ping()
            return f"interface tables are there, {system.effects() or 0:,} effects so far"
        where = f"{settings.interfaces[name]} at {_address(str(spoken.url))}"
        try:
            system.ping()
        except DependencyDown as error:
            raise HubError(f"{where}: {_what_is_wrong(error, name, settings)}") from error
        return f"{where} answers and knows us"


def _what_is_wrong(error: DependencyDown, name: str, settings: config.Settings) -> str:
    said = str(error.__cause__ or error).removeprefix(f"{name}: ")
    if isinstance(error.__cause__, CredentialsRefused):
        variables = f"HUB_SYSTEMS__{name.upper()}__{settings.interfaces[name].upper()}__*"
        return f"our credentials are refused ({said}): compare {variables} with what the vendor gave"
    return said


def _address(url: str) -> str:
    """Where a URL leads, without what somebody may have written into it as a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
