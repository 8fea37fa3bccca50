"""管家婆 shows every order as it stands, whatever becomes of single calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from hub.consumers.erp.grasp import Grasp
from hub.consumers.system import Receipt, Shown, Wanted
from hub.errors import Busy, CredentialsRefused, OutcomeUnknown, Rejected, SystemUnread
from hub.interfaces import erp
from hub.schemas.facts import OrderFacts, facts_of
from hub.schemas.order import Order, Status
from hub.sides import Numbers
from hub.simulators.grasp import vendor as stand_in
from hub.simulators.stand import Stand
from tests.builders import make_line
from tests.support import order_at
from tests.vendor_systems import FAULTS, PATIENCE, WAYS, Ledger, calling, differences, on_way

LINES = [make_line(sku="TEA-龙井", name="龙井茶 & 杯=1+1"), make_line(sku="CUP-1", unit_price=3900, quantity=3)]


@dataclass
class Scene:
    """The ERP and the hub's side of it."""

    stand: Stand
    system: Grasp
    settings: erp.Grasp

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.system)

    def effects(self) -> Counter[tuple[str, str, int | None]]:
        """How often each effect happened."""
        rows = self.stand.vendor.journal()
        return Counter((row["effect"], row["number"], row["version"]) for row in rows)


@pytest.fixture
def rules() -> stand_in.Rules:
    return stand_in.Rules()


@pytest.fixture
def scene(tmp_path: Path, rules: stand_in.Rules) -> Iterator[Scene]:
    vendor = stand_in.Grasp(tmp_path / "erp.sqlite", rules)
    with Stand(vendor) as stand:
        settings = settings_of(stand)
        with calling("erp", settings) as client:
            yield Scene(stand, Grasp(settings, client), settings)
    vendor.close()


def settings_of(stand: Stand, **further: Any) -> erp.Grasp:
    secrets = {
        "app_secret": SecretStr("DemoGjpSecret0123456789ABCDEFGHI"),
        "sign_key": SecretStr("demo-sign-key"),
        "auth_code": SecretStr("demo-auth-code"),
    }
    who = {"app_key": "demo-app-key", "shop_key": "demo-shop"}
    return erp.Grasp(**{"url": f"{stand.address}/api", **who, **secrets, **PATIENCE, **further})


def as_kept(order: Order) -> OrderFacts:
    """What 管家婆 keeps of an order."""
    empty = {"channel": "", "shop": "", "channel_order_no": "", "vip": False, "warehouse": None, "currency": ""}
    status = "paid" if order.status is Status.PICKING else str(order.status)
    return replace(facts_of(order), **empty, status=status)


@pytest.mark.parametrize("way", WAYS)
def test_every_version_of_an_order_is_pushed_once(scene: Scene, way: str) -> None:
    ledger = scene.ledger
    for order in on_way(way, lines=LINES):
        (result,) = ledger.bring(order)
        assert result == Receipt(order.version, order.version - 1)
        assert list(scene.system.facts()) == [as_kept(order)]
        assert differences("erp", "grasp", order, list(scene.system.facts())) == []
    assert set(scene.effects().values()) == {1}
    assert sum(scene.effects().values()) == len(WAYS[way])


def test_a_batch_is_pushed_at_once(scene: Scene) -> None:
    orders = [order_at(2, f"SO-{number:02}", lines=LINES) for number in range(10)]
    assert scene.ledger.bring(*orders, tries=1) == [Receipt(2, 0)] * 10
    assert scene.ledger.bring(*orders, tries=1) == [Receipt(2, 2)] * 10
    assert list(scene.system.facts()) == [as_kept(order) for order in orders]
    assert set(scene.effects().values()) == {1}


def test_a_newer_version_is_never_overwritten(scene: Scene) -> None:
    scene.ledger.bring(order_at(5))
    assert scene.ledger.bring(order_at(4)) == [Receipt(5, 5)]
    assert list(scene.system.facts()) == [as_kept(order_at(5))]


def test_a_question_that_is_refused_parks_no_order(scene: Scene) -> None:
    scene.stand.fail("error_body", step="querysaleorder")
    (result,) = scene.system.apply([Wanted(order_at(3), "event", 2)])
    assert isinstance(result, CredentialsRefused)


@pytest.mark.parametrize("step", ["token", "querysaleorder", "uploadsaleorders"])
@pytest.mark.parametrize("fault", [*FAULTS, "bad_sign"])
def test_after_any_failure_the_order_ends_as_it_should(scene: Scene, fault: str, step: str) -> None:
    ledger = scene.ledger
    for order in on_way("refunded", lines=LINES):
        scene.stand.fail(None)
        scene.stand.fail(fault, step=step, times=1, seconds=1.2)
        (result,) = ledger.bring(order)
        assert isinstance(result, Receipt), result
    scene.stand.fail(None)
    assert list(scene.system.facts()) == [as_kept(order)]
    assert set(scene.effects().values()) == {1}


def test_a_bad_order_blocks_itself_only(scene: Scene) -> None:
    good = [order_at(2, f"SO-{number}", lines=LINES) for number in (1, 3)]
    bad = order_at(2, "SO-" + "9" * 60)
    one, two, three = scene.ledger.bring(good[0], bad, good[1], tries=1)
    assert (one, three) == (Receipt(2, 0), Receipt(2, 0))
    assert isinstance(two, Rejected)
    assert list(scene.system.facts()) == [as_kept(order) for order in good]


def test_what_somebody_changed_is_put_right_with_rewrite_and_only_once(scene: Scene) -> None:
    ledger, order = scene.ledger, order_at(2, lines=LINES)
    ledger.bring(order)
    with calling("erp", scene.settings) as client:
        Ledger(Grasp(scene.settings, client)).bring(order_at(2, lines=LINES[:1]), rewrite=True)
    assert list(scene.system.facts()) != [as_kept(order)]
    for _ in range(2):
        assert ledger.bring(order, rewrite=True) == [Receipt(2, 2)]
    assert list(scene.system.facts()) == [as_kept(order)]
    assert sum(scene.effects().values()) == 3


def test_a_token_that_runs_out_is_renewed_without_a_person(scene: Scene) -> None:
    scene.system.ping()
    scene.stand.vendor.control({"expire_tokens": True})
    orders = [order_at(2, f"SO-{number:02}") for number in range(12)]
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda order: scene.system.apply([Wanted(order, "event", 0)])[0], orders))
    assert results == [Receipt(2, 0)] * 12


@pytest.mark.parametrize(
    ("given", "good"),
    [
        ({"token": SecretStr("stale"), "refresh_token": SecretStr("demo-refresh-token")}, True),
        ({"refresh_token": SecretStr("demo-refresh-token")}, True),
        ({"token": SecretStr("stale"), "auth_code": SecretStr("")}, False),
        ({"auth_code": SecretStr("used")}, False),
        ({"refresh_token": SecretStr("stale")}, False),
        ({"sign_key": SecretStr("another")}, False),
    ],
)
def test_who_has_anything_good_is_let_in(scene: Scene, given: dict[str, Any], good: bool) -> None:
    settings = settings_of(scene.stand, **given)
    with calling("erp", settings) as client:
        one, two = Grasp(settings, client).apply([Wanted(order_at(2, f"SO-{number}"), "event", 0) for number in (1, 2)])
    expected = Receipt if good else CredentialsRefused
    assert (type(one), type(two)) == (expected, expected)


@pytest.mark.parametrize("rules", [stand_in.Rules(per_minute=1)])
def test_a_quota_that_is_used_up_holds_up_everybody(scene: Scene) -> None:
    assert scene.ledger.bring(order_at(1), tries=1) == [Receipt(1, 0)]
    (result,) = scene.ledger.bring(order_at(2), tries=1)
    assert isinstance(result, Busy)
    assert result.retry_after_seconds == 60


def test_facts_go_page_by_page(scene: Scene) -> None:
    orders = [order_at(2, f"SO-{number:03}", lines=LINES) for number in range(200)]
    scene.ledger.bring(*orders)
    assert list(scene.system.facts()) == [as_kept(order) for order in orders]
    chosen = scene.system.facts(Numbers(("SO-150", "SO-007", "SO-999")))
    assert list(chosen) == [as_kept(orders[7]), as_kept(orders[150])]


def test_a_look_tells_the_version(scene: Scene) -> None:
    scene.ledger.bring(order_at(3))
    assert scene.system.look(["SO-1", "SO-2"]) == [Shown(3), Shown(0)]


def test_facts_that_cannot_be_read_say_so(scene: Scene) -> None:
    scene.stand.fail("html", step="querysaleorder")
    with pytest.raises(SystemUnread, match=r"^erp: "):
        list(scene.system.facts())
    with pytest.raises(SystemUnread):
        scene.system.ping()
    assert all(isinstance(each, OutcomeUnknown) for each in scene.system.look(["SO-1", "SO-2"]))
