"""Nights over systems behind their vendors' interfaces: what people changed there is found, named, put right, or told.

Whoever changes something does it at the simulated system, behind everybody's back.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest
from sqlalchemy import text

from hub.config import SYSTEMS
from hub.stage.simulated import SPOKEN, Simulators, simulators
from tests.builders import make_line, make_receiver
from tests.e2e.behind_interfaces import OTHERS, systems_running
from tests.e2e.nights import NEXT_DAY, Hub, Night, hub_on
from tests.faults.rig import DAEMONS, eventually

# Nine processes and four runs of the comparison.
pytestmark = pytest.mark.slow

GONE = None
HEALTHY = ("healthy-1", "healthy-2", "healthy-3")
LINES = [make_line(quantity=3, unit_price=333), make_line(sku="CUP-1", unit_price=3900)]
PATIENCE = {
    "HUB_RECONCILE__HEAL_CHANGED_BY_HAND": "true",
    "HUB_CONSUMER__SETTLE_SECONDS": "1",
    "HUB_CONSUMER__LEASE_SECONDS": "60",
    # One file is the hub's database here, and each call is written into it.
    "HUB_CONSUMER__WORKERS": "2",
    "HUB_DB__STATEMENT_SECONDS": "30",
    "HUB_DB__LOCK_SECONDS": "20",
    "HUB_API__ANSWER_SECONDS": "45",
}


class Planted(NamedTuple):
    """A change at a system, by hand, and what becomes of it.

    `heals` is whether the night puts it right by itself, `mended` whether a person's `hub reconcile heal` does; where
    neither does, `told` is in what the finding says in the end.
    """

    system: str
    name: str
    documents: Mapping[str, Mapping[str, Any]]
    where: str
    change: Mapping[str, Any] | None
    kind: str
    cause: str
    heals: bool = False
    mended: bool = True
    told: str = ""


def planted(system: str, name: str, kind: str, found: tuple[str, str], **more: Any) -> Planted:
    """A change of the documents of one kind; `where` names the field that holds the order's number."""
    change, where = more.pop("change", GONE), more.pop("where")
    return Planted(system, f"{system}-{name}", {kind: {}}, where, change, *found, **more)


LOST, OLDER = ("missing", "lost_downstream"), ("stale", "lost_downstream")
BY_HAND, SET_BACK = ("differs", "changed_by_hand"), ("stale", "changed_by_hand")

KINGDEE = (
    planted("kingdee", "lost", "SAL_SaleOrder", LOST, where="number", heals=True),
    planted(
        "kingdee", "opened", "SAL_SaleOrder", SET_BACK, where="number", change={"FDocumentStatus": "D"}, heals=True
    ),
    planted(
        *("kingdee", "cancelled", "SAL_SaleOrder", BY_HAND),
        where="number",
        change={"FCancelStatus": "B"},
        heals=True,
        mended=False,
        told="cancelled at Kingdee",
    ),
)
WMS = (
    planted("wms", "lost", "delivery_order", LOST, where="code", heals=True),
    planted("wms", "cancelled", "delivery_order", BY_HAND, where="code", change={"status": "CANCELED"}, heals=True),
    planted(
        *("wms", "rerouted", "delivery_order", BY_HAND),
        where="code",
        change={"warehouse": "WH-9"},
        heals=True,
        mended=False,
        told="warehouse",
    ),
)
REST = (
    planted("crm", "lost", "Order__c", LOST, where="Order_No__c", heals=True),
    planted(
        *("crm", "older", "Order__c", OLDER),
        where="Order_No__c",
        change={"Version__c": 1, "Status__c": "pending_payment"},
        heals=True,
    ),
    planted("crm", "rerouted", "Order__c", BY_HAND, where="Order_No__c", change={"Warehouse__c": "WH-9"}, heals=True),
    planted("crm", "repriced", "Order__c", BY_HAND, where="Order_No__c", change={"Total__c": "1.00"}),
    planted("crm", "recounted", "Order_Line__c", BY_HAND, where="Order_No__c", change={"Quantity__c": 9}),
)
YONBIP = (
    planted("erp", "lost", "voucherorder", LOST, where="number", heals=True),
    planted(
        "erp",
        "opened",
        "voucherorder",
        SET_BACK,
        where="number",
        change={"verifystate": 0, "status": 0, "nextStatus": "CONFIRMORDER"},
        heals=True,
    ),
    planted("erp", "repriced", "voucherorder", BY_HAND, where="number", change={"payMoney": "1.00"}),
)
FXIAOKE = (
    planted("crm", "lost", "SalesOrderObj", LOST, where="order_no__c", heals=True),
    planted(
        *("crm", "older", "SalesOrderObj", OLDER),
        where="order_no__c",
        change={"version__c": "1", "status__c": "pending_payment"},
        heals=True,
    ),
    planted(
        "crm", "rerouted", "SalesOrderObj", BY_HAND, where="order_no__c", change={"warehouse__c": "WH-9"}, heals=True
    ),
    planted("crm", "repriced", "SalesOrderObj", BY_HAND, where="order_no__c", change={"total__c": "1.00"}),
)
GRASP = (planted("erp", "lost", "saleorder", LOST, where="number", heals=True),)
PLANTED = {"usual": (*KINGDEE, *WMS, *REST, *YONBIP), "others": (*KINGDEE, *WMS, *FXIAOKE, *GRASP)}
INTERFACES = {"usual": SPOKEN, "others": OTHERS}


@dataclass
class Story:
    """A hub, its systems, what was changed there, and the nights after."""

    hub: Hub
    simulated: Simulators
    planted: tuple[Planted, ...]
    nights: dict[str, Night] = field(default_factory=dict)
    asked: subprocess.CompletedProcess[str] | None = None

    def found(self, night: str) -> set[tuple[str, str, str, str]]:
        """What a night tells: order, system, kind and cause."""
        names = {number: name for name, number in self.hub.numbers.items()}
        return {
            (names[each["order_no"]], each["system"], each["kind"], each["cause"])
            for each in self.nights[night].report["findings"]
        }

    def keys(self, *planted: Planted) -> set[str]:
        """The keys of the findings of changes."""
        numbers = {(self.hub.numbers[each.name], each.system) for each in planted}
        told = self.nights["first"].told.values()
        return {each["key"] for each in told if (each["order_no"], each["system"]) in numbers}

    def parked(self, each: Planted) -> str:
        """What the system said of an order that it would not have."""
        return str(self.hub.entry(each.name, each.system)["last_error"])


@pytest.fixture(scope="module", params=["usual", "others"])
def story(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Everything that happens, once."""
    folder = tmp_path_factory.mktemp(request.param)
    with ExitStack() as stack:
        simulated = simulators(folder, INTERFACES[request.param])
        stack.enter_context(systems_running(simulated, folder))
        hub = hub_on("embedded", request, stack, folder, **simulated.settings(), **PATIENCE)
        story = Story(hub, simulated, PLANTED[request.param])
        with hub.running(*DAEMONS):
            live(story)
        yield story


def live(story: Story) -> None:
    """A clean evening, changes, a night that heals and one that proves it, then a person's decision and its proof."""
    hub = story.hub
    names = [*(each.name for each in story.planted), *HEALTHY]
    receiver = make_receiver(province="上海")
    hub.place(*names, lines=LINES, receiver=receiver)
    hub.advance(*names)
    assert eventually(lambda: hub.arrived(names, *SYSTEMS), 120), hub.machine.standing()
    story.nights["clean"] = hub.night()
    for each in story.planted:
        change(story, each)
    story.nights["first"] = hub.night()
    rest(story)
    story.nights["second"] = hub.night()
    by_hand = story.keys(*(each for each in story.planted if not each.heals))
    story.asked = hub.machine.hub("reconcile", "heal", *sorted(by_hand), "--why", "the OMS is right", "--yes")
    rest(story)
    story.nights["third"] = hub.night()
    story.simulated.control("crm", fault="html", step="query")
    story.simulated.control("kingdee", fault="503")
    story.nights["unread"] = hub.night(day=NEXT_DAY)


def change(story: Story, each: Planted) -> None:
    """Somebody changes an order at a system."""
    number = story.hub.numbers[each.name]
    (kind,) = each.documents
    told = {"kind": kind, "where": {each.where: number}, "set": each.change}
    story.simulated.control(each.system, by_hand=told)


def rest(story: Story) -> None:
    """Wait until the workers have done, or given up, what the night asked for."""
    query = "SELECT count(*) FROM ledger WHERE wanted_body IS NOT NULL AND parked_reason IS NULL"
    assert eventually(lambda: story.hub.rows(text(query))[0]["count(*)"] == 0, 60), story.hub.machine.standing()


def test_before_anybody_changes_anything_all_is_equal(story: Story) -> None:
    clean = story.nights["clean"]
    assert (clean.code, clean.facts["state"]) == (0, "clean"), clean.report["findings"]


def test_every_change_is_found_with_its_cause_and_nothing_else(story: Story) -> None:
    assert story.found("first") == {(each.name, each.system, each.kind, each.cause) for each in story.planted}
    assert story.nights["first"].facts["unexplained"] == 0


def test_what_was_lost_or_may_be_put_back_is_proved_by_the_second_night(story: Story) -> None:
    healed = {each["key"] for each in story.nights["second"].report["healed"]}
    assert healed == story.keys(*(each for each in story.planted if each.heals and each.mended))


def test_money_is_put_back_once_a_person_has_said_so(story: Story) -> None:
    assert story.asked is not None
    assert story.asked.returncode == 0, story.asked.stderr
    states = {key: row["state"] for key, row in story.nights["third"].findings.items()}
    asked = story.keys(*(each for each in story.planted if not each.heals and each.mended))
    assert {states[key] for key in asked} == {"healed"}


def test_what_no_interface_can_put_back_ends_as_a_ticket_that_says_why(story: Story) -> None:
    third, left = story.nights["third"], [each for each in story.planted if not each.mended]
    assert third.tickets.keys() == story.keys(*left)
    for each in left:
        assert each.told in story.parked(each)
        (key,) = story.keys(each)
        assert third.told[key]["cause"] == "rejected"


def test_a_system_that_fails_while_it_is_read_makes_the_night_incomplete_and_closes_nothing_of_it(story: Story) -> None:
    unread, before = story.nights["unread"], story.nights["third"]
    assert (unread.code, unread.facts["state"], sorted(unread.facts["unread"])) == (
        69,
        "incomplete",
        ["crm", "kingdee"],
    )
    here = {key: row["state"] for key, row in unread.findings.items() if row["system"] in {"crm", "kingdee"}}
    assert here == {key: before.findings[key]["state"] for key in here}


def test_no_order_that_nobody_touched_was_written_twice(story: Story) -> None:
    healthy = {story.hub.numbers[name] for name in HEALTHY}
    for system in SYSTEMS:
        rows = [row for row in story.simulated.journal(system) if row["number"] in healthy]
        assert rows
        assert not [row for row in rows if row["repeats"]]
