"""Kingdee over its WebAPI against the simulated one: every status path, and one effect of each step."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from hub import clock
from hub.consumers.kingdee import field_map
from hub.consumers.kingdee.system import KingdeeWebApi
from hub.consumers.system import Receipt, Shown, Wanted
from hub.errors import CredentialsRefused, DependencyDown, OutcomeUnknown, Postponed, Rejected, Unfit, Unreachable
from hub.reconcile import rules_file
from hub.reconcile.compare import Difference, Kind, compare
from hub.schemas.facts import LineFacts, OrderFacts, facts_of
from hub.schemas.lifecycle import TRANSITIONS
from hub.schemas.order import Order, Status
from hub.sides import Numbers
from hub.simulators.kingdee.galaxy import Galaxy
from hub.simulators.stand import Stand
from tests.builders import make_line
from tests.kingdee import LINES, Hub, called, connected, effects, order_on, shown_at, twice


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    galaxy = Galaxy(tmp_path / "kingdee.sqlite")
    with Stand(galaxy) as running:
        yield running
    galaxy.close()


@pytest.fixture
def kingdee(stand: Stand) -> Iterator[KingdeeWebApi]:
    with connected(stand) as system:
        yield system


def paths(longest: int = 7) -> list[tuple[Status, ...]]:
    """Every way that an order can go, each hold-up once."""
    steps = {(source, row.target) for row in TRANSITIONS for source in row.sources}
    found: list[tuple[Status, ...]] = []
    growing: list[tuple[Status, ...]] = [(Status.PENDING_PAYMENT,)]
    while growing:
        path = growing.pop()
        found.append(path)
        for source, target in sorted(steps, key=str):
            if source == path[-1] and path.count(target) < (2 if target is Status.PAID else 1) and len(path) < longest:
                growing.append((*path, target))
    return sorted(found)


def status_of(system: KingdeeWebApi, number: str = "SO-1") -> str | None:
    found = {facts.order_no: facts.status for facts in system.facts(Numbers((number,)))}
    return found.get(number)


@pytest.mark.parametrize("path", paths(), ids="-".join)
def test_a_way_is_shown_status_by_status(stand: Stand, kingdee: KingdeeWebApi, path: tuple[Status, ...]) -> None:
    hub = Hub(kingdee)
    for length in range(1, len(path) + 1):
        [result] = hub.once([order_on(path[:length])])
        assert isinstance(result, Receipt), result
        assert result.version == length
        assert status_of(kingdee) == shown_at(path[:length], range(1, length + 1))
        assert apart(kingdee, order_on(path[:length])) == []
    assert twice(stand) == {}


@pytest.mark.parametrize("path", paths(), ids="-".join)
def test_a_version_that_overtook_the_others_is_shown_at_once(
    stand: Stand, kingdee: KingdeeWebApi, path: tuple[Status, ...]
) -> None:
    for _ in range(2):
        assert isinstance(kingdee.apply([wanted(order_on(path))])[0], Receipt)
    assert status_of(kingdee) == shown_at(path, [len(path)])
    assert twice(stand) == {}
    assert kingdee.look(["SO-1"])[0].version <= len(path)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("step", "met"),
    [(step, met) for step, last in (("Submit", 3), ("Audit", 3), ("Push", 2)) for met in range(1, last + 1)],
)
def test_an_order_that_stopped_half_way_is_never_said_to_be_shown(stand: Stand, step: str, met: int) -> None:
    path = (Status.PENDING_PAYMENT, Status.PAID, Status.PICKING, Status.SHIPPED, Status.COMPLETED)
    seen: list[str] = []

    def stop(called_step: str) -> None:
        seen.append(called_step)
        if called_step == step and seen.count(step) == met:
            stand.fail("reset_before", step=step, times=1)

    called(stand, stop)
    with connected(stand) as system:
        [result] = system.apply([wanted(order_on(path))])
        assert isinstance(result, OutcomeUnknown)
        [shown] = system.look(["SO-1"])
        assert isinstance(shown, Shown)
        assert shown.version < 5
        done = {Status.PENDING_PAYMENT: 0, Status.PAID: 3, Status.SHIPPED: 4}
        assert shown.version == done[Status(str(status_of(system)))]


def test_threads_share_one_session(stand: Stand) -> None:
    calls = called(stand)
    path = (Status.PENDING_PAYMENT, Status.PAID, Status.PICKING, Status.SHIPPED)
    with connected(stand, auth="session") as system, ThreadPoolExecutor(4) as pool:
        orders = [order_on(path, f"SO-{number}") for number in range(8)]
        results = [*pool.map(lambda order: system.apply([wanted(order)])[0], orders)]
        assert all(isinstance(result, Receipt) for result in results)
    assert calls.count("LoginBySign") == 1
    assert twice(stand) == {}


def test_orders_at_the_same_step_go_in_one_call(stand: Stand) -> None:
    with connected(stand, batch=20) as system:
        calls = called(stand)
        orders = [order_on((Status.PENDING_PAYMENT, Status.PAID), f"SO-{number:02}") for number in range(10)]
        results = system.apply([wanted(order) for order in orders])
        assert [result.version for result in results if isinstance(result, Receipt)] == [2] * 10
        assert calls == ["BatchSave", "Submit", "Audit"]


def test_more_orders_than_a_call_may_have_go_in_several(stand: Stand) -> None:
    with connected(stand, batch=4) as system:
        calls = called(stand)
        orders = [order_on((Status.PENDING_PAYMENT, Status.PAID), f"SO-{number:02}") for number in range(9)]
        assert all(isinstance(result, Receipt) for result in system.apply([wanted(order) for order in orders]))
        assert calls == [*["BatchSave"] * 2, "Save", *["Submit"] * 3, *["Audit"] * 3]


def test_one_order_that_is_refused_holds_up_no_other(stand: Stand, kingdee: KingdeeWebApi) -> None:
    stand.vendor.control({"unknown": {"FMaterialId": ["BAD"]}})
    good, bad = (order_on((Status.PENDING_PAYMENT, Status.PAID), number) for number in ("SO-1", "SO-3"))
    broken = order_on((Status.PENDING_PAYMENT, Status.PAID), "SO-2", lines=[make_line(sku="BAD")])
    first, refused, third = kingdee.apply([wanted(good), wanted(broken), wanted(bad)])
    assert isinstance(first, Receipt)
    assert isinstance(refused, Rejected)
    assert refused.field == "lines.sku"
    assert isinstance(third, Receipt)
    assert twice(stand) == {}


def test_what_the_field_map_does_not_know_never_leaves(stand: Stand, kingdee: KingdeeWebApi) -> None:
    calls = called(stand)
    [result] = kingdee.apply([wanted(order_on((Status.PENDING_PAYMENT, Status.PAID), currency="USD"))])
    assert isinstance(result, Unfit)
    assert result.field == "currency"
    assert "[currency]" in str(result)
    assert calls == []


def test_facts_are_the_orders(stand: Stand, tmp_path: Path) -> None:
    file = tmp_path / "map.toml"
    text = field_map.DEFAULT.read_text(encoding="utf-8")
    text = text.replace('# by_sku = { "TEA-250G" = "M-0001" }', 'by_sku = { "TEA-龙井" = "M-0001" }')
    file.write_text(text.replace('# by_code = { "WH-SH"', 'by_code = { "WH-SH"'), encoding="utf-8")
    with connected(stand, field_map=file) as system:
        orders = [
            order_on((Status.PENDING_PAYMENT, Status.PAID), f"SO-{number}", warehouse="WH-SH" if number else None)
            for number in range(5)
        ]
        system.apply([wanted(order) for order in reversed(orders)])
        assert [*system.facts()] == [kept(order) for order in orders]
        assert [*system.facts(Numbers(("SO-3", "SO-1", "SO-9")))] == [kept(orders[1]), kept(orders[3])]


@pytest.mark.parametrize("page_rows", [1, 2, 3, 4, 7, 8])
def test_orders_are_read_whole_across_the_ends_of_pages(stand: Stand, page_rows: int) -> None:
    many = [make_line(sku=f"SKU-{number}") for number in range(7)]
    orders = [
        order_on((Status.PENDING_PAYMENT, Status.PAID), f"SO-{number}", lines=many if number == 2 else LINES)
        for number in range(6)
    ]
    with connected(stand, page_rows=page_rows) as system:
        assert all(isinstance(result, Receipt) for result in system.apply([wanted(order) for order in orders]))
        assert [*system.facts()] == [kept(order) for order in orders]
        assert [*system.facts(Numbers(("SO-2", "SO-4")))] == [kept(orders[2]), kept(orders[4])]


def test_a_field_for_the_version_that_is_not_there_parks_no_order(stand: Stand) -> None:
    path = (Status.PENDING_PAYMENT, Status.PAID)
    with connected(stand, version_field="F_NOPE") as system:
        [result] = system.apply([wanted(order_on(path), applied=1)])
        assert isinstance(result, CredentialsRefused)
        assert "F_NOPE" in str(result)
        with pytest.raises(DependencyDown, match="F_NOPE"):
            system.ping()
    assert effects(stand) == {}


def test_a_new_order_costs_no_question(stand: Stand, kingdee: KingdeeWebApi) -> None:
    calls = called(stand)
    assert kingdee.apply([wanted(order_on((Status.PENDING_PAYMENT,)))]) == [Receipt(1, 0, heard=False)]
    assert calls == []


def test_orders_of_other_people_are_not_the_hubs(stand: Stand, kingdee: KingdeeWebApi) -> None:
    [_] = kingdee.apply([wanted(order_on((Status.PENDING_PAYMENT, Status.PAID)))])
    with connected(stand, listed="FNetOrderBillNo = 'X'") as system:
        assert [*system.facts()] == []


def test_a_system_that_cannot_be_read_is_said_to_be(stand: Stand, kingdee: KingdeeWebApi) -> None:
    stand.fail("500")
    with pytest.raises(DependencyDown, match="kingdee"):
        list(kingdee.facts())
    with pytest.raises(DependencyDown, match="kingdee"):
        kingdee.ping()
    assert isinstance(kingdee.look(["SO-1"])[0], OutcomeUnknown)
    stand.fail(None)
    kingdee.ping()


def test_an_order_that_people_have_cancelled_is_left_to_people(kingdee: KingdeeWebApi) -> None:
    hub = Hub(kingdee)
    path = (Status.PENDING_PAYMENT, Status.PAID, Status.PICKING)
    hub.once([order_on(path[:2])])
    kingdee.apply([wanted(order_on((*path[:2], Status.CANCELLED)), applied=2)])
    [result] = hub.once([order_on(path)])
    assert isinstance(result, Rejected)
    assert "cancelled at Kingdee" in str(result)


def test_a_number_that_is_taken_by_another_order_is_left_to_people(kingdee: KingdeeWebApi) -> None:
    path = (Status.PENDING_PAYMENT, Status.PAID)
    kingdee.apply([wanted(order_on(path, channel_order_no="JD-OTHER"))])
    [result] = kingdee.apply([wanted(order_on(path))])
    assert isinstance(result, Rejected)
    assert result.field == "channel_order_no"


def test_an_older_version_changes_nothing(stand: Stand, kingdee: KingdeeWebApi) -> None:
    path = (Status.PENDING_PAYMENT, Status.PAID, Status.PICKING, Status.SHIPPED)
    kingdee.apply([wanted(order_on(path))])
    before = effects(stand)
    assert kingdee.apply([wanted(order_on(path[:2]), applied=1)])[0].version == 4  # type: ignore[union-attr]
    assert effects(stand) == before


def test_an_order_that_was_changed_there_is_written_anew_when_that_is_asked_for(
    stand: Stand, kingdee: KingdeeWebApi
) -> None:
    path = (Status.PENDING_PAYMENT, Status.PAID)
    order = order_on(path)
    kingdee.apply([wanted(order_on(path, lines=[LINES[0]]))])
    [result] = kingdee.apply([wanted(order, applied=2, rewrite=True)])
    assert result == Receipt(2, 1, result.external_ref)  # type: ignore[union-attr]
    assert [*kingdee.facts()] == [kept(order)]
    calls = called(stand)
    assert kingdee.apply([wanted(order, applied=2, rewrite=True)])[0].found == 2  # type: ignore[union-attr]
    assert set(calls) == {"ExecuteBillQuery"}


def test_without_a_field_for_it_no_version_is_told_and_everything_is_done_once(stand: Stand) -> None:
    with connected(stand, version_field="") as system:
        path = (Status.PENDING_PAYMENT, Status.PAID, Status.PICKING, Status.SHIPPED, Status.COMPLETED)
        for _ in range(2):
            for length in range(1, len(path) + 1):
                assert isinstance(system.apply([wanted(order_on(path[:length]), applied=length - 1)])[0], Receipt)
        [shown] = system.look(["SO-1"])
        assert isinstance(shown, Shown)
        assert shown.version == 0
        assert shown.external_ref
        assert twice(stand) == {}


def test_after_its_time_is_over_nothing_is_begun(stand: Stand, kingdee: KingdeeWebApi) -> None:
    calls = called(stand)
    path = (Status.PENDING_PAYMENT, Status.PAID)
    [result] = kingdee.apply([wanted(order_on(path))], until=clock.monotonic() - 1)
    assert isinstance(result, Postponed)
    assert not result.begun
    assert calls == []


def test_what_was_half_done_when_its_time_was_over_says_so(stand: Stand) -> None:
    with connected(stand) as system:
        stand.fail("slow", step="Save", times=1, seconds=0.6)
        path = (Status.PENDING_PAYMENT, Status.PAID)
        [result] = system.apply([wanted(order_on(path))], until=clock.monotonic() + 0.4)
        assert isinstance(result, Postponed)
        assert result.begun
        [result] = Hub(system).settle([order_on(path)])
        assert isinstance(result, Receipt)
        assert twice(stand) == {}


@pytest.mark.parametrize("fault", ["500", "reset_before"])
def test_an_order_whose_session_could_not_be_begun_never_left(stand: Stand, fault: str) -> None:
    with connected(stand, auth="session") as system:
        stand.fail(fault, step="LoginBySign", times=1)
        path = (Status.PENDING_PAYMENT, Status.PAID)
        [result] = system.apply([wanted(order_on(path))])
        assert type(result) is Unreachable
        [result] = system.apply([wanted(order_on(path))])
        assert isinstance(result, Receipt)


def test_a_session_is_begun_once_and_again_when_it_is_lost(stand: Stand) -> None:
    with connected(stand, auth="session") as system:
        calls = called(stand)
        hub = Hub(system)
        path = (Status.PENDING_PAYMENT, Status.PAID, Status.PICKING, Status.SHIPPED)
        hub.once([order_on(path[:2])])
        stand.vendor.control({"sessions": "drop"})
        [result] = hub.once([order_on(path)])
        assert isinstance(result, Receipt)
        assert calls.count("LoginBySign") == 2
        assert twice(stand) == {}


def test_a_login_that_is_refused_is_nobodys_fault_but_ours(stand: Stand) -> None:
    with connected(stand, auth="session", app_secret=SecretStr("wrong")) as system:
        path = (Status.PENDING_PAYMENT, Status.PAID)
        [result] = system.apply([wanted(order_on(path))])
        assert isinstance(result, CredentialsRefused)
        assert "wrong" not in str(result)


def test_a_signature_that_is_refused_is_nobodys_fault_but_ours(stand: Stand) -> None:
    with connected(stand, app_secret=SecretStr("wrong")) as system:
        path = (Status.PENDING_PAYMENT, Status.PAID, Status.PICKING)
        [result] = system.apply([wanted(order_on(path), applied=2)])
        assert isinstance(result, CredentialsRefused)


def apart(system: KingdeeWebApi, order: Order) -> list[Difference]:
    """What the nightly comparison would tell by the rules that come with the hub."""
    known = rules_file.load(interfaces={"kingdee": "webapi"}).of("kingdee")
    found = [each for each in compare(iter([facts_of(order)]), system.facts(), known) if each is not None]
    return [each for each in found if each.kind is not Kind.MISSING or not known.may_be_missing(each.ours)]


def wanted(order: Order, applied: int = 0, **fields: Any) -> Wanted:
    return Wanted(order, "event", applied, **fields)


def kept(order: Order) -> OrderFacts:
    """What Kingdee keeps of an order."""
    return OrderFacts(
        order.order_no,
        order.version,
        "paid" if order.status is Status.PICKING else str(order.status),
        "",
        "",
        order.channel_order_no,
        "",
        False,
        order.warehouse,
        order.currency,
        order.total,
        tuple(LineFacts(line.sku, "", line.quantity, line.unit_price) for line in order.lines),
    )
