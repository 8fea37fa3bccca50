"""A CRM in the style of Salesforce shows every order as it stands, whatever becomes of single calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr

from hub.consumers.crm.rest import Rest
from hub.consumers.system import Receipt, Shown, Wanted
from hub.errors import CredentialsRefused, OutcomeUnknown, Rejected, SystemFailure, SystemUnread
from hub.interfaces import crm
from hub.schemas.facts import facts_of
from hub.schemas.order import Status
from hub.sides import Numbers
from hub.simulators.crm_rest.vendor import CrmRest, Rules
from hub.simulators.stand import Stand
from tests.builders import make_line
from tests.support import order_at
from tests.vendor_systems import FAULTS, PATIENCE, WAYS, Ledger, calling, differences, on_way

LINES = [make_line(sku="TEA-龙井", name="龙井茶 “明前” 'n'"), make_line(sku="CUP\\1", unit_price=3900, quantity=3)]


@dataclass
class Scene:
    """The CRM and the hub's side of it."""

    stand: Stand
    system: Rest

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.system)

    def effects(self) -> Counter[tuple[str, str, int | None]]:
        """How often each effect happened."""
        rows = self.stand.vendor.journal()
        return Counter((row["kind"], row["number"], row["version"]) for row in rows)

    def by_hand(self, method: str, path: str, **fields: Any) -> None:
        """Somebody changes a record in the CRM itself."""
        token = {"Authorization": "Bearer by-hand"}
        answer = httpx2.request(
            method, f"{self.stand.address}/services/data/v60.0/sobjects/{path}", headers=token, json=fields or None
        )
        assert answer.status_code < 300, answer.text


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    vendor = CrmRest(tmp_path / "crm.sqlite", Rules(token="by-hand"))
    with Stand(vendor) as stand, calling("crm", settings_of(stand)) as client:
        yield Scene(stand, Rest(settings_of(stand), client))
    vendor.close()


def settings_of(stand: Stand, **further: Any) -> crm.Rest:
    who = {"client_id": "demo-client", "client_secret": SecretStr("demo-secret")}
    return crm.Rest(**{"url": stand.address, **who, **PATIENCE, **further})


@pytest.mark.parametrize("way", WAYS)
def test_every_version_of_an_order_is_shown_once(scene: Scene, way: str) -> None:
    ledger = scene.ledger
    for order in on_way(way, lines=LINES, warehouse="WH-1", vip=True):
        (result,) = ledger.bring(order)
        assert isinstance(result, Receipt)
        assert (result.version, result.found) == (order.version, order.version - 1)
        assert list(scene.system.facts()) == [facts_of(order)]
        assert differences("crm", "rest", order, list(scene.system.facts())) == []
    assert set(scene.effects().values()) == {1}
    assert sum(scene.effects().values()) == len(WAYS[way]) + len(LINES)


def test_a_batch_is_written_at_once_and_each_order_has_its_result(scene: Scene) -> None:
    orders = [order_at(2, f"SO-{number:02}", lines=LINES) for number in range(10)]
    assert [result.version for result in scene.ledger.bring(*orders, tries=1)] == [2] * 10  # type: ignore[union-attr]
    assert list(scene.system.facts()) == [facts_of(order) for order in orders]
    assert list(scene.system.facts(Numbers(("SO-07", "SO-03", "SO-99")))) == [facts_of(orders[3]), facts_of(orders[7])]


def test_applying_again_changes_nothing(scene: Scene) -> None:
    wanted = [Wanted(order_at(2, lines=LINES), "event", 0)]
    (first,) = scene.system.apply(wanted)
    before = scene.effects()
    (again,) = scene.system.apply(wanted)
    assert isinstance(first, Receipt)
    assert again == replace(first, found=2)
    assert scene.effects() == before


def test_a_newer_version_is_never_overwritten(scene: Scene) -> None:
    scene.ledger.bring(order_at(5))
    (result,) = scene.ledger.bring(order_at(4))
    assert isinstance(result, Receipt)
    assert (result.version, result.found) == (5, 5)
    assert list(scene.system.facts()) == [facts_of(order_at(5))]


def test_a_question_that_is_refused_parks_no_order(scene: Scene) -> None:
    scene.stand.fail("error_body", step="query")
    (result,) = scene.system.apply([Wanted(order_at(3), "event", 2)])
    assert isinstance(result, CredentialsRefused)


@pytest.mark.parametrize("step", ["token", "query", "collections"])
@pytest.mark.parametrize("fault", [*FAULTS, "locked_row"])
def test_after_any_failure_the_order_ends_as_it_should(scene: Scene, fault: str, step: str) -> None:
    ledger = scene.ledger
    for order in on_way("refunded", lines=LINES):
        scene.stand.fail(fault, step=step, times=1, seconds=1.2)
        (result,) = ledger.bring(order)
        assert isinstance(result, Receipt), result
    assert list(scene.system.facts()) == [facts_of(order)]
    assert set(scene.effects().values()) == {1}


@pytest.mark.parametrize("fault", FAULTS)
def test_lines_that_did_not_get_there_follow_when_the_order_is_tried_again(scene: Scene, fault: str) -> None:
    ledger, order = scene.ledger, order_at(1, lines=LINES)
    with calling("crm", settings_of(scene.stand)) as client:
        system = Rest(settings_of(scene.stand), FailingAt(client, scene.stand, "upsert Order_Line__c", fault))  # type: ignore[arg-type]
        Ledger(system, ledger.entries).bring(order, tries=1)
    (result,) = ledger.bring(order)
    assert isinstance(result, Receipt)
    assert list(scene.system.facts()) == [facts_of(order)]
    assert set(scene.effects().values()) == {1}


def test_an_order_without_all_its_lines_counts_as_not_shown(scene: Scene) -> None:
    scene.ledger.bring(order_at(2, lines=LINES))
    scene.by_hand("DELETE", "Order_Line__c/Line_No__c/SO-1-2")
    (shown,) = scene.system.look(["SO-1"])
    assert isinstance(shown, Shown)
    assert (shown.version, bool(shown.external_ref)) == (0, True)
    assert scene.system.look(["SO-2"]) == [Shown(0)]


def test_what_somebody_changed_is_put_right_with_rewrite(scene: Scene) -> None:
    ledger, order = scene.ledger, order_at(2, lines=LINES)
    ledger.bring(order)
    scene.by_hand("PATCH", "Order__c/Order_No__c/SO-1", Status__c="lost", Total__c="1.00")
    scene.by_hand("PATCH", "Order_Line__c/Line_No__c/SO-1-1", Quantity__c=99)
    assert next(scene.system.facts()).status == "lost"
    ledger.bring(order, rewrite=True)
    assert list(scene.system.facts()) == [facts_of(order)]


def test_what_somebody_deleted_is_there_again_with_its_next_version(scene: Scene) -> None:
    ledger = scene.ledger
    ledger.bring(order_at(2, lines=LINES))
    scene.by_hand("DELETE", "Order__c/Order_No__c/SO-1")
    (result,) = ledger.bring(order_at(3, lines=LINES))
    assert isinstance(result, Receipt)
    assert (result.version, result.found) == (3, 0)
    assert list(scene.system.facts()) == [facts_of(order_at(3, lines=LINES))]


def test_a_bad_order_blocks_itself_only(scene: Scene) -> None:
    scene.stand.vendor.control({"required": {"Order__c": ["Warehouse__c"], "Order_Line__c": ["Product_Name__c"]}})
    good = [order_at(2, f"SO-{number}", warehouse="WH-1", lines=LINES) for number in (1, 3)]
    bad = order_at(2, "SO-2", lines=LINES)
    one, two, three = scene.ledger.bring(good[0], bad, good[1], tries=1)
    assert isinstance(two, Rejected)
    assert two.field == "Warehouse__c"
    assert [one.version, three.version] == [2, 2]  # type: ignore[union-attr]
    assert list(scene.system.facts()) == [facts_of(order) for order in good]


def test_a_session_that_ends_in_the_middle_is_renewed_once_for_all_threads(scene: Scene) -> None:
    scene.system.ping()
    scene.stand.vendor.control({"expire_tokens": True})
    orders = [order_at(2, f"SO-{number:02}") for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda order: scene.system.apply([Wanted(order, "event", 0)])[0], orders))
    assert all(isinstance(result, Receipt) for result in results)
    assert len(list(scene.system.facts())) == 16


def test_a_token_that_was_given_and_is_refused_stops_everybody(scene: Scene) -> None:
    given = settings_of(scene.stand, client_id="", token=SecretStr("stale"))
    with calling("crm", given) as client:
        (result,) = Rest(given, client).apply([Wanted(order_at(2), "event", 0)])
    assert isinstance(result, CredentialsRefused)


def test_facts_go_page_by_page_with_every_line(scene: Scene) -> None:
    orders = [order_at(2, f"SO-{number:03}", lines=[make_line()] * (12 if number == 7 else 1)) for number in range(230)]
    scene.ledger.bring(*orders)
    assert list(scene.system.facts()) == [facts_of(order) for order in orders]


def test_an_order_of_many_lines_is_written_in_several_calls(scene: Scene) -> None:
    order = order_at(2, lines=[make_line(sku=f"SKU-{number}") for number in range(450)])
    (result,) = scene.ledger.bring(order, tries=1)
    assert isinstance(result, Receipt)
    assert list(scene.system.facts()) == [facts_of(order)]


def test_facts_that_cannot_be_read_to_their_end_say_so(scene: Scene) -> None:
    scene.ledger.bring(*[order_at(2, f"SO-{number:03}") for number in range(130)])
    facts = scene.system.facts()
    next(facts)
    scene.stand.fail("500", step="query")
    with pytest.raises(SystemUnread, match=r"^crm: "):
        list(facts)


def test_a_crm_that_cannot_be_reached_fails_every_order_and_the_ping(scene: Scene) -> None:
    scene.stand.fail("html", step="query")
    assert all(isinstance(each, OutcomeUnknown) for each in scene.system.look(["SO-1", "SO-2"]))
    with pytest.raises(SystemUnread):
        scene.system.ping()


class FailingAt:
    """A client whose stand fails at the calls of one step."""

    def __init__(self, client: Any, stand: Stand, step: str, fault: str) -> None:
        self._client, self._stand, self._step, self._fault = client, stand, step, fault

    def send(self, call: Any, *further: Any) -> Any:
        """Send it, and let it fail where it is that step."""
        if call.step == self._step:
            self._stand.fail(self._fault, times=1, seconds=1.2)
        return self._client.send(call, *further)


def test_the_shown_version_is_that_of_the_record_once_all_is_there(scene: Scene) -> None:
    scene.ledger.bring(order_at(3, lines=LINES))
    (shown,) = scene.system.look(["SO-1"])
    assert not isinstance(shown, SystemFailure)
    assert shown.version == 3


def test_statuses_are_shown_in_the_words_of_the_crm_and_read_in_those_of_the_hub(scene: Scene, tmp_path: Path) -> None:
    path = tmp_path / "map.toml"
    path.write_text('[status]\npaid = "已付款"', encoding="utf-8")
    given = settings_of(scene.stand, field_map=path)
    with calling("crm", given) as client:
        system = Rest(given, client)
        Ledger(system).bring(order_at(2))
        assert next(system.facts()).status == str(Status.PAID)
    assert next(scene.system.facts()).status == "已付款"
