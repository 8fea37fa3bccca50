"""Nights of the comparison on real parts: daemons and commands as processes, and what each night leaves behind."""

from __future__ import annotations

import json
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection, Engine, select, text

from hub import clock, wiring
from hub.database import Row, open_engine, reading, writing
from hub.night_tables import findings, tickets
from hub.oms import orders
from hub.tables import ledger, outbox
from hub.tables import orders as oms_orders
from tests.builders import make_new_order
from tests.faults.rig import IMPATIENT, Rig, eventually
from tests.nodes.postgres import PostgresNode
from tests.nodes.rabbitmq import RabbitNode
from tests.running import Machine
from tests.support import ADMIN

NEXT_DAY = str(clock.utcnow().astimezone(ZoneInfo("Asia/Shanghai")).date())
DAY = str(date.fromisoformat(NEXT_DAY) - timedelta(days=1))
"""Named, because a night may fall on the hour at which business days change."""


@dataclass(frozen=True)
class Night:
    """What a run ended with, what it filed, and how findings and open tickets stood then."""

    code: int
    said: str
    facts: dict[str, Any]
    report: dict[str, Any]
    folder: Path
    findings: dict[str, Row]
    tickets: dict[str, Row]

    @property
    def told(self) -> dict[str, dict[str, Any]]:
        """The findings of the report by their key."""
        return {each["key"]: each for each in self.report["findings"]}


@dataclass
class Hub:
    """A hub on a machine of its own, and its orders by the names that a test gives them."""

    machine: Machine
    numbers: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def running(self, *names: str) -> Iterator[Rig]:
        """These daemons run meanwhile, under the hub's own supervisor."""
        log = self.machine.folder / f"{'-'.join(names)}.{time.monotonic_ns()}.log"
        rig = Rig(self.machine.settings, log, names=names)
        with rig.working():
            yield rig

    @contextmanager
    def engine(self) -> Iterator[Engine]:
        """The hub's own database."""
        with wiring.hub_engine(self.machine.settings, "test") as engine:
            yield engine

    @contextmanager
    def at(self, system: str) -> Iterator[Connection]:
        """A transaction in a system's own database, as somebody there has it."""
        engine = open_engine(self.machine.settings.system(system), "somebody")
        with writing(engine) as connection:
            yield connection
        engine.dispose()

    def place(self, *names: str, **fields: Any) -> None:
        """A new order for each name, all committed at once."""
        with self.engine() as engine, writing(engine) as connection:
            for name in names:
                new = make_new_order(**{"channel_order_no": f"SHOP-{name}", "warehouse": "HZ-01"} | fields)
                self.numbers[name] = orders.create(connection, new, ADMIN).order_no

    def advance(self, *names: str, verb: str = "pay") -> None:
        """The next version of each, all committed at once."""
        with self.engine() as engine, writing(engine) as connection:
            for name in names:
                orders.change(connection, self.numbers[name], verb, ADMIN)

    def arrived(self, names: Sequence[str], *systems: str) -> bool:
        """Whether these systems have been brought to what the OMS has of these orders, and nothing is under way."""
        same = (ledger.c.order_no == oms_orders.c.order_no) & (ledger.c.applied_version == oms_orders.c.version)
        here = [ledger.c.system.in_(systems), ledger.c.order_no.in_([self.numbers[name] for name in names])]
        query = select(ledger.c.order_no).join(oms_orders, same).where(*here, ledger.c.wanted_body.is_(None))
        return len(self.rows(query)) == len(names) * len(systems)

    def wait_for(self, names: Sequence[str], *systems: str) -> None:
        """Wait until these orders are with these systems."""
        assert eventually(lambda: self.arrived(names, *systems)), (names, systems, self.machine.standing())

    def entry(self, name: str, system: str) -> Row:
        """What the ledger knows of an order."""
        here = (ledger.c.order_no == self.numbers[name]) & (ledger.c.system == system)
        return next(iter(self.rows(select(ledger).where(here))), {})

    def published(self, *names: str) -> bool:
        """Whether nothing of these orders waits in the outbox."""
        return not self.rows(select(outbox.c.id).where(outbox.c.order_no.in_([self.numbers[name] for name in names])))

    def rows(self, query: Any) -> list[Row]:
        """Rows of the hub's own database."""
        with self.engine() as engine, reading(engine) as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def night(self, *options: str, day: str = DAY) -> Night:
        """`hub reconcile run`, to its end."""
        command = ("reconcile", "run", "--json", "--detailed-exitcode", "--day", day, *options)
        done = self.machine.hub(*command, seconds=120)
        assert done.stdout, f"ended with {done.returncode}: {done.stderr}"
        return self.night_of(done.returncode, done.stderr, json.loads(done.stdout))

    def night_of(self, code: int, said: str, facts: dict[str, Any]) -> Night:
        """The night of a run that has told its facts."""
        folder = self.machine.folder / facts["report"]
        open_tickets = self.rows(select(tickets).where(tickets.c.closed_at.is_(None)).order_by(tickets.c.id))
        assert len({row["finding"] for row in open_tickets}) == len(open_tickets)
        return Night(
            code,
            said,
            facts,
            json.loads((folder / "report.json").read_text(encoding="utf-8")),
            folder,
            {row["key"]: row for row in self.rows(select(findings))},
            {row["finding"]: row for row in open_tickets},
        )

    def effects(self, system: str) -> Counter[tuple[str, int]]:
        """How often each version of each order was written at a system, by its own journal."""
        with self.at(system) as connection:
            rows = connection.execute(text("SELECT order_no, version FROM hub_order_journal"))
            return Counter((number, version) for number, version in rows)


def hub_on(where: str, request: pytest.FixtureRequest, stack: ExitStack, folder: Path, **variables: str) -> Hub:
    """A hub that is prepared: "embedded" on files, "servers" on PostgreSQL and RabbitMQ of its own."""
    places = servers(request, stack) if where == "servers" else {}
    given = IMPATIENT | {"HUB_DATA_DIR": str(folder / "data")} | places | variables
    return Hub(Machine(folder, given).prepared())


def servers(request: pytest.FixtureRequest, stack: ExitStack) -> dict[str, str]:
    """Databases and a virtual host that are gone at the end; the WMS has a database of its own."""
    postgres: PostgresNode = request.getfixturevalue("postgres_node")
    rabbit: RabbitNode = request.getfixturevalue("rabbit_node")
    name = f"nights_{uuid.uuid4().hex[:12]}"
    postgres.start()
    rabbit.start()
    for each in (name, f"{name}_wms"):
        stack.callback(postgres.drop_database, each)
    stack.callback(rabbit.delete_vhost, name)
    return {
        "HUB_DB__URL": postgres.create_database(name),
        "HUB_SYSTEMS__WMS__URL": postgres.create_database(f"{name}_wms"),
        "HUB_BUS__URL": rabbit.create_vhost(name),
    }
