"""What a warehouse behind Qimen reports, over real HTTP to the real interface: proved, carried out once, never lost."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import httpx2
import pytest
from defusedxml.ElementTree import fromstring
from sqlalchemy import Engine, func, select

from hub import config
from hub.calls.client import Client
from hub.consumers.system import Receipt, Wanted
from hub.consumers.wms.qimen import QimenWms
from hub.database import reading, writing
from hub.oms import orders
from hub.oms.orders import Step
from hub.schemas.order import NewOrder, Status
from hub.simulators.qimen.floor import Move
from hub.simulators.qimen.rules import Account
from hub.simulators.qimen.warehouse import Warehouse
from hub.simulators.stand import Stand
from hub.tables import outbox, requests
from hub.wiring import hub_engine
from tests.builders import make_line, make_new_order
from tests.nodes.ports import free_ports
from tests.nodes.postgres import PostgresNode
from tests.qimen import APP_KEY, CUSTOMER, OWNER, SECRET, VARIABLES, confirm, query, report
from tests.running import Daemon, Machine, series
from tests.support import ADMIN, eventually

CONFIRM, REPORT = "deliveryorder.confirm", "orderprocess.report"
LIMIT = 256 * 1024
ACCOUNT = Account(APP_KEY, SECRET, CUSTOMER, (OWNER,))
WAY_TO = {
    Status.PENDING_PAYMENT: (),
    Status.PAID: ("pay",),
    Status.PICKING: ("pay", "pick"),
    Status.SHIPPED: ("pay", "pick", "ship"),
    Status.COMPLETED: ("pay", "pick", "ship", "complete"),
    Status.CANCELLED: ("pay", "cancel"),
    Status.INTERCEPTED: ("pay", "intercept"),
    Status.REFUNDED: ("pay", "refund"),
}


class Hub:
    """`hub api` as a process of its own, and its database."""

    def __init__(self, machine: Machine, daemon: Daemon, engine: Engine, client: httpx2.Client) -> None:
        self.machine, self.daemon, self.engine, self.client = machine, daemon, engine, client

    def order_in(self, status: Status = Status.PAID) -> str:
        """The number of a new order that went the way to a status."""
        with writing(self.engine) as connection:
            order = orders.create(connection, new_order(), ADMIN)
            for verb in WAY_TO[status]:
                order = orders.change(connection, order.order_no, verb, ADMIN)
        return order.order_no

    def call(self, method: str, body: bytes, signed: str | None = None) -> httpx2.Response:
        """A callback, signed as it should be unless a query string is given."""
        headers = {"Content-Type": "text/xml"}
        target = f"/callbacks/qimen?{query(method, body) if signed is None else signed}"
        return self.client.post(target, content=body, headers=headers)

    def took(self, method: str, body: bytes) -> str:
        """The message with which a callback was taken."""
        flag, _, message = answer_of(self.call(method, body))
        assert flag == "success", message
        return message

    def refused(self, method: str, body: bytes, signed: str | None = None) -> tuple[str, str]:
        """The code and message with which a callback was not taken."""
        flag, code, message = answer_of(self.call(method, body, signed))
        assert flag == "failure"
        return code, message

    def history(self, order_no: str) -> list[Step]:
        """What happened to an order."""
        with reading(self.engine) as connection:
            return orders.history(connection, order_no)

    def status(self, order_no: str) -> tuple[str, int]:
        """(status, version)."""
        with reading(self.engine) as connection:
            order = orders.load(connection, order_no)
        return str(order.status), order.version

    def kept(self, order_no: str) -> list[dict[str, object]]:
        """What the hub remembers of the callbacks about an order."""
        here = requests.c.channel == "wms"
        with reading(self.engine) as connection:
            found = connection.execute(select(requests.c.answer).where(here).order_by(requests.c.recorded_at)).scalars()
            answers = [json.loads(text) for text in found]
        return [each for each in answers if isinstance(each, dict) and each["order_no"] == order_no]

    def rows(self) -> int:
        """Everything that callbacks can write."""
        with reading(self.engine) as connection:
            counts = [select(func.count()).select_from(table) for table in (requests, outbox)]
            return sum(connection.execute(each).scalar_one() for each in counts)

    def counted(self, fate: str) -> float:
        """How many callbacks ended so."""
        found = series(self.client.get("/metrics").text)
        return found[f'hub_callbacks_total{{fate="{fate}",system="wms"}}']


def new_order() -> NewOrder:
    """An order that nobody has placed before, of enough pieces for several parcels."""
    return make_new_order(channel_order_no=uuid.uuid4().hex, lines=[make_line(quantity=6)])


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def hub(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    folder = tmp_path_factory.mktemp("callbacks")
    if request.param == "sqlite":
        with served(folder, f"sqlite:///{folder}/hub.db") as hub:
            yield hub
        return
    node: PostgresNode = request.getfixturevalue("postgres_node")
    name = f"callbacks_{uuid.uuid4().hex}"
    node.start()
    with served(folder, node.create_database(name)) as hub:
        yield hub
    node.drop_database(name)


@contextmanager
def served(folder: Path, url: str) -> Iterator[Hub]:
    """The interface as a process of its own on this database."""
    port = str(free_ports(1)[0])
    # No canary: the tests count the rows of the outbox, and one of a minute that begins is not of a callback.
    settings = {"HUB_API__PORT": port, "HUB_DB__URL": url, "HUB_OMS__CANARY_SECONDS": "0"}
    machine = Machine(folder, settings | VARIABLES)
    machine.must("db", "upgrade")
    with machine.daemon("api") as daemon, hub_engine(machine.settings, "test") as engine:
        assert daemon.ready(), daemon.said()
        with httpx2.Client(base_url=daemon.address, timeout=30) as client:
            yield Hub(machine, daemon, engine, client)


def answer_of(response: httpx2.Response) -> tuple[str, str, str]:
    """(flag, code, message) of an answer in Qimen's words."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/xml; charset=utf-8"
    root = fromstring(response.content)
    assert root.tag == "response"
    return root.findtext("flag", ""), root.findtext("code", ""), root.findtext("message", "")


class TestTheUsualWay:
    def test_a_report_picks_and_a_confirmation_ships_with_its_waybill(self, hub: Hub) -> None:
        number = hub.order_in(Status.PAID)
        hub.took(REPORT, report(number, "ACCEPT"))
        assert hub.status(number) == ("paid", 2)
        hub.took(REPORT, report(number, "PICK"))
        hub.took(REPORT, report(number, "PACKAGE"))
        assert hub.status(number) == ("picking", 3)
        hub.took(CONFIRM, confirm(number, parcels="SF:SF123,ZTO:77"))
        assert hub.status(number) == ("shipped", 4)
        steps = [(step.change, step.actor, step.role, step.reason) for step in hub.history(number)[2:]]
        assert steps == [
            ("picking", "wms", "warehouse", "WMS"),
            ("shipped", "wms", "warehouse", "WMS SF SF123; ZTO 77"),
        ]

    def test_a_method_with_its_prefix_is_the_same(self, hub: Hub) -> None:
        number = hub.order_in(Status.PAID)
        hub.took(f"taobao.qimen.{REPORT}", report(number))
        assert hub.status(number) == ("picking", 3)

    def test_every_step_is_an_event_and_names_its_callback(self, hub: Hub) -> None:
        number = hub.order_in(Status.PAID)
        hub.took(CONFIRM, confirm(number))
        with reading(hub.engine) as connection:
            waiting = select(outbox.c.version, outbox.c.body).where(outbox.c.order_no == number)
            told = dict(connection.execute(waiting.order_by(outbox.c.version)).all())
        assert list(told) == [1, 2, 3, 4]
        assert "WMS SF SF100" in told[4]

    @pytest.mark.parametrize("status", ["PRINT", "SIGN", "REJECT", "TMSCANCELED", "EXCEPTION", "DELIVERED", "whatever"])
    def test_all_else_is_kept_and_changes_nothing(self, hub: Hub, status: str) -> None:
        number = hub.order_in(Status.PAID)
        hub.took(REPORT, report(number, status))
        assert hub.status(number) == ("paid", 2)
        assert [(each["fate"], each["status"]) for each in hub.kept(number)] == [("kept", status.upper())]


class TestRepeatsAndOrder:
    def test_a_repeat_is_answered_again_and_changes_nothing(self, hub: Hub) -> None:
        number = hub.order_in(Status.PAID)
        for _ in range(3):
            hub.took(CONFIRM, confirm(number))
        assert hub.status(number) == ("shipped", 4)

    def test_the_same_bytes_under_the_same_signature_are_a_repeat(self, hub: Hub) -> None:
        number = hub.order_in(Status.PAID)
        body = report(number)
        signed = query(REPORT, body)
        assert [answer_of(hub.call(REPORT, body, signed))[0] for _ in range(3)] == ["success"] * 3
        assert hub.status(number) == ("picking", 3)

    def test_twenty_at_once_are_carried_out_once(self, hub: Hub) -> None:
        number = hub.order_in(Status.PAID)
        body = confirm(number)
        with ThreadPoolExecutor(20) as pool:
            answers = [answer_of(each)[0] for each in pool.map(lambda _: hub.call(CONFIRM, body), range(20))]
        assert Counter(answers) == {"success": 20}
        assert hub.status(number) == ("shipped", 4)
        assert len(hub.kept(number)) == 1

    def test_a_confirmation_whose_report_was_lost_picks_first(self, hub: Hub) -> None:
        number = hub.order_in(Status.PAID)
        hub.took(CONFIRM, confirm(number))
        hub.took(REPORT, report(number))
        assert [step.change for step in hub.history(number)] == ["created", "paid", "picking", "shipped"]
        assert [each["fate"] for each in hub.kept(number)] == ["done", "kept"]

    def test_a_confirmation_in_other_words_is_the_same_where_it_says_the_same(self, hub: Hub) -> None:
        number = hub.order_in(Status.PAID)
        hub.took(CONFIRM, confirm(number))
        hub.took(CONFIRM, confirm(number).replace(b"><", b">\n<").replace("李四".encode(), "王五".encode()))
        assert [each["fate"] for each in hub.kept(number)] == ["done"]

    def test_one_out_biz_code_with_two_contents_is_kept_twice_and_alarms(self, hub: Hub) -> None:
        number, before = hub.order_in(Status.PAID), hub.counted("conflict")
        hub.took(CONFIRM, confirm(number))
        for _ in range(2):
            assert "before with other content" in hub.took(CONFIRM, confirm(number, parcels="ZTO:99"))
        kept = hub.kept(number)
        assert [(each["fate"], each["parcels"]) for each in kept] == [("done", ["SF SF100"]), ("conflict", ["ZTO 99"])]
        assert hub.counted("conflict") == before + 2
        alarms = [line for line in hub.daemon.lines() if line["event.action"] == "callback.conflict"]
        assert [line["order_no"] for line in alarms].count(number) == 1

    def test_an_out_biz_code_that_another_order_has_too_is_no_repeat(self, hub: Hub) -> None:
        for number in (hub.order_in(Status.PAID), hub.order_in(Status.PAID)):
            hub.took(CONFIRM, confirm(number, "OUT-SHARED"))
            assert hub.status(number)[0] == "shipped"


class TestPartsOfAnOrder:
    def test_a_part_picks_and_only_the_last_ships_with_all_waybills(self, hub: Hub) -> None:
        number = hub.order_in(Status.PAID)
        hub.took(CONFIRM, confirm(number, "OUT-1", "PARTDELIVERED", "1", "SF:SF1"))
        assert hub.status(number) == ("picking", 3)
        hub.took(CONFIRM, confirm(number, "OUT-2", "DELIVERED", "1", "SF:SF2"))
        hub.took(CONFIRM, confirm(number, "OUT-2", "DELIVERED", "1", "SF:SF2"))
        assert hub.status(number) == ("picking", 3)
        hub.took(CONFIRM, confirm(number, "OUT-3", "DELIVERED", "0", "SF:SF3"))
        assert hub.history(number)[-1].reason == "WMS SF SF1; SF SF2; SF SF3"

    def test_a_part_that_comes_late_is_kept(self, hub: Hub) -> None:
        number = hub.order_in(Status.PAID)
        hub.took(CONFIRM, confirm(number, "OUT-2"))
        hub.took(CONFIRM, confirm(number, "OUT-1", "PARTDELIVERED", "1", "SF:SF1"))
        assert hub.status(number) == ("shipped", 4)
        assert hub.kept(number)[-1]["parcels"] == ["SF SF1"]

    def test_very_many_parcels_fit_the_reason_and_none_is_lost(self, hub: Hub) -> None:
        number = hub.order_in(Status.PAID)
        hub.took(CONFIRM, confirm(number, parcels=",".join(f"SF:SF{place:012}" for place in range(200))))
        reason = hub.history(number)[-1].reason or ""
        assert reason.startswith("WMS SF SF000000000000; ")
        assert len(reason) <= 1024
        (kept,) = hub.kept(number)
        assert len(kept["parcels"]) == 200  # type: ignore[arg-type]


class TestWhatTheOmsRefuses:
    @pytest.mark.parametrize(
        "status", [Status.PENDING_PAYMENT, Status.CANCELLED, Status.INTERCEPTED, Status.REFUNDED], ids=str
    )
    def test_a_parcel_of_an_order_that_should_not_leave_is_kept_and_alarms(self, hub: Hub, status: Status) -> None:
        number = hub.order_in(status)
        was = hub.status(number)
        assert f"the order is {status}" in hub.took(CONFIRM, confirm(number))
        assert hub.status(number) == was
        (kept,) = hub.kept(number)
        assert (kept["fate"], kept["parcels"]) == ("refused", ["SF SF100"])
        assert str(status) in str(kept["detail"])
        line = next(each for each in hub.daemon.lines() if each.get("order_no") == number)
        assert (line["event.action"], line["log.level"]) == ("callback.refused", "error")

    @pytest.mark.parametrize("status", [Status.SHIPPED, Status.COMPLETED], ids=str)
    def test_what_is_shipped_already_is_no_alarm(self, hub: Hub, status: Status) -> None:
        number = hub.order_in(status)
        was = hub.status(number)
        hub.took(CONFIRM, confirm(number))
        hub.took(REPORT, report(number))
        assert hub.status(number) == was
        assert [each["fate"] for each in hub.kept(number)] == ["kept", "kept"]

    def test_an_unknown_order_is_told_so_and_may_come_again(self, hub: Hub) -> None:
        before = hub.rows()
        for _ in range(2):
            assert "no order SO-NOBODY" in hub.refused(CONFIRM, confirm("SO-NOBODY"))[1]
        assert hub.rows() == before

    def test_an_unknown_order_with_the_longest_names_is_told_so_too(self, hub: Hub) -> None:
        code, _ = hub.refused(CONFIRM, confirm("X" * 64, out_biz_code="B" * 95))
        assert code == "40404"


class TestWhoCalls:
    @pytest.mark.parametrize(
        "what",
        [
            "no signature",
            "another secret",
            "cut short",
            "another key",
            "another customer",
            "a parameter more",
            "a parameter twice",
            "bytes that are no text",
            "re-encoded",
            "a space more",
        ],
    )
    def test_what_is_not_the_warehouses_leaves_nothing(self, hub: Hub, what: str) -> None:
        number = hub.order_in(Status.PAID)
        body = confirm(number)
        good = query(CONFIRM, body)
        signed = {
            "no signature": good.partition("&sign=")[0],
            "another secret": query(CONFIRM, body, secret="another"),
            "cut short": good[:-1],
            "another key": query(CONFIRM, body, app_key="21000002"),
            "another customer": query(CONFIRM, body, customerId="c0002"),
            "a parameter more": f"{good}&target_app_key=1",
            "a parameter twice": f"{good}&customerId=c0002",
            "bytes that are no text": f"{good}&x=%ff%fe",
        }.get(what, good)
        body = body.decode().replace("utf-8", "utf-16").encode("utf-16") if what == "re-encoded" else body
        body += b" " if what == "a space more" else b""
        rows, forged = hub.rows(), hub.counted("forged")
        code, message = hub.refused(CONFIRM, body, signed)
        assert (code, message) == ("10004", "the signature, app_key or customerId is wrong")
        assert (hub.rows(), hub.counted("forged")) == (rows, forged + 1)
        assert number not in hub.daemon.said()

    @pytest.mark.parametrize("off_seconds", [-700, 700])
    def test_a_signature_from_another_time_is_refused_for_the_clock(self, hub: Hub, off_seconds: float) -> None:
        number = hub.order_in(Status.PAID)
        rows, body = hub.rows(), confirm(number)
        assert "clock" in hub.refused(CONFIRM, body, query(CONFIRM, body, off_seconds))[1]
        assert hub.rows() == rows

    @pytest.mark.parametrize("off_seconds", [-500, 500])
    def test_a_clock_that_is_a_little_off_is_borne(self, hub: Hub, off_seconds: float) -> None:
        number = hub.order_in(Status.PAID)
        body = confirm(number)
        assert answer_of(hub.call(CONFIRM, body, query(CONFIRM, body, off_seconds)))[0] == "success"

    def test_a_method_that_is_not_taken_here_is_refused_by_name(self, hub: Hub) -> None:
        assert hub.refused("inventory.report", b"<request/>") == ("30002", "this method is not taken here")


class TestBodies:
    @pytest.mark.parametrize(
        "body",
        [
            b'<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;"><!ENTITY c "&b;&b;&b;">]><request>&c;</request>',
            b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><request>&x;</request>',
            b"<request>" * 5000,
            b"<request><deliveryOrder/></request>",
            b'{"deliveryOrder": 1}',
            b"",
        ],
        ids=["billion laughs", "external entity", "deep", "no order", "json", "nothing"],
    )
    def test_a_body_that_is_none_is_refused_though_it_is_signed(self, hub: Hub, body: bytes) -> None:
        rows = hub.rows()
        assert hub.refused(CONFIRM, body)[0] == "30033"
        assert hub.rows() == rows

    def test_a_body_over_the_limit_is_cut_off(self, hub: Hub) -> None:
        body = confirm("SO-1").ljust(LIMIT + 1)
        assert hub.call(CONFIRM, body).status_code == 413

    def test_nobodys_name_is_in_the_log_or_in_the_record(self, hub: Hub) -> None:
        number = hub.order_in(Status.PAID)
        hub.took(REPORT, report(number))
        hub.took(CONFIRM, confirm(number))
        assert "李四" not in hub.daemon.said()
        assert "李四" not in json.dumps(hub.kept(number), ensure_ascii=False)


class TestTheRecordOfCalls:
    def test_tells_what_became_of_each_callback_by_order(self, hub: Hub) -> None:
        number = hub.order_in(Status.PAID)
        hub.took(REPORT, report(number, "ACCEPT"))
        hub.took(CONFIRM, confirm(number, "OUT-1"))
        hub.took(CONFIRM, confirm(number, "OUT-1"))
        hub.took(CONFIRM, confirm(number, "OUT-1", parcels="ZTO:1"))
        rows = json.loads(hub.machine.must("calls", "list", "--order", number, "-o", "json"))
        told = [(row["step"], row["version"], row["outcome"], row["said"].partition(":")[0]) for row in reversed(rows)]
        assert sorted(told[1:3]) == [(CONFIRM, 3, "ok", "done"), (CONFIRM, 4, "ok", "done")]
        assert [told[0], *told[3:]] == [
            (REPORT, 0, "ok", "kept"),
            (CONFIRM, 0, "ok", "repeated"),
            (CONFIRM, 0, "rejected", "conflict"),
        ]

    def test_holds_what_came_without_names_and_signature(self, hub: Hub) -> None:
        number = hub.order_in(Status.PAID)
        hub.took(CONFIRM, confirm(number, "OUT-SHOWN", parcels="SF:SF555"))
        (row, _) = json.loads(hub.machine.must("calls", "list", "--order", number, "-o", "json"))
        shown = hub.machine.must("calls", "show", row["id"])
        assert all(word in shown for word in (number, "OUT-SHOWN", "SF555", "customerId=c0001", "<flag>success"))
        assert "李四" not in shown
        assert "sign=***" in shown

    def test_holds_nothing_of_who_is_not_the_warehouse(self, hub: Hub) -> None:
        number = hub.order_in(Status.PAID)
        hub.refused(CONFIRM, confirm(number), query(CONFIRM, confirm(number), secret="another"))
        assert json.loads(hub.machine.must("calls", "list", "--order", number, "-o", "json")) == []


class TestTheWarehouseItself:
    @pytest.mark.parametrize("parts", [0, 2])
    def test_brings_an_order_to_shipped_whatever_it_repeats_forges_and_reports_late(
        self, hub: Hub, tmp_path: Path, parts: int
    ) -> None:
        number = hub.order_in(Status.PAID)
        target = f"{hub.daemon.address}/callbacks/qimen"
        with Warehouse(tmp_path / "wms.sqlite", ACCOUNT, target, auto_seconds=0.5) as warehouse, Stand(warehouse) as at:
            warehouse.behave(parts=parts)
            warehouse.send(copies=3, repeat_seconds=0.05, late=("PICK",), late_seconds=1, forged=True)
            with closing(system_at(at.address)) as system, reading(hub.engine) as connection:
                (made,) = system.apply([Wanted(orders.load(connection, number), "event", 0)])
            assert isinstance(made, Receipt)
            assert eventually(lambda: all_taken(warehouse, number, 7 + parts), 20)
        assert [step.change for step in hub.history(number)] == ["created", "paid", "picking", "shipped"]
        waybills = {package for each in hub.kept(number) for package in each["parcels"]}  # type: ignore[attr-defined]
        assert len(waybills) == parts + 1
        assert all(waybill in str(hub.history(number)[-1].reason) for waybill in waybills)

    def test_ships_what_it_had_promised_not_to_and_a_person_is_told(self, hub: Hub, tmp_path: Path) -> None:
        number = hub.order_in(Status.CANCELLED)
        target = f"{hub.daemon.address}/callbacks/qimen"
        with Warehouse(tmp_path / "wms.sqlite", ACCOUNT, target) as warehouse, Stand(warehouse) as at:
            warehouse.behave(cancel="delivered_later")
            with closing(system_at(at.address)) as system, reading(hub.engine) as connection:
                cancelled = orders.load(connection, number)
                paid = cancelled.model_copy(update={"status": Status.PAID, "version": 2})
                made = [system.apply([Wanted(each, "event", each.version - 1)])[0] for each in (paid, cancelled)]
            assert all(isinstance(each, Receipt) for each in made)
            warehouse.floor.move(Move(order=number, to="DELIVERED"))
            assert eventually(lambda: [each["fate"] for each in hub.kept(number)] == ["refused"])
        assert hub.status(number) == ("cancelled", 3)


def system_at(address: str) -> QimenWms:
    """The hub's own adapter for a warehouse at this address."""
    url = {"HUB_SYSTEMS__WMS__QIMEN__URL": f"{address}/router/qimen/service"}
    settings = config.load(VARIABLES | url).systems.wms.qimen
    return QimenWms(settings, Client("wms", settings))


def all_taken(warehouse: Warehouse, number: str, expected: int) -> bool:
    """Whether the warehouse reported so often of an order, and every copy was acknowledged."""
    found = [each for each in warehouse.callbacks.shown() if each["order"] == number]
    return len(found) >= expected and not any(each["copies"] for each in found)


def test_a_database_that_is_gone_is_a_callback_that_comes_again(
    postgres_node: PostgresNode, tmp_path_factory: pytest.TempPathFactory
) -> None:
    name = f"gone_{uuid.uuid4().hex}"
    postgres_node.start()
    with served(tmp_path_factory.mktemp("gone"), postgres_node.create_database(name)) as hub:
        number = hub.order_in(Status.PAID)
        hub.engine.dispose()
        postgres_node.drop_database(name)
        response = hub.call(CONFIRM, confirm(number))
        assert (response.status_code, response.headers["Retry-After"]) == (503, "5")


def test_without_qimen_there_is_no_such_route(tmp_path_factory: pytest.TempPathFactory) -> None:
    machine = Machine(tmp_path_factory.mktemp("plain"), {"HUB_API__PORT": str(free_ports(1)[0])})
    machine.must("db", "upgrade")
    with machine.daemon("api") as daemon:
        assert daemon.ready(), daemon.said()
        response = httpx2.post(f"{daemon.address}/callbacks/qimen", content=b"<request/>")
        assert response.status_code == 404
