"""The WMS behind Qimen, against a warehouse that keeps Qimen's rules and counts what really happened to it."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hub import clock, config
from hub.calls.client import Client
from hub.consumers.system import Receipt, Result, Shown, System, Wanted
from hub.consumers.wms.qimen import QimenWms
from hub.database import writing
from hub.errors import (
    Busy,
    CredentialsRefused,
    DependencyDown,
    OutcomeUnknown,
    Postponed,
    Rejected,
    SystemUnread,
    Unreachable,
)
from hub.interfaces.wms import Qimen
from hub.oms import orders
from hub.reconcile import rules_file
from hub.reconcile.compare import compare
from hub.schemas.facts import facts_of
from hub.schemas.order import Order, Status
from hub.sides import Numbers
from hub.simulators.qimen.floor import Move
from hub.simulators.qimen.rules import Account
from hub.simulators.qimen.warehouse import Warehouse
from hub.simulators.stand import Stand
from hub.wiring import hub_engine
from tests.builders import make_line, make_new_order, make_order, make_receiver
from tests.nodes.ports import free_ports
from tests.qimen import APP_KEY, CUSTOMER, OWNER, SECRET, VARIABLES
from tests.running import Machine
from tests.support import ADMIN, eventually

NUMBER = "SO0000000000000001"
ACCOUNT = Account(APP_KEY, SECRET, CUSTOMER, (OWNER,))
CREATE, CANCEL, QUERY = "deliveryorder.create", "order.cancel", "deliveryorder.query"

# A whole life, and the effects that a warehouse has had after each step of it.
LIVES: dict[str, list[tuple[Status, tuple[str, ...]]]] = {
    "the usual way": [
        (Status.PENDING_PAYMENT, ()),
        (Status.PAID, ("create",)),
        (Status.PICKING, ()),
        (Status.SHIPPED, ()),
        (Status.COMPLETED, ()),
        (Status.REFUNDED, ()),
    ],
    "never paid": [(Status.PENDING_PAYMENT, ()), (Status.CANCELLED, ())],
    "cancelled in time": [(Status.PENDING_PAYMENT, ()), (Status.PAID, ("create",)), (Status.CANCELLED, ("cancel",))],
    "refunded in time": [(Status.PENDING_PAYMENT, ()), (Status.PAID, ("create",)), (Status.REFUNDED, ("cancel",))],
    "intercepted and released": [
        (Status.PENDING_PAYMENT, ()),
        (Status.PAID, ("create",)),
        (Status.INTERCEPTED, ("cancel",)),
        (Status.PAID, ("reopen",)),
        (Status.PICKING, ()),
        (Status.SHIPPED, ()),
    ],
    "intercepted and cancelled": [
        (Status.PENDING_PAYMENT, ()),
        (Status.PAID, ("create",)),
        (Status.INTERCEPTED, ("cancel",)),
        (Status.CANCELLED, ()),
    ],
}
REFUNDED_LATE = ("the usual way", 6)
WAREHOUSES_PART = {Status.PICKING: "PICK", Status.SHIPPED: "DELIVERED"}

UNCLEAR = ("500", "bad_gateway", "html", "error_body", "unreachable")
FAULTS: dict[str, type[Exception] | None] = {
    **dict.fromkeys(UNCLEAR, OutcomeUnknown),
    "429": Busy,
    "503": Busy,
    "busy": Busy,
    "unauthorised": CredentialsRefused,
    "redirect": CredentialsRefused,
    "slow": OutcomeUnknown,
    "drip": OutcomeUnknown,
    "late": OutcomeUnknown,
    "commit_500": OutcomeUnknown,
    "commit_then_silence": OutcomeUnknown,
    "endless": OutcomeUnknown,
    "reset": OutcomeUnknown,
    "reset_before": OutcomeUnknown,
    "truncated": OutcomeUnknown,
    "gzip_bomb": OutcomeUnknown,
}


class Wms:
    """The adapter, the warehouse that it speaks with, and what the ledger would know."""

    def __init__(self, warehouse: Warehouse, stand: Stand, system: QimenWms) -> None:
        self.warehouse, self.stand, self.system = warehouse, stand, system
        self.known: dict[str, Receipt] = {}

    def bring(self, order: Order, **more: Any) -> Result:
        """One try, with what the ledger knows from the tries before."""
        before = self.known.get(order.order_no)
        fields = {"applied_version": before.version if before else 0} | more
        if before and "external_ref" not in fields:
            fields["external_ref"] = before.external_ref
        (result,) = self.system.apply([Wanted(order, f"event-{order.version}", **fields)])
        if isinstance(result, Receipt):
            self.known[order.order_no] = result
        return result

    def bring_as_a_worker_does(self, order: Order) -> Receipt:
        """Try until it is there; after a try in doubt, the system is asked before the next."""
        shown: Shown | None = None
        for _ in range(20):
            result = self.bring(order, shown=shown) if shown else self.bring(order)
            if isinstance(result, Receipt):
                return result
            if isinstance(result, OutcomeUnknown):
                (looked,) = self.system.look([order.order_no])
                if isinstance(looked, Shown):
                    shown = looked
                    if looked.version >= order.version:
                        return Receipt(looked.version, looked.version, looked.external_ref)
        raise AssertionError(f"not there after twenty tries: {result!r}")

    def must(self, order: Order, **more: Any) -> Receipt:
        """The receipt of a try that has to succeed."""
        result = self.bring(order, **more)
        assert isinstance(result, Receipt), result
        return result

    def move(self, to: str, number: str = NUMBER, **more: Any) -> None:
        """Let the warehouse make a step."""
        self.warehouse.floor.move(Move(order=number, to=to, **more))

    def effects(self) -> tuple[str, ...]:
        """What really happened, the oldest first; that nothing happened twice is seen to at every look."""
        journal = self.warehouse.journal()
        assert not any(row["repeats"] for row in journal), journal
        return tuple(row["effect"] for row in journal)

    def calls(self, action: Callable[[], object]) -> Counter[str]:
        """The calls by step that an action made."""
        heard: Counter[str] = Counter()
        receive = self.warehouse.receive
        self.warehouse.receive = lambda arrived: (  # type: ignore[method-assign]
            heard.update([self.warehouse.step_of(arrived)]),
            receive(arrived),
        )[1]
        action()
        self.warehouse.receive = receive  # type: ignore[method-assign]
        return heard


def settings(address: str, **more: Any) -> Qimen:
    """The settings of the hub for a warehouse at this address, with little patience."""
    given = config.load(VARIABLES).systems.wms.qimen.model_dump()
    patience = {"connect_seconds": 1, "read_seconds": 0.4, "total_seconds": 0.8}
    return Qimen.model_validate(given | patience | {"url": f"{address}/router/qimen/service"} | more)


@contextmanager
def standing(folder: Path, **more: Any) -> Iterator[Wms]:
    with Warehouse(folder / "wms.sqlite", ACCOUNT) as warehouse, Stand(warehouse) as stand:
        given = settings(stand.address, **more)
        system = QimenWms(given, Client("wms", given))
        try:
            yield Wms(warehouse, stand, system)
        finally:
            stand.fail(None)
            system.close()


@pytest.fixture
def wms(tmp_path: Path) -> Iterator[Wms]:
    with standing(tmp_path) as found:
        yield found


def order_in(status: Status, version: int, number: str = NUMBER, **fields: Any) -> Order:
    return make_order(order_no=number, status=status, version=version, **fields)


PAID = order_in(Status.PAID, 2)


def test_it_is_a_system(wms: Wms) -> None:
    system: System = wms.system
    assert (system.name, wms.system.lists, system.effects()) == ("wms", False, None)
    system.prepare()
    system.remove()
    system.ping()


class TestLives:
    @pytest.mark.parametrize("life", LIVES)
    def test_each_step_does_what_lacks_and_twice_changes_nothing(self, wms: Wms, life: str) -> None:
        expected: list[str] = []
        for version, (status, effects) in enumerate(LIVES[life], start=1):
            if status in WAREHOUSES_PART:
                wms.move(WAREHOUSES_PART[status])
            expected += effects
            for known in ({}, {"shown": Shown(0)}):
                receipt = wms.must(order_in(status, version), **known)
                assert receipt.version == version
                assert wms.effects() == tuple(expected)

    @pytest.mark.parametrize("life", LIVES)
    def test_every_step_also_after_those_before_it_were_missed(self, tmp_path: Path, life: str) -> None:
        for last, (status, _) in enumerate(LIVES[life], start=1):
            folder = tmp_path / str(last)
            folder.mkdir()
            with standing(folder) as wms:
                assert wms.must(order_in(status, last)).version == last
                wanted = status in (Status.PAID, Status.PICKING)
                assert wms.effects() == (("create",) if wanted else ())

    def test_the_usual_way_is_one_call_in_all(self, wms: Wms) -> None:
        heard: list[bool] = []

        def live() -> None:
            for version, (status, _) in enumerate(LIVES["the usual way"][:5], start=1):
                heard.append(wms.must(order_in(status, version)).heard)

        assert wms.calls(live) == {CREATE: 1}
        assert heard == [False, True, False, False, False]

    def test_the_wms_own_number_comes_back(self, wms: Wms) -> None:
        reference = wms.must(PAID).external_ref
        assert reference
        assert wms.must(order_in(Status.CANCELLED, 3)).external_ref == reference

    def test_an_order_of_the_time_before_this_interface_is_made_where_it_lacks(self, wms: Wms) -> None:
        wms.must(order_in(Status.PICKING, 3), applied_version=2, external_ref=None)
        assert wms.effects() == ("create",)

    def test_many_orders_at_once_from_many_threads(self, wms: Wms) -> None:
        numbers = [f"SO{place:016}" for place in range(40)]

        def bring(number: str) -> list[Result]:
            return wms.system.apply([Wanted(order_in(Status.PAID, 2, number), "event", 0)])

        with ThreadPoolExecutor(8) as pool:
            results = [each for found in pool.map(bring, numbers) for each in found]
        assert all(isinstance(each, Receipt) for each in results)
        assert wms.effects() == ("create",) * 40


class TestTooLate:
    @pytest.mark.parametrize("status", [Status.CANCELLED, Status.INTERCEPTED, Status.REFUNDED], ids=str)
    @pytest.mark.parametrize("step", ["PICK", "PACKAGE", "PARTDELIVERED", "DELIVERED"])
    def test_is_a_state_that_says_what_to_do(self, wms: Wms, status: Status, step: str) -> None:
        wms.warehouse.behave(opening_stock=1000)
        wms.must(PAID)
        wms.move(step)
        result = wms.bring(order_in(status, 3))
        assert isinstance(result, Rejected)
        assert result.field == "status"
        assert "intercept the parcel" in str(result)
        assert wms.effects() == ("create",)

    @pytest.mark.parametrize("status", [Status.CANCELLED, Status.REFUNDED], ids=str)
    def test_what_was_shipped_before_needs_no_cancellation(self, wms: Wms, status: Status) -> None:
        wms.must(PAID)
        wms.move("DELIVERED")
        assert wms.calls(lambda: wms.must(order_in(status, 5))) == {QUERY: 1}

    def test_a_cancellation_that_the_warehouse_took_is_done_also_where_the_parcel_will_leave(self, wms: Wms) -> None:
        wms.warehouse.behave(cancel="delivered_later")
        wms.must(PAID)
        wms.must(order_in(Status.CANCELLED, 3))
        wms.move("DELIVERED")
        result = wms.bring(order_in(Status.CANCELLED, 3), shown=Shown(0))
        assert isinstance(result, Rejected)

    @pytest.mark.parametrize(("status", "version"), [(Status.SHIPPED, 4), (Status.COMPLETED, 5)])
    def test_what_left_before_the_warehouse_heard_of_it_is_done_and_sent_by_nobody(
        self, wms: Wms, status: Status, version: int
    ) -> None:
        assert wms.must(order_in(status, version)) == Receipt(version, 0)
        assert wms.effects() == ()

    def test_what_left_although_the_warehouse_called_it_off_is_not_sent_again(self, wms: Wms) -> None:
        wms.must(PAID)
        wms.must(order_in(Status.INTERCEPTED, 3))
        result = wms.bring(order_in(Status.SHIPPED, 6))
        assert isinstance(result, Rejected)
        assert "CREATE_SHIPPED" in str(result)
        assert wms.effects() == ("create", "cancel")

    def test_what_left_from_elsewhere_is_made_where_somebody_wants_it(self, tmp_path: Path) -> None:
        with standing(tmp_path, create_shipped=True) as wms:
            wms.must(order_in(Status.SHIPPED, 4))
            assert wms.effects() == ("create",)


class TestRepeats:
    @pytest.mark.parametrize("duplicates", ["same", "refused"])
    def test_a_repeated_creation_is_taken_whatever_it_is_answered(self, wms: Wms, duplicates: str) -> None:
        wms.warehouse.behave(duplicates=duplicates)
        first = wms.must(PAID)
        wms.known.clear()
        assert wms.must(PAID) == first
        assert wms.effects() == ("create",)

    def test_what_the_warehouse_keeps_cancelled_says_so(self, wms: Wms) -> None:
        wms.warehouse.behave(reopen=False)
        wms.must(PAID)
        wms.must(order_in(Status.INTERCEPTED, 3))
        result = wms.bring(order_in(Status.PAID, 4))
        assert isinstance(result, Rejected)
        assert result.field == "status"
        assert "keeps the delivery order cancelled" in str(result)

    def test_a_newer_version_there_stays_and_is_told(self, wms: Wms) -> None:
        wms.must(order_in(Status.PAID, 5), applied_version=4, shown=Shown(0))
        wms.known.clear()
        receipt = wms.must(order_in(Status.CANCELLED, 3), shown=Shown(0))
        assert (receipt.version, receipt.found) == (5, 5)
        assert wms.effects() == ("create",)

    def test_what_somebody_cancelled_there_is_opened_again_where_it_is_to_be_put_back(self, wms: Wms) -> None:
        wms.must(PAID)
        wms.move("CLOSED")
        wms.must(PAID, rewrite=True)
        assert [row["effect"] for row in wms.warehouse.journal()] == ["create", "reopen"]

    def test_lines_that_are_others_there_need_a_person(self, wms: Wms) -> None:
        wms.must(PAID)
        other = order_in(Status.PAID, 2, lines=[make_line(quantity=9)])
        result = wms.bring(other, rewrite=True)
        assert isinstance(result, Rejected)
        assert result.field == "lines"
        wms.must(PAID, rewrite=True)


class TestRefusals:
    @pytest.mark.parametrize(
        ("fields", "field"),
        [
            ({"receiver": None}, "receiver"),
            ({"receiver": make_receiver(city=None)}, "receiver"),
            ({"lines": [make_line(quantity=1_000_000), make_line(quantity=1)]}, "lines"),
        ],
    )
    def test_an_order_that_the_warehouse_will_not_have_fails_alone(
        self, wms: Wms, fields: dict[str, Any], field: str
    ) -> None:
        others = [order_in(Status.PAID, 2, f"SO000000000000000{place}", lines=[make_line(sku="B")]) for place in "23"]
        wanted = [Wanted(each, "event", 0) for each in (others[0], order_in(Status.PAID, 2, **fields), others[1])]
        first, refused, last = wms.system.apply(wanted)
        assert isinstance(refused, Rejected)
        assert refused.field == field
        assert isinstance(first, Receipt)
        assert isinstance(last, Receipt)

    def test_another_owner_is_a_setting_and_not_the_order(self, tmp_path: Path) -> None:
        with standing(tmp_path, owner="OWNER9") as wms:
            result = wms.bring(PAID)
            assert isinstance(result, Rejected)
            assert result.field == "owner"

    @pytest.mark.parametrize("wrong", [{"secret": "another"}, {"app_key": "1"}, {"customer_id": "c9"}])
    def test_a_stranger_is_stopped_at_the_first_order(self, tmp_path: Path, wrong: dict[str, str]) -> None:
        with standing(tmp_path, **wrong) as wms:
            wanted = [Wanted(order_in(Status.PAID, 2, f"SO{place:016}"), "event", 0) for place in range(3)]
            first, *rest = wms.system.apply(wanted)
            assert isinstance(first, CredentialsRefused)
            assert all(isinstance(each, Postponed) for each in rest)
            with pytest.raises(DependencyDown, match="wms"):
                wms.system.ping()

    def test_nobody_there_is_unreachable(self) -> None:
        given = settings(f"http://127.0.0.1:{free_ports(1)[0]}")
        system = QimenWms(given, Client("wms", given))
        (result,) = system.apply([Wanted(PAID, "event", 0)])
        (looked,) = system.look([NUMBER])
        assert isinstance(result, Unreachable)
        assert isinstance(looked, Unreachable)
        with pytest.raises(DependencyDown, match="wms"):
            system.ping()
        system.close()

    def test_after_its_time_nothing_is_begun(self, wms: Wms) -> None:
        over = clock.monotonic() - 1
        (result,) = wms.system.apply([Wanted(PAID, "event", 0)], over)
        (looked,) = wms.system.look([NUMBER], over)
        assert isinstance(result, Postponed)
        assert isinstance(looked, Postponed)
        assert wms.effects() == ()


class TestFaults:
    def test_every_fault_that_there_is_is_tried(self, wms: Wms) -> None:
        assert set(FAULTS) == set(wms.stand.faults.kinds)

    @pytest.mark.parametrize("fault", FAULTS)
    def test_a_creation_that_went_wrong_is_there_once_in_the_end(self, wms: Wms, fault: str) -> None:
        wms.stand.fail(fault, CREATE, times=1, seconds=1.2)
        result = wms.bring(PAID)
        assert type(result) is FAULTS[fault]
        if fault == "late":
            assert eventually(lambda: wms.effects() == ("create",))
        assert wms.bring_as_a_worker_does(PAID).version == 2
        assert wms.effects() == ("create",)

    @pytest.mark.parametrize("fault", FAULTS)
    def test_a_cancellation_that_went_wrong_has_happened_once_in_the_end(self, wms: Wms, fault: str) -> None:
        wms.must(PAID)
        wms.stand.fail(fault, CANCEL, times=1, seconds=1.2)
        cancelled = order_in(Status.CANCELLED, 3)
        assert type(wms.bring(cancelled)) is FAULTS[fault]
        if fault == "late":
            assert eventually(lambda: wms.effects() == ("create", "cancel"))
        assert wms.bring_as_a_worker_does(cancelled).version == 3
        assert wms.effects() == ("create", "cancel")

    @pytest.mark.parametrize("fault", FAULTS)
    def test_a_question_that_went_wrong_changes_nothing(self, wms: Wms, fault: str) -> None:
        wms.must(PAID)
        wms.stand.fail(fault, QUERY, times=1, seconds=1.2)
        (looked,) = wms.system.look([NUMBER])
        assert type(looked) is FAULTS[fault]
        wms.stand.fail(fault, QUERY, times=1, seconds=1.2)
        with pytest.raises(SystemUnread, match="wms"):
            list(wms.system.facts(Numbers((NUMBER,))))
        assert wms.effects() == ("create",)

    def test_a_late_creation_after_the_question_makes_no_second(self, wms: Wms) -> None:
        wms.stand.fail("late", CREATE, times=1, seconds=1.2)
        assert isinstance(wms.bring(PAID), OutcomeUnknown)
        assert wms.bring_as_a_worker_does(PAID).version == 2
        assert not eventually(lambda: len(wms.effects()) > 1, seconds=1.5)


class TestLooking:
    def test_shows_the_version_and_number_that_are_there(self, wms: Wms) -> None:
        reference = wms.must(PAID).external_ref
        assert wms.system.look([NUMBER, "SO-NOBODY"]) == [Shown(2, reference), Shown(0)]

    def test_what_is_cancelled_shows_no_version(self, wms: Wms) -> None:
        reference = wms.must(PAID).external_ref
        wms.must(order_in(Status.CANCELLED, 3))
        assert wms.system.look([NUMBER]) == [Shown(0, reference)]

    def test_what_is_opened_again_shows_the_new_version(self, wms: Wms) -> None:
        reference = wms.must(PAID).external_ref
        wms.must(order_in(Status.INTERCEPTED, 3))
        wms.must(order_in(Status.PAID, 4))
        assert wms.system.look([NUMBER]) == [Shown(4, reference)]


class TestFacts:
    def test_are_those_of_the_asked_orders_sorted_and_once(self, wms: Wms) -> None:
        numbers = ["SO-B", "SO-A", "SO-C"]
        for number in numbers:
            wms.must(order_in(Status.PAID, 2, number, warehouse="north" if number == "SO-B" else None))
        found = list(wms.system.facts(Numbers(("SO-C", "SO-B", "SO-A", "SO-A", "SO-NOBODY"))))
        assert [(each.order_no, each.status, each.version, each.warehouse) for each in found] == [
            ("SO-A", "paid", 2, None),
            ("SO-B", "paid", 2, "north"),
            ("SO-C", "paid", 2, None),
        ]
        assert [(line.sku, line.name, line.quantity) for line in found[0].lines] == [("SKU-1", "Green tea", 2)]

    @pytest.mark.parametrize(
        ("step", "status"),
        [
            ("PICK", "paid"),
            ("PARTDELIVERED", "picking"),
            ("DELIVERED", "shipped"),
            ("REJECT", "cancelled"),
            ("EXCEPTION", "EXCEPTION"),
        ],
    )
    def test_say_how_far_it_is_as_far_as_the_warehouse_shows_it(self, wms: Wms, step: str, status: str) -> None:
        wms.must(PAID)
        wms.move(step)
        assert [each.status for each in wms.system.facts(Numbers((NUMBER,)))] == [status]

    @pytest.mark.parametrize("life", LIVES)
    def test_are_equal_by_the_rules_that_come_with_the_hub(self, wms: Wms, life: str) -> None:
        known = rules_file.load(interfaces={"wms": "qimen"}).of("wms")
        for version, (status, _) in enumerate(LIVES[life], start=1):
            if status in WAREHOUSES_PART:
                wms.move(WAREHOUSES_PART[status])
            order = order_in(status, version)
            wms.must(order)
            found = list(compare(iter([facts_of(order)]), wms.system.facts(Numbers((NUMBER,))), known))
            told = [each for each in found if each and not (each.theirs is None and known.may_be_missing(each.ours))]
            # That it was shipped before it was refunded, the order itself does not say.
            assert [each.fields[0].theirs for each in told] == (["shipped"] if (life, version) == REFUNDED_LATE else [])

    def test_hold_every_line_of_a_long_order(self, wms: Wms) -> None:
        lines = [make_line(sku=f"SKU-{place}", quantity=place + 1) for place in range(250)]
        wms.must(order_in(Status.PAID, 2, lines=lines))
        (found,) = wms.system.facts(Numbers((NUMBER,)))
        assert [(line.sku, line.quantity) for line in found.lines] == [(line.sku, line.quantity) for line in lines]

    def test_of_everything_cannot_be_asked_for(self, wms: Wms) -> None:
        with pytest.raises(DependencyDown, match="cannot list"):
            next(iter(wms.system.facts()))


class TestStock:
    def test_is_read_page_by_page(self, tmp_path: Path) -> None:
        lines = [make_line(sku=f"SKU-{place:03}", quantity=2) for place in range(250)]
        with standing(tmp_path, read_seconds=30, total_seconds=30) as wms:
            wms.must(order_in(Status.PAID, 2, lines=lines))
            found = list(wms.system.stock())
            asked = wms.calls(lambda: list(wms.system.stock()))
        assert [(each.sku, each.warehouse, each.quantity, each.locked) for each in found] == [
            (line.sku, "WH01", 1_000_000, 2) for line in lines
        ]
        assert asked == {"stock.query": 3}

    def test_that_cannot_be_read_to_its_end_names_the_system(self, wms: Wms) -> None:
        wms.must(PAID)
        wms.stand.fail("truncated", "stock.query")
        with pytest.raises(DependencyDown, match="wms"):
            list(wms.system.stock())

    def test_is_shown_beside_what_open_orders_need(self, wms: Wms, tmp_path: Path) -> None:
        url = f"{wms.stand.address}/router/qimen/service"
        given = {**VARIABLES, "HUB_SYSTEMS__WMS__QIMEN__URL": url, "HUB_SYSTEMS__WMS__QIMEN__WAREHOUSES": "south=WH-S"}
        machine = Machine(tmp_path, given | {"HUB_DATA_DIR": f"{tmp_path}/data"})
        machine.must("db", "upgrade")
        placed = [("A", None, ("pay",)), ("A", None, ("pay", "pick")), ("A", "south", ("pay",)), ("A", None, ())]
        placed += [("B", None, ("pay", "pick", "ship")), ("B", None, ("pay",))]
        with hub_engine(machine.settings, "test") as engine, writing(engine) as connection:
            for place, (sku, warehouse, verbs) in enumerate(placed):
                content = {"lines": [make_line(sku=sku)], "warehouse": warehouse, "channel_order_no": f"JD-{place}"}
                order = orders.create(connection, make_new_order(**content), ADMIN)
                for verb in verbs:
                    order = orders.change(connection, order.order_no, verb, ADMIN)
                if sku == "A" and verbs:
                    wms.must(order_in(Status.PAID, 2, order.order_no, **content | {"warehouse": warehouse and "WH-S"}))
        rows = json.loads(machine.must("systems", "stock", "wms", "-o", "json"))
        shown = {(row["sku"], row["warehouse"]): row for row in rows}
        assert [(row["sku"], row["warehouse"]) for row in rows] == [("A", "WH-S"), ("A", "WH01"), ("B", "WH01")]
        assert shown["A", "WH01"] == {
            "sku": "A",
            "warehouse": "WH01",
            "quantity": 1_000_000,
            "locked": 4,
            "open_orders": 4,
            "apart": 0,
        }
        assert (shown["A", "WH-S"]["locked"], shown["A", "WH-S"]["apart"]) == (2, 0)
        assert (shown["B", "WH01"]["open_orders"], shown["B", "WH01"]["apart"]) == (2, -2)
        table = machine.must("systems", "stock", "wms")
        assert table.split()[:7] == ["sku", "warehouse", "quantity", "locked", "open", "orders", "apart"]
        assert len(list(csv.DictReader(io.StringIO(machine.must("systems", "stock", "wms", "-o", "csv"))))) == 3
        wms.stand.fail("503", "stock.query")
        failed = machine.hub("systems", "stock", "wms")
        assert (failed.returncode, failed.stdout) == (69, "")

    @pytest.mark.parametrize(("name", "word"), [("wms", "interface tables"), ("erp", "keeps no stock")])
    def test_of_who_tells_none_is_refused(self, tmp_path: Path, name: str, word: str) -> None:
        refused = Machine(tmp_path).hub("systems", "stock", name)
        assert refused.returncode == 4
        assert word in refused.stderr


def test_nothing_of_a_person_is_in_what_a_refusal_says(wms: Wms) -> None:
    receiver = make_receiver(name="欧阳修", phone="13912345678", address="醉翁亭 1 号")
    order = order_in(Status.PAID, 2, lines=[make_line(sku="欧阳修 13912345678 醉翁亭 1 号")], receiver=receiver)
    wms.warehouse.behave(opening_stock=0)
    result = wms.bring(order)
    assert isinstance(result, Rejected)
    assert "***" in str(result)
    for personal in ("欧阳修", "13912345678", "醉翁亭"):
        assert personal not in str(result)
