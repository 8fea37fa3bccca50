"""A drill from its first fault to its report: hurt, heal, wait until everything has arrived, judge."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Engine, func, select, text

from hub import assembly, config, groups
from hub.consumers import standings
from hub.database import open_engine, reading
from hub.drill.faults import Fault
from hub.drill.scene import Scene, Told, Traffic, scene, told
from hub.errors import HubError
from hub.oms import orders, outbox
from hub.reconcile.check import check
from hub.stage.deployment import Parts, wait_until
from hub.tables import dead_letters, ledger

DRAIN_SECONDS = 90


@dataclass(frozen=True)
class Verdict:
    """What a fault cost. All but `orders` and `versions` must be zero."""

    orders: int = 0
    versions: int = 0
    lost: int = 0
    doubled: int = 0
    backwards: int = 0
    parked: int = 0
    strange_dead_letters: int = 0

    @property
    def good(self) -> bool:
        """Whether it is as if nothing had happened."""
        return not (self.lost or self.doubled or self.backwards or self.parked or self.strange_dead_letters)


@dataclass(frozen=True)
class Result:
    """One fault, what happened, what it cost, and how long after it everything had arrived."""

    fault: str
    passed: bool
    happened: Told
    seconds_to_drain: float
    verdict: Verdict

    def facts(self) -> dict[str, Any]:
        """One flat JSON object."""
        plain = {"fault": self.fault, "passed": self.passed, "seconds_to_drain": round(self.seconds_to_drain, 1)}
        return plain | asdict(self.verdict) | {"happened": {self.happened.key: dict(self.happened.facts)}}


def exercise(
    faults: Sequence[Fault], db: str | None, bus: str | None, make_parts: Parts, tell: Callable[[Result], object]
) -> list[Result]:
    """Every fault that the servers at hand allow. After one that was not survived, a new deployment is built."""
    results: list[Result] = []
    waiting = list(faults)
    while waiting:
        with scene(db, bus, make_parts) as on:
            for result in _on_one(on, waiting):
                results.append(result)
                tell(result)
    return results


def possible(fault: Fault, db: str | None, bus: str | None) -> bool:
    """Whether the fault's server is at hand."""
    settings = config.load()
    at_hand = {"PostgreSQL": (db or settings.db_url).startswith("postgresql")}
    at_hand["RabbitMQ"] = (bus or settings.bus_url).startswith("amqp")
    return at_hand.get(fault.needs, True)


def _on_one(on: Scene, waiting: list[Fault]) -> Iterator[Result]:
    passed = True
    while waiting and passed:
        result = _suffer(on, waiting.pop(0))
        passed = result.passed
        yield result


def _suffer(on: Scene, fault: Fault) -> Result:
    try:
        with Traffic(on) as traffic:
            happened = fault.inject(on)
            traffic.more()
        seconds = wait_until(lambda: _drained(on.stage.engine), "not everything arrived", DRAIN_SECONDS)
    except HubError as error:
        return Result(
            fault.name, passed=False, happened=told("wrong", why=str(error)), seconds_to_drain=0, verdict=_judge(on)
        )
    verdict = _judge(on)
    return Result(fault.name, verdict.good, happened, seconds, verdict)


def _drained(engine: Engine) -> bool:
    with reading(engine) as connection:
        versions = orders.totals(connection)[1]
        pending = outbox.backlog(connection).pending
        each = [standings.standing(connection, name) for name in config.SYSTEMS]
        waiting = sum(standings.backlog(connection, name).behind for name in config.SYSTEMS)
    return not pending and not waiting and all(one.wanted == versions and not one.behind for one in each)


def _judge(on: Scene) -> Verdict:
    engine, settings = on.stage.engine, on.stage.settings
    with reading(engine) as connection:
        count, versions = orders.totals(connection)
        parked = _count(connection, ledger.c.parked_reason.is_not(None), ledger)
        dead = connection.execute(select(func.count()).select_from(dead_letters)).scalar_one()
    lost = 0
    told: Counter[str] = Counter()
    for name in config.SYSTEMS:
        system = assembly.system_of(settings, name)
        lost += check(engine, system).different
        system.close()
        told += journal(settings.system(name))
    return Verdict(count, versions, lost, told["doubled"], told["backwards"], parked, abs(dead - on.dead_letters))


def journal(database: groups.Database) -> Counter[str]:
    """What a system's own journal says: versions that took effect twice, and effects that went backwards."""
    engine = open_engine(database, "judge")
    with reading(engine) as connection:
        rows = connection.execute(text("SELECT order_no, version FROM hub_order_journal ORDER BY id")).all()
    engine.dispose()
    newest: dict[str, int] = {}
    found: Counter[str] = Counter()
    for order_no, version in rows:
        found["backwards"] += version < newest.get(order_no, 0)
        found["doubled"] += version == newest.get(order_no, 0)
        newest[order_no] = max(version, newest.get(order_no, 0))
    return found


def _count(connection: Any, condition: Any, table: Any) -> int:
    return int(connection.execute(select(func.count()).select_from(table).where(condition)).scalar_one())
