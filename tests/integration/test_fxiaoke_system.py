"""纷享销客 has one record of every order, though it would take two, whatever becomes of single calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from pydantic import SecretStr

from hub.consumers.crm.fxiaoke import Fxiaoke
from hub.consumers.system import Receipt, Shown, Wanted
from hub.errors import Busy, CredentialsRefused, OutcomeUnknown, Postponed, Rejected, SystemUnread
from hub.interfaces import crm
from hub.schemas.facts import facts_of
from hub.sides import Numbers
from hub.simulators.fxiaoke import vendor as stand_in
from hub.simulators.fxiaoke.records import Custom
from hub.simulators.stand import Stand
from tests.builders import make_line
from tests.support import eventually, order_at
from tests.vendor_systems import FAULTS, PATIENCE, WAYS, Entry, Ledger, calling, differences, on_way

LINES = [make_line(sku="TEA-龙井", name="龙井茶"), make_line(sku="CUP-1", unit_price=3900, quantity=3)]
ORDER = "SalesOrderObj"


@dataclass
class Scene:
    """The CRM and the hub's side of it."""

    stand: Stand
    system: Fxiaoke
    settings: crm.Fxiaoke

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.system)

    def effects(self) -> Counter[tuple[str, str, int | None]]:
        """How often each effect on orders happened."""
        rows = self.stand.vendor.journal()
        return Counter((row["effect"], row["number"], row["version"]) for row in rows if row["kind"] == ORDER)

    def by_hand(self, step: str, kind: str = ORDER, **data: Any) -> Any:
        """Somebody does something in the CRM itself."""
        token, _ = self.stand.vendor.tokens.issue()  # type: ignore[attr-defined]
        url = f"{self.stand.address}/cgi/crm/v2/data/{step}"
        headers = {"authorization": f"Bearer {token}", "x-fs-ea": "demo", "x-fs-userid": "7"}
        body = {"data": {"dataObjectApiName": kind, **data}}
        answer = httpx2.post(url, params={"thirdTraceId": str(uuid4())}, headers=headers, json=body).json()
        assert answer["errorCode"] == 0, answer
        return answer


@pytest.fixture
def rules() -> stand_in.Rules:
    return stand_in.Rules()


@pytest.fixture
def scene(tmp_path: Path, rules: stand_in.Rules) -> Iterator[Scene]:
    vendor = stand_in.Fxiaoke(tmp_path / "crm.sqlite", rules)
    with Stand(vendor) as stand:
        settings = crm.Fxiaoke(
            url=stand.address,
            app_id="FSAID_demo",
            app_secret=SecretStr("demo-secret"),
            permanent_code=SecretStr("demo-code"),
            **PATIENCE,
        )
        with calling("crm", settings) as client:
            yield Scene(stand, Fxiaoke(settings, client), settings)
    vendor.close()


@pytest.mark.parametrize("way", WAYS)
def test_every_version_of_an_order_is_shown_once(scene: Scene, way: str) -> None:
    ledger = scene.ledger
    for order in on_way(way, lines=LINES, warehouse="WH-1", vip=True):
        (result,) = ledger.bring(order)
        assert isinstance(result, Receipt)
        assert (result.version, result.found) == (order.version, order.version - 1)
        assert list(scene.system.facts()) == [facts_of(order)]
        assert differences("crm", "fxiaoke", order, list(scene.system.facts())) == []
    assert set(scene.effects().values()) == {1}
    assert Counter(effect for effect, _, _ in scene.effects()) == {"create": 1, "update": len(WAYS[way]) - 1}


def test_a_record_whose_id_is_known_is_changed_without_a_query(scene: Scene) -> None:
    ledger = scene.ledger
    ledger.bring(order_at(1), order_at(1, "SO-2"))
    scene.stand.fail("500", step="query")
    assert [type(result) for result in ledger.bring(order_at(2), order_at(2, "SO-2"), tries=1)] == [Receipt, Receipt]


def test_a_question_that_is_refused_parks_no_order(scene: Scene) -> None:
    scene.stand.fail("error_body", step="query")
    (result,) = scene.system.apply([Wanted(order_at(3), "event", 2)])
    assert isinstance(result, CredentialsRefused)


@pytest.mark.parametrize("step", ["token", "query", "create", "update"])
@pytest.mark.parametrize("fault", [*FAULTS, "too_many", "daily_quota", "no_quota"])
def test_after_any_failure_there_is_one_record_as_it_should_be(scene: Scene, fault: str, step: str) -> None:
    ledger = scene.ledger
    for order in on_way("refunded", lines=LINES):
        scene.stand.fail(None)
        scene.stand.fail(fault, step=step, times=1, seconds=1.2)
        (result,) = ledger.bring(order)
        assert isinstance(result, Receipt), result
    scene.stand.fail(None)
    assert list(scene.system.facts()) == [facts_of(order)]
    assert set(scene.effects().values()) == {1}


@pytest.mark.parametrize("fault", ["commit_500", "commit_then_silence", "reset", "truncated"])
def test_a_record_that_was_made_without_an_answer_is_found_and_not_made_again(scene: Scene, fault: str) -> None:
    ledger = scene.ledger
    scene.stand.fail(fault, step="create", times=1, seconds=1.2)
    (result,) = ledger.bring(order_at(1), tries=1)
    assert isinstance(result, OutcomeUnknown)
    (result,) = ledger.bring(order_at(2), tries=1)
    assert isinstance(result, Receipt)
    assert (result.version, result.found) == (2, 1)
    assert Counter(effect for effect, _, _ in scene.effects()) == {"create": 1, "update": 1}


def test_a_record_that_is_made_late_is_waited_for_and_not_made_again(scene: Scene) -> None:
    ledger = scene.ledger
    scene.stand.fail("late", step="create", times=1, seconds=1.2)
    (result,) = ledger.bring(order_at(1), tries=1)
    assert isinstance(result, OutcomeUnknown)
    assert eventually(scene.effects)
    assert isinstance(ledger.bring(order_at(1), tries=1)[0], Receipt)
    assert scene.effects() == {("create", "SO-1", 1): 1}


def test_a_worker_that_lost_its_memory_makes_no_second_record(scene: Scene) -> None:
    scene.ledger.bring(order_at(2))
    (again,) = scene.ledger.bring(order_at(2))
    (newer,) = scene.ledger.bring(order_at(3))
    assert [again.found, newer.found] == [2, 2]  # type: ignore[union-attr]
    assert Counter(effect for effect, _, _ in scene.effects()) == {"create": 1, "update": 1}


def test_two_records_of_one_order_are_left_to_a_person(scene: Scene) -> None:
    (first,) = scene.ledger.bring(order_at(2))
    assert isinstance(first, Receipt)
    twin = {"dataObjectApiName": ORDER, "order_no__c": "SO-1", "version__c": "2"}
    made = scene.by_hand("create", object_data=twin)["dataId"]
    (shown,) = scene.system.look(["SO-1"])
    (result,) = scene.ledger.bring(order_at(3), tries=1)
    for refused in (shown, result):
        assert isinstance(refused, Rejected)
        assert made in str(refused)
        assert str(first.external_ref) in str(refused)
    assert [facts.order_no for facts in scene.system.facts()] == ["SO-1", "SO-1"]


def test_a_newer_version_is_never_overwritten(scene: Scene) -> None:
    scene.ledger.bring(order_at(5))
    (result,) = scene.ledger.bring(order_at(4))
    assert isinstance(result, Receipt)
    assert (result.version, result.found) == (5, 5)
    assert list(scene.system.facts()) == [facts_of(order_at(5))]


def test_what_somebody_made_void_is_made_again(scene: Scene) -> None:
    ledger = scene.ledger
    (first,) = ledger.bring(order_at(2, lines=LINES))
    assert isinstance(first, Receipt)
    scene.by_hand("invalid", object_data_id=first.external_ref)
    assert list(scene.system.facts()) == []
    (result,) = ledger.bring(order_at(3, lines=LINES))
    assert isinstance(result, Receipt)
    assert result.external_ref not in {None, first.external_ref}
    assert list(scene.system.facts()) == [facts_of(order_at(3, lines=LINES))]


def test_what_somebody_changed_is_put_right_with_rewrite(scene: Scene) -> None:
    ledger, order = scene.ledger, order_at(2, lines=LINES)
    (first,) = ledger.bring(order)
    assert isinstance(first, Receipt)
    changed = {"dataObjectApiName": ORDER, "_id": first.external_ref, "status__c": "lost", "total__c": "1"}
    scene.by_hand("update", object_data=changed)
    ledger.bring(order, rewrite=True)
    assert list(scene.system.facts()) == [facts_of(order)]


def test_lines_that_somebody_changed_are_left_to_a_person(scene: Scene) -> None:
    ledger, order = scene.ledger, order_at(2, lines=LINES)
    ledger.bring(order)
    kind = "SalesOrderProductObj"
    info = {"limit": 10, "offset": 0, "filters": [], "orders": [], "fieldProjection": []}
    line = scene.by_hand("query", kind, search_query_info=info)["data"]["dataList"][0]["_id"]
    scene.by_hand("update", kind, object_data={"dataObjectApiName": kind, "_id": line, "quantity": "99"})
    (result,) = ledger.bring(order, rewrite=True, tries=1)
    assert isinstance(result, Rejected)
    assert result.field == "lines"


def test_threads_share_a_token_that_is_fetched_by_one_of_them(scene: Scene) -> None:
    orders = [order_at(2, f"SO-{number:02}") for number in range(16)]

    def bring(order: Any) -> Any:
        return scene.system.apply([Wanted(order, "event", 0)])[0]

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(bring, orders[:8]))
        scene.stand.vendor.control({"expire_tokens": True})
        results += list(pool.map(bring, orders[8:]))
    assert all(isinstance(result, Receipt) for result in results)


@pytest.mark.parametrize("rules", [stand_in.Rules(app_secret="another")])
def test_a_wrong_secret_stops_everybody(scene: Scene) -> None:
    one, two = scene.system.apply([Wanted(order_at(2, f"SO-{number}"), "event", 0) for number in (1, 2)])
    assert isinstance(one, CredentialsRefused)
    assert isinstance(two, CredentialsRefused)


@pytest.mark.parametrize(("fault", "least", "most"), [("too_many", 20, 20), ("daily_quota", 0, 86_400)])
def test_a_quota_holds_up_everybody(scene: Scene, fault: str, least: float, most: float) -> None:
    ledger = scene.ledger
    ledger.bring(order_at(1), order_at(1, "SO-2"))
    scene.stand.fail(fault, step="update")
    one, two = ledger.bring(order_at(2), order_at(2, "SO-2"), tries=1)
    assert isinstance(one, Busy)
    assert one.retry_after_seconds is not None
    assert least <= one.retry_after_seconds <= most
    assert isinstance(two, Postponed)


@pytest.mark.parametrize("rules", [stand_in.Rules(custom=Custom(masters={"line__c": "order__c"}))])
def test_an_order_may_be_an_object_of_the_customers_own(scene: Scene, tmp_path: Path) -> None:
    path = tmp_path / "map.toml"
    path.write_text(
        'order = { object = "hub__c" }\nline = { object = "line__c", order = "order__c" }', encoding="utf-8"
    )
    with calling("crm", scene.settings) as client:
        system = Fxiaoke(scene.settings.model_copy(update={"field_map": path}), client)
        orders = list(on_way("completed", lines=LINES))
        for order in orders:
            Ledger(system, {"SO-1": Entry(order.version - 1)}).bring(order)
        assert list(system.facts()) == [facts_of(orders[-1])]
    assert list(scene.system.facts()) == []


def test_facts_go_page_by_page_with_every_line(scene: Scene) -> None:
    orders = [order_at(2, f"SO-{number:03}", lines=LINES * (60 if number == 7 else 1)) for number in range(130)]
    scene.ledger.bring(*orders)
    assert list(scene.system.facts()) == [facts_of(order) for order in orders]
    chosen = scene.system.facts(Numbers(("SO-110", "SO-007", "SO-999")))
    assert list(chosen) == [facts_of(orders[7]), facts_of(orders[110])]


def test_a_look_tells_version_and_id(scene: Scene) -> None:
    (result,) = scene.ledger.bring(order_at(3))
    assert isinstance(result, Receipt)
    assert scene.system.look(["SO-1", "SO-2"]) == [Shown(3, result.external_ref), Shown(0)]


def test_facts_that_cannot_be_read_say_so(scene: Scene) -> None:
    scene.stand.fail("html", step="query")
    with pytest.raises(SystemUnread, match=r"^crm: "):
        list(scene.system.facts())
    with pytest.raises(SystemUnread):
        scene.system.ping()
    assert all(isinstance(each, OutcomeUnknown) for each in scene.system.look(["SO-1", "SO-2"]))
