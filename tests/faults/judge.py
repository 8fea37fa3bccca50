"""The judge of every fault: what the OMS committed, against what left it and what each system's own journal says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Table, func, select, text

from hub import config, wiring
from hub.bus.topology import Queue, Topology
from hub.database import open_engine, reading
from hub.tables import dead_letters, ledger, order_history, outbox, outbox_archive
from tests.e2e.rehearsal import journal

Version = tuple[str, int]


@dataclass(frozen=True)
class Verdict:
    """What a fault has cost. Orders by system where a system shows too little; else numbers of versions or messages."""

    committed: int = 0
    missing: Mapping[str, frozenset[str]] = field(default_factory=dict)
    vanished: int = 0
    waiting: int = 0
    doubled: int = 0
    backwards: int = 0
    ghosts: int = 0
    parked: int = 0
    dead: int = 0
    left_on_the_bus: int = 0

    @property
    def lost(self) -> int:
        """Orders that a system does not show at their newest version, and versions that went nowhere."""
        return sum(map(len, self.missing.values())) + self.vanished

    @property
    def costs(self) -> dict[str, int]:
        """Everything that is not as if nothing had happened, by name."""
        names = ("lost", "waiting", "doubled", "backwards", "ghosts", "parked", "dead", "left_on_the_bus")
        return {name: cost for name in names if (cost := getattr(self, name))}


def judge(settings: config.Settings) -> Verdict:
    """The verdict over a hub that has been left to drain. Its processes must have ended, so that nothing is in hand."""
    with wiring.hub_engine(settings, "judge") as engine, reading(engine) as connection:
        committed, waiting, archived = (_versions(connection, each) for each in (order_history, outbox, outbox_archive))
        parked = _count(connection, ledger.select().where(ledger.c.parked_reason.is_not(None)))
        dead = _count(connection, dead_letters.select())
    newest = _newest(committed)
    journals = {name: _effects(settings.system(name)) for name in config.SYSTEMS}
    told = [journal(settings.system(name)) for name in config.SYSTEMS]
    known = set(committed)
    return Verdict(
        committed=len(committed),
        missing={name: behind for name, effects in journals.items() if (behind := _behind(newest, effects))},
        vanished=len(known - set(archived) - set(waiting)),
        waiting=len(waiting),
        doubled=sum(each["doubled"] for each in told) + len(archived) - len(set(archived)),
        backwards=sum(each["backwards"] for each in told),
        ghosts=sum(len(set(each) - known) for each in (*journals.values(), archived, waiting)),
        parked=parked,
        dead=dead,
        left_on_the_bus=_left(settings),
    )


def _versions(connection: Connection, table: Table) -> list[Version]:
    return [(number, version) for number, version in connection.execute(select(table.c.order_no, table.c.version))]


def _count(connection: Connection, query: Any) -> int:
    return int(connection.execute(select(func.count()).select_from(query.subquery())).scalar_one())


def _newest(versions: Iterable[Version]) -> dict[str, int]:
    newest: dict[str, int] = {}
    for number, version in versions:
        newest[number] = max(version, newest.get(number, 0))
    return newest


def _effects(database: config.Database) -> list[Version]:
    engine = open_engine(database, "judge")
    with reading(engine) as connection:
        rows = connection.execute(text("SELECT order_no, version FROM hub_order_journal")).all()
    engine.dispose()
    return [(number, version) for number, version in rows]


def _behind(newest: Mapping[str, int], effects: Iterable[Version]) -> frozenset[str]:
    shown = _newest(effects)
    return frozenset(number for number, version in newest.items() if shown.get(number, 0) < version)


def _left(settings: config.Settings) -> int:
    """Messages in the live queues, and in those for what was delivered too often."""
    if settings.embedded_bus:
        return 0
    plan = wiring.topology_of(settings)
    dead = tuple(Queue(queue.dead, (), queue.reader) for queue in plan.queues)
    with wiring.bus_of(settings, "judge") as bus:
        depths = [bus.depths(each) for each in (plan, Topology(plan.exchange, plan.dead_exchange, dead))]
    return sum(sum(each.values()) for each in depths)
