"""YonBIP has one sales order in force for every paid order, whatever becomes of single calls."""

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

from hub.consumers.erp.yonbip import Yonbip
from hub.consumers.system import Receipt, Shown, Wanted
from hub.errors import Busy, CredentialsRefused, OutcomeUnknown, Postponed, Rejected, SystemUnread
from hub.interfaces import erp
from hub.reconcile.rules import FieldDifference
from hub.schemas.facts import LineFacts, OrderFacts, facts_of
from hub.schemas.order import Order, Status
from hub.sides import Numbers
from hub.simulators.stand import Stand
from hub.simulators.yonbip import vendor as stand_in
from hub.simulators.yonbip.orders import Custom
from tests.builders import make_line
from tests.support import eventually, order_at
from tests.vendor_systems import FAULTS, PATIENCE, Ledger, calling, differences, on_way

MAP = """
transaction = "SO01"
exchange_rate_type = "01"
unit = "PCS"
organisation = { sales = "991" }
tax = { id = "VAT13", percent = "13" }
customers = { default = "C0" }
products = { codes = { SKU-1 = "000001" } }
"""
LINES = [make_line(quantity=3, unit_price=333), make_line(sku="CUP-1", unit_price=3900)]
# way -> the effects of each of its versions
EFFECTS = {
    "completed": [[], ["create", "submit", "audit"], [], [], []],
    "refunded": [[], ["create", "submit", "audit"], []],
    "cancelled": [[], ["create", "submit", "audit"], ["unaudit", "delete"]],
    "never paid": [[], []],
    "released": [[], ["create", "submit", "audit"], [], [], [], [], []],
}
STEPS = ("token", "list", "singleSave", "batchsubmit", "batchaudit", "batchunaudit", "delete")
OWN_FAULTS = ("commit_310504", "commit_202")


@dataclass
class Scene:
    """The ERP and the hub's side of it."""

    stand: Stand
    system: Yonbip
    settings: erp.Yonbip

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.system)

    def effects(self) -> list[str]:
        """What happened, in its order."""
        return [row["effect"] for row in self.stand.vendor.journal()]

    def by_hand(self, step: str, data: object) -> Any:
        """Somebody does something in YonBIP itself."""
        token, _ = self.stand.vendor.tokens.issue()  # type: ignore[attr-defined]
        url = f"{self.stand.address}/iuap-api-gateway/yonbip/sd/voucherorder/{step}"
        answer = httpx2.post(url, params={"access_token": token}, json={"data": data}).json()
        assert answer["code"] == "200", answer
        assert not answer["data"].get("failCount"), answer
        return answer["data"]


@pytest.fixture
def rules() -> stand_in.Rules:
    return stand_in.Rules()


@pytest.fixture
def scene(tmp_path: Path, rules: stand_in.Rules) -> Iterator[Scene]:
    path = tmp_path / "map.toml"
    path.write_text(MAP, encoding="utf-8")
    vendor = stand_in.Yonbip(tmp_path / "erp.sqlite", rules)
    with Stand(vendor) as stand:
        settings = erp.Yonbip(
            url=f"{stand.address}/iuap-api-gateway",
            token_url=f"{stand.address}/iuap-api-auth",
            app_key="demo-app-key",
            app_secret=SecretStr("demo-app-secret"),
            field_map=path,
            **PATIENCE,
        )
        with calling("erp", settings) as client:
            yield Scene(stand, Yonbip(settings, client), settings)
    vendor.close()


def as_kept(order: Order, saved_at: int) -> OrderFacts:
    """What YonBIP keeps of an order that is in force."""
    lines = tuple(LineFacts(line.sku, "", line.quantity, line.unit_price) for line in order.lines)
    empty = {"channel": "", "shop": "", "channel_order_no": "", "customer_id": "", "vip": False, "currency": ""}
    return replace(facts_of(order), **empty, warehouse=None, version=saved_at, status="paid", lines=lines)


@pytest.mark.parametrize("way", EFFECTS)
def test_every_version_of_an_order_does_what_lacks_and_no_more(scene: Scene, way: str) -> None:
    ledger, before = scene.ledger, 0
    for order, effects in zip(on_way(way, lines=LINES), EFFECTS[way], strict=True):
        (result,) = ledger.bring(order)
        assert isinstance(result, Receipt)
        assert result.version == order.version
        assert scene.effects()[before:] == effects
        before += len(effects)
        assert differences("erp", "yonbip", order, list(scene.system.facts())) == []
    there = [] if way in {"cancelled", "never paid"} else [as_kept(order, 2)]
    assert list(scene.system.facts()) == there


def test_a_sales_order_in_force_of_a_cancelled_order_is_a_difference(scene: Scene) -> None:
    scene.ledger.bring(order_at(2))
    cancelled = order_at(2, status=Status.CANCELLED)
    (found,) = differences("erp", "yonbip", cancelled, list(scene.system.facts()))
    assert found == FieldDifference("status", "cancelled", "paid")


def test_an_order_in_force_that_stays_so_costs_no_call(scene: Scene) -> None:
    ledger = scene.ledger
    ledger.bring(order_at(2))
    scene.stand.fail("500")
    (result,) = ledger.bring(order_at(3), tries=1)
    assert result == Receipt(3, 2, heard=False)


def test_an_order_that_is_first_heard_of_later_is_put_in_force(scene: Scene) -> None:
    (result,) = scene.ledger.bring(order_at(4, lines=LINES))
    assert isinstance(result, Receipt)
    assert (result.version, result.found) == (4, 0)
    assert list(scene.system.facts()) == [as_kept(order_at(4, lines=LINES), 4)]


@pytest.mark.parametrize("status", [Status.REFUNDED, Status.INTERCEPTED, Status.CANCELLED])
def test_what_is_over_or_held_before_it_was_ever_there_is_not_made(scene: Scene, status: Status) -> None:
    assert scene.ledger.bring(order_at(2, status=status)) == [Receipt(2, 0)]
    assert scene.effects() == []


def test_a_question_that_is_refused_parks_no_order(scene: Scene) -> None:
    scene.stand.fail("error_body", step="list")
    (result,) = scene.system.apply([Wanted(order_at(3), "event", 2)])
    assert isinstance(result, CredentialsRefused)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("fault", [*FAULTS, *OWN_FAULTS])
def test_after_any_failure_the_order_ends_as_it_should(scene: Scene, fault: str, step: str) -> None:
    ledger = scene.ledger
    for order in on_way("cancelled", lines=LINES):
        scene.stand.fail(None)
        scene.stand.fail(fault, step=step, times=1, seconds=1.2)
        (result,) = ledger.bring(order)
        assert isinstance(result, Receipt), result
        if order.status is Status.PAID:
            assert list(scene.system.facts()) == [as_kept(order, 2)]
    assert list(scene.system.facts()) == []
    assert set(Counter(scene.effects()).values()) == {1}


@pytest.mark.parametrize("fault", [*OWN_FAULTS, "commit_500", "reset"])
def test_a_save_without_a_clear_answer_is_looked_for_before_it_is_repeated(scene: Scene, fault: str) -> None:
    ledger = scene.ledger
    scene.stand.fail(fault, step="singleSave", times=1)
    (result,) = ledger.bring(order_at(2), tries=1)
    assert isinstance(result, OutcomeUnknown)
    (shown,) = scene.system.look(["SO-1"])
    assert isinstance(shown, Shown)
    assert (shown.version, shown.external_ref is not None) == (0, True)
    assert isinstance(ledger.bring(order_at(2))[0], Receipt)
    assert scene.effects() == ["create", "submit", "audit"]


def test_a_save_that_takes_effect_late_is_waited_for(scene: Scene) -> None:
    ledger = scene.ledger
    scene.stand.fail("late", step="singleSave", times=1, seconds=1.2)
    (result,) = ledger.bring(order_at(2), tries=1)
    assert isinstance(result, OutcomeUnknown)
    assert eventually(scene.effects)
    assert isinstance(ledger.bring(order_at(2), tries=1)[0], Receipt)
    assert scene.effects() == ["create", "submit", "audit"]


def test_a_save_that_is_repeated_within_the_hour_finds_what_it_made(scene: Scene) -> None:
    item = Wanted(order_at(2), "event", 0)
    scene.system.apply([item])
    with calling("erp", scene.settings) as client:
        system = Yonbip(scene.settings, Lagging(client))  # type: ignore[arg-type]
        (result,) = system.apply([item])
    assert isinstance(result, Receipt)
    assert scene.effects() == ["create", "submit", "audit"]


def test_a_newer_version_is_left_alone(scene: Scene) -> None:
    scene.ledger.bring(order_at(4))
    (result,) = scene.ledger.bring(order_at(2))
    assert isinstance(result, Receipt)
    assert (result.version, result.found) == (4, 4)


def test_what_somebody_changed_is_made_anew_with_rewrite_and_only_once(scene: Scene) -> None:
    ledger, order = scene.ledger, order_at(2, lines=LINES)
    (first,) = ledger.bring(order)
    assert isinstance(first, Receipt)
    changed(scene, first.external_ref or "")
    assert list(scene.system.facts()) != [as_kept(order, 2)]
    for _ in range(2):
        (result,) = ledger.bring(order, rewrite=True)
        assert isinstance(result, Receipt)
    assert result.external_ref != first.external_ref
    assert list(scene.system.facts()) == [as_kept(order, 2)]
    assert Counter(scene.effects())["create"] == 2


def test_what_somebody_deleted_is_made_anew_within_the_hour(scene: Scene) -> None:
    ledger, order = scene.ledger, order_at(2, lines=LINES)
    (first,) = ledger.bring(order)
    assert isinstance(first, Receipt)
    scene.by_hand("batchunaudit", [{"id": first.external_ref}])
    scene.by_hand("delete", {"id": [first.external_ref]})
    (result,) = ledger.bring(order, rewrite=True)
    assert isinstance(result, Receipt)
    assert list(scene.system.facts()) == [as_kept(order, 2)]


def test_what_was_lost_there_is_made_anew_when_the_night_brings_it_again(scene: Scene) -> None:
    ledger, order = scene.ledger, order_at(3, lines=LINES)
    (first,) = ledger.bring(order)
    assert isinstance(first, Receipt)
    scene.by_hand("batchunaudit", [{"id": first.external_ref}])
    scene.by_hand("delete", {"id": [first.external_ref]})
    (result,) = ledger.bring(order)
    assert isinstance(result, Receipt)
    assert result.external_ref != first.external_ref
    assert list(scene.system.facts()) == [as_kept(order, 3)]


def test_an_sku_that_nobody_mapped_parks_its_order_alone(scene: Scene, tmp_path: Path) -> None:
    path = tmp_path / "strict.toml"
    path.write_text(MAP.replace("products = {", "products = { others_are_the_same = false,"), encoding="utf-8")
    with calling("erp", scene.settings) as client:
        system = Yonbip(scene.settings.model_copy(update={"field_map": path}), client)
        one, two, three = Ledger(system).bring(
            order_at(2, "SO-1"), order_at(2, "SO-2", lines=LINES), order_at(2, "SO-3"), tries=1
        )
    assert isinstance(two, Rejected)
    assert two.field == "lines[2].sku"
    assert isinstance(one, Receipt)
    assert isinstance(three, Receipt)


@pytest.mark.parametrize("step", ["batchsubmit", "batchaudit"])
def test_an_order_that_is_refused_on_its_way_goes_on_with_its_next_version(scene: Scene, step: str) -> None:
    ledger = scene.ledger
    scene.stand.fail("error_body", step=step, times=1)
    (result,) = ledger.bring(order_at(2), tries=1)
    assert isinstance(result, Rejected)
    (result,) = ledger.bring(order_at(3), tries=1)
    assert isinstance(result, Receipt)
    assert Counter(scene.effects()) == {"create": 1, "submit": 1, "audit": 1}


def test_a_token_that_runs_out_is_renewed_once_for_all_threads(scene: Scene) -> None:
    scene.system.ping()
    scene.stand.vendor.control({"expire_tokens": True})
    orders = [order_at(2, f"SO-{number:02}") for number in range(12)]
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda order: scene.system.apply([Wanted(order, "event", 0)])[0], orders))
    assert all(isinstance(result, Receipt) for result in results)
    assert Counter(scene.effects()) == {"create": 12, "submit": 12, "audit": 12}


@pytest.mark.parametrize("rules", [stand_in.Rules(per_minute=3)])
def test_a_quota_that_is_used_up_holds_up_everybody(scene: Scene) -> None:
    results = scene.system.apply([Wanted(order_at(2, f"SO-{number}"), "event", 0) for number in range(5)])
    assert [type(result) for result in results] == [Receipt, Receipt, Receipt, Busy, Postponed]
    assert isinstance(results[3], Busy)
    assert results[3].retry_after_seconds == 60


@pytest.mark.parametrize("rules", [stand_in.Rules(custom=Custom(manual_code=False))])
def test_a_tenant_that_numbers_by_itself_is_found_out_at_once(scene: Scene) -> None:
    (result,) = scene.ledger.bring(order_at(2), tries=1)
    assert isinstance(result, Rejected)
    assert result.field == "code"


@pytest.mark.parametrize("rules", [stand_in.Rules(custom=Custom(manual_code=False))])
def test_our_number_may_be_in_a_field_of_its_own(scene: Scene, tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(f'number_field = "headFreeItem!define2"\n{MAP}', encoding="utf-8")
    with calling("erp", scene.settings) as client:
        system = Yonbip(scene.settings.model_copy(update={"field_map": path}), client)
        orders = [order_at(2, f"SO-{number}") for number in range(3)]
        Ledger(system).bring(*orders)
        assert list(system.facts()) == [as_kept(order, 2) for order in orders]
        assert [type(each) for each in system.look(["SO-1", "SO-9"])] == [Shown, Shown]


def test_facts_go_page_by_page_and_keep_orders_whole(scene: Scene) -> None:
    orders = [order_at(2, f"SO-{number:02}", lines=LINES * (1 + 90 * (number in {3, 4, 9}))) for number in range(12)]
    orders.append(order_at(2, "SO-99", lines=LINES * 400))
    scene.ledger.bring(*orders)
    assert list(scene.system.facts()) == [as_kept(order, 2) for order in orders]
    assert list(scene.system.facts(Numbers(("SO-09", "SO-77", "SO-01")))) == [
        as_kept(orders[1], 2),
        as_kept(orders[9], 2),
    ]


def test_orders_that_people_made_there_are_not_told(scene: Scene) -> None:
    scene.ledger.bring(order_at(2))
    scene.by_hand("singleSave", made_by_hand(scene))
    assert [facts.order_no for facts in scene.system.facts()] == ["SO-1"]


def test_facts_that_cannot_be_read_say_so(scene: Scene) -> None:
    scene.stand.fail("truncated")
    with pytest.raises(SystemUnread, match=r"^erp: "):
        list(scene.system.facts())
    with pytest.raises(SystemUnread):
        scene.system.ping()


class Lagging:
    """A client of a tenant whose first list does not show yet what was saved a moment ago."""

    def __init__(self, client: Any) -> None:
        self._client, self._lags = client, True

    def send(self, call: Any, *further: Any) -> Any:
        """Send it, or show nothing."""
        if call.step == "list" and self._lags:
            self._lags = False
            return []
        return self._client.send(call, *further)


def made_by_hand(scene: Scene) -> dict[str, Any]:
    """A sales order that no order of ours led to."""
    (shown,) = scene.system.look(["SO-1"])
    assert isinstance(shown, Shown)
    bill = saved_again(scene, shown.external_ref)
    lines = [line | {"_status": "Insert"} for line in bill["orderDetails"]]
    own = {"_status": "Insert", "code": "UO-1", "headFreeItem!define1": "", "orderDetails": lines}
    return bill | own


def changed(scene: Scene, document: str) -> None:
    """Somebody opens a sales order, leaves one line of it, and puts it into force again."""
    scene.by_hand("batchunaudit", [{"id": document}])
    bill = saved_again(scene, document)
    first, second = bill["orderDetails"]
    lines = [first, second | {"_status": "Delete"}]
    scene.by_hand("singleSave", bill | {"orderDetails": lines, "payMoney": first["oriSum"]})
    scene.by_hand("batchsubmit", [{"id": document}])
    scene.by_hand("batchaudit", [{"id": document}])


def saved_again(scene: Scene, document: object) -> dict[str, Any]:
    """What `singleSave` wants of an order that is there, as `detail` shows it."""
    token, _ = scene.stand.vendor.tokens.issue()  # type: ignore[attr-defined]
    url = f"{scene.stand.address}/iuap-api-gateway/yonbip/sd/voucherorder/detail"
    shown = httpx2.get(url, params={"access_token": token, "id": str(document)}).json()["data"]
    lines = [flat(line) | {"_status": "Update"} for line in shown.pop("orderDetails")]
    return flat(shown) | {"_status": "Update", "orderDetails": lines}


def flat(nested: dict[str, Any]) -> dict[str, Any]:
    """`{"a": {"b": 1}}` as `{"a!b": 1}`."""
    found: dict[str, Any] = {}
    for name, value in nested.items():
        inner = {f"{name}!{key}": each for key, each in value.items()} if isinstance(value, dict) else {name: value}
        found |= inner
    return found
