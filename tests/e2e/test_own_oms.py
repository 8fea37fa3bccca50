"""What the page for a company with its own OMS shows is carried out as it is printed, and reaches every system."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2.errors import InsufficientPrivilege

from hub import wiring
from hub.audit.verify import verify
from hub.database import reading
from hub.oms import orders
from hub.schemas.order import Order
from tests.e2e.rehearsal import arrived
from tests.nodes.postgres import PostgresNode
from tests.nodes.processes import wait_until
from tests.running import Machine

PAGE = Path(__file__).parents[2] / "docs" / "own-oms.md"
PATIENCE = 200
DAEMONS = [("intake", "run"), ("relay",), *(("consume", system) for system in ("crm", "kingdee", "wms", "erp"))]
SYSTEMS = ("crm", "kingdee", "wms", "erp")
PREFIX = "page_"
LOGIN = "page_shop_oms"

OLD_ORDERS = """
    INSERT INTO shop.orders (order_no, status, platform, platform_no, buyer, name, phone, city, address, created_at)
    SELECT 'OLD-' || status, status, 'jd', 'J-' || status, 'C7', '李娜', '13900139000', '成都市', '春熙路 2 号',
           '2026-10-01 08:00+08'
    FROM unnest(ARRAY['new', 'paid', 'packing', 'sent', 'done', 'closed']) AS status;
    INSERT INTO shop.items SELECT order_no, 1, 'CUP-1', '白瓷盖碗', 3, 59.00 FROM shop.orders WHERE version = 0;
"""
WITHOUT_PIECES = """
    INSERT INTO shop.orders
    VALUES ('E1002', 1, 'new', 'taobao', 'T-7002', 'C0042', '张伟', '13800138000', '杭州市', '文一西路 1 号');
    INSERT INTO shop.items VALUES ('E1002', 1, 'TEA-250', '明前龙井 250g', 0, 168.00);
    INSERT INTO hub.oms_outbox (order_no, version, change, body)
    SELECT order_no, version, 'created', shop.hub_body(o) FROM shop.orders o WHERE order_no = 'E1002';
"""
REFUSED = "SELECT order_no, version, refused_reason FROM hub.oms_outbox WHERE refused_reason IS NOT NULL"
PAID = """
    UPDATE shop.orders SET status = 'paid', version = version + 1 WHERE order_no = 'E1002';
    INSERT INTO hub.oms_outbox (order_no, version, change, body)
    SELECT order_no, version, 'paid', shop.hub_body(o) FROM shop.orders o WHERE order_no = 'E1002';
"""


class Company:
    """The company's OMS: a login of its own in the hub's database, and the SQL that the page shows."""

    def __init__(self, url: str, page: Path) -> None:
        self.url = url
        self.shown = re.findall(r"^```sql\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        """Carry SQL out as it is written, its own BEGIN and COMMIT included; what the last statement gives."""
        with closing(psycopg2.connect(self.url)) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def that(self, word: str) -> str:
        """The one block of the page with a word in it."""
        (found,) = [block for block in self.shown if word in block]
        return found


@pytest.fixture
def machine(postgres_url: str, tmp_path: Path) -> Machine:
    variables = {"HUB_DB__URL": postgres_url, "HUB_DB__SCHEMA_NAME": "hub", "HUB_OMS__WRITER": "own"}
    return Machine(tmp_path, variables | {"HUB_DATA_DIR": str(tmp_path / "data")}).prepared()


@pytest.fixture
def company(postgres_node: PostgresNode, postgres_url: str, machine: Machine) -> Iterator[Company]:
    """A login that may do what the page says and owns its own schema."""
    roles = machine.must("db", "roles", "--prefix", PREFIX)
    run_as_owner(postgres_url, roles + f"CREATE ROLE {LOGIN} LOGIN; GRANT {PREFIX}own_oms TO {LOGIN};")
    run_as_owner(
        postgres_url, f"GRANT CREATE ON DATABASE {postgres_url.rpartition('/')[2].partition('?')[0]} TO {LOGIN}"
    )
    yield Company(postgres_url.replace("postgres@", f"{LOGIN}@"), PAGE)
    made = [LOGIN, *re.findall(r"CREATE ROLE (\w+)", roles)]
    postgres_node.start()
    run_as_owner(postgres_url, "".join(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role};" for role in made))


def test_what_the_page_shows_reaches_every_system(machine: Machine, company: Company) -> None:
    (minimal, tables, live, edit, load, correction, comparison) = company.shown
    company.run(tables)
    company.run(OLD_ORDERS)
    company.run(load)
    with ExitStack() as stack:
        intake, *_ = [stack.enter_context(machine.daemon(*each)) for each in DAEMONS]
        assert wait_until(lambda: arrived(machine.standing(), 6), PATIENCE), intake.said()
        rolled_back = live.replace("COMMIT;", "ROLLBACK;")
        company.run(rolled_back)
        assert company.run("SELECT count(*) FROM hub.oms_outbox") == [(0,)]
        company.run(live)
        company.run(edit)
        assert wait_until(lambda: arrived(machine.standing(), 7), PATIENCE), intake.said()
        company.run(WITHOUT_PIECES)
        company.run(PAID)
        assert wait_until(lambda: company.run(REFUSED) == [("E1002", 1, "invalid")], PATIENCE), intake.said()
        company.run(minimal)
        assert wait_until(lambda: arrived(machine.standing(), 8), PATIENCE), intake.said()
        company.run(correction)
        company.run(correction.replace("version = 1", "version = 2"))
        assert wait_until(lambda: arrived(machine.standing(), 9), PATIENCE), intake.said()
        line = intake.line("intake.refused")
        assert (line["order_no"], line["reason"]) == ("E1002", "invalid")
    assert queried(machine, comparison) == []
    assert queried(machine, comparison.replace("IS DISTINCT", "IS NOT DISTINCT")) != []
    assert history(machine, "E1001") == ["created", "paid", "intercepted", "released"]
    edited = present(machine, "E1001")
    assert edited.receiver is not None
    assert (edited.receiver.address, edited.total, edited.status) == ("南京东路 1 号", 39500, "paid")
    assert history(machine, "OLD-done") == ["created", "paid", "picking", "shipped", "completed"]
    for system in SYSTEMS:
        assert addresses(machine, system)["E1001"].endswith("南京东路 1 号")
    compared = machine.hub("reconcile", "run", seconds=PATIENCE)
    assert compared.returncode == 0, compared.stdout + compared.stderr
    with wiring.hub_engine(machine.settings, "test") as engine:
        assert verify(engine) == []


def test_a_company_may_do_what_the_page_says_and_nothing_else(company: Company) -> None:
    company.run(company.that("CREATE SCHEMA shop"))
    company.run(company.shown[0])
    for statement in ("DELETE FROM hub.oms_outbox", "UPDATE hub.oms_outbox SET refused_reason = 'gap'"):
        with pytest.raises(InsufficientPrivilege):
            company.run(statement)
    with pytest.raises(InsufficientPrivilege):
        company.run("SELECT * FROM hub.orders")


def run_as_owner(url: str, sql: str) -> None:
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(sql)


def history(machine: Machine, order_no: str) -> list[str]:
    with wiring.hub_engine(machine.settings, "test") as engine, reading(engine) as connection:
        return [step.change for step in orders.history(connection, order_no)]


def present(machine: Machine, order_no: str) -> Order:
    with wiring.hub_engine(machine.settings, "test") as engine, reading(engine) as connection:
        return orders.load(connection, order_no)


def addresses(machine: Machine, system: str) -> dict[str, str]:
    return dict(queried(machine, f"SELECT order_no, receiver_address FROM hub_{system}.hub_orders"))


def queried(machine: Machine, sql: str) -> list[tuple[Any, ...]]:
    """A query of somebody who may read everything."""
    with closing(psycopg2.connect(machine.variables["HUB_DB__URL"])) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()
