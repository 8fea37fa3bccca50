"""What one hub lives through: a clean evening, every cause of a difference planted for real, and the nights after.

`parked` is not among the causes: interface tables either take an order, refuse it or cannot be reached, and none of
that is given up or left in doubt; only a system that is called over HTTP can do so.
"""

from __future__ import annotations

import subprocess
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy import select

from hub.config import SYSTEMS
from hub.tables import dead_letters
from tests.e2e.nights import NEXT_DAY, Hub, Night
from tests.e2e.planting import (
    REFUSED_CUSTOMER,
    away,
    edit,
    let_refuse,
    locked,
    lose,
    purge,
    recount,
    spoil_next_version,
    write_again,
)
from tests.faults.rig import eventually

TRANSIT_SECONDS = 15
STEADY = ("consume-crm", "consume-wms", "consume-erp")


class Planted(NamedTuple):
    """An order that was made to differ at a system, and what the night must say of it."""

    order: str
    system: str
    kind: str
    cause: str
    heals: bool = False
    person: bool = True


PLANTED = (
    Planted("refused", "crm", "missing", "rejected"),
    Planted("skipped", "crm", "missing", "skipped"),
    Planted("restored", "crm", "stale", "lost_downstream", heals=True, person=False),
    Planted("stranger", "crm", "extra", "extra"),
    Planted("deleted", "kingdee", "missing", "lost_downstream", heals=True, person=False),
    Planted("purged", "kingdee", "stale", "never_received", heals=True, person=False),
    Planted("reworded", "kingdee", "differs", "mapping"),
    Planted("hurried", "wms", "differs", "changed_by_hand", heals=True, person=False),
    Planted("rerouted", "wms", "differs", "changed_by_hand", heals=True, person=False),
    Planted("twin", "wms", "duplicate", "duplicate"),
    Planted("recounted", "erp", "differs", "changed_by_hand"),
    Planted("repriced", "erp", "differs", "changed_by_hand"),
    Planted("ahead", "erp", "differs", "oms_behind"),
    Planted("delayed", "erp", "stale", "in_transit"),
    *(Planted("spoiled", system, "stale", "dead_letter") for system in SYSTEMS),
    *(Planted("held-long", system, "stale", "not_published") for system in SYSTEMS),
    *(Planted("held-briefly", system, "stale", "not_published", person=False) for system in SYSTEMS),
)
MOVING = ("in_transit", "not_published")
STAYING = tuple(each for each in PLANTED if each.person and each.cause not in MOVING)
ENTERED = ("stranger", "twin")
HURT = tuple(sorted({each.order for each in PLANTED} - {"refused", "skipped", *ENTERED} | {"doubled"}))
HEALTHY = tuple(f"healthy-{number}" for number in range(25))


@dataclass
class Story:
    """A hub and its nights, by name, in the order in which they were."""

    hub: Hub
    nights: dict[str, Night] = field(default_factory=dict)
    acts: dict[str, subprocess.CompletedProcess[str]] = field(default_factory=dict)

    def key(self, order: str, system: str) -> str:
        """The key of the one finding of an order at a system."""
        number = self.hub.numbers[order]
        rows = self.nights["first"].findings.values()
        (key,) = [row["key"] for row in rows if (row["order_no"], row["system"]) == (number, system)]
        return str(key)

    def keys(self, planted: tuple[Planted, ...]) -> set[str]:
        """The keys of the findings of planted differences."""
        return {self.key(each.order, each.system) for each in planted}

    def act(self, name: str, *arguments: str) -> None:
        """What somebody does to a finding, and what came of it."""
        self.acts[name] = self.hub.machine.hub("reconcile", *arguments)


def lived_through(hub: Hub) -> Story:
    """All of it; the tests only look at what it left."""
    story = Story(hub)
    with hub.running(*STEADY):
        come_to_differ(story)
        with hub.running("relay", "consume-kingdee"):
            be_put_right(story)
    with away(hub, "wms"):
        story.nights["unread"] = hub.night(day=NEXT_DAY)
    story.nights["last"] = hub.night(day=NEXT_DAY)
    return story


def come_to_differ(story: Story) -> None:
    """From a clean evening to the first night, with every cause in place."""
    hub = story.hub
    with ExitStack() as until_the_night:
        with hub.running("relay"):
            with hub.running("consume-kingdee"):
                live_in_peace(story)
                be_refused(story)
                change_by_hand(hub)
            get_lost_in_a_queue(hub)
            until_the_night.enter_context(locked(hub, "erp"))
            be_delayed(story)
            until_the_night.enter_context(hub.running("consume-kingdee"))
            hub.wait_for(["delayed"], "kingdee")
            be_spoiled(hub)
        be_held(hub)
        story.nights["first"] = hub.night()


def live_in_peace(story: Story) -> None:
    """All orders but two come in and are paid, and everybody has them."""
    hub = story.hub
    hub.place(*HURT, *HEALTHY)
    hub.advance(*HURT, *HEALTHY)
    hub.wait_for([*HURT, *HEALTHY], *SYSTEMS)
    story.nights["clean"] = hub.night()


def be_refused(story: Story) -> None:
    """Two orders of a customer whom the CRM will not have; one of them is left out by an operator."""
    hub = story.hub
    let_refuse(hub, "crm")
    hub.place("refused", "skipped", customer_id=REFUSED_CUSTOMER)
    hub.wait_for(["refused", "skipped"], "kingdee", "wms", "erp")
    assert eventually(lambda: all(hub.entry(name, "crm").get("parked_reason") for name in ("refused", "skipped")))
    hub.machine.must("parked", "skip", hub.numbers["skipped"], "--system", "crm", "--why", "no customer", "--yes")


def change_by_hand(hub: Hub) -> None:
    """What people do at the systems, and what a system loses by itself."""
    hub.numbers |= {"stranger": "CRM-4711", "twin": "WMS-2026-0815"}
    edit(hub, "crm", "restored", version=1, status="pending_payment")
    write_again(hub, "crm", "healthy-0", hub.numbers["stranger"], channel_order_no="NOBODY-KNOWS")
    lose(hub, "kingdee", "deleted")
    edit(hub, "kingdee", "reworded", status="已审核")
    edit(hub, "wms", "hurried", status="shipped")
    edit(hub, "wms", "rerouted", warehouse="GZ-07")
    write_again(hub, "wms", "doubled", hub.numbers["twin"])
    recount(hub, "erp", "recounted", 7)
    edit(hub, "erp", "repriced", total=2499)
    edit(hub, "erp", "ahead", version=5)


def get_lost_in_a_queue(hub: Hub) -> None:
    """A version is purged before Kingdee's consumer has seen it."""
    hub.advance("purged", verb="pick")
    hub.wait_for(["purged"], "crm", "wms", "erp")
    assert eventually(lambda: hub.published("purged"))
    purge(hub, "q.kingdee")


def be_delayed(story: Story) -> None:
    """A version waits in Kingdee's queue, and in the ledger of the ERP, whose tables are locked."""
    hub = story.hub
    hub.advance("delayed", verb="pick")
    hub.wait_for(["delayed"], "crm", "wms")
    assert eventually(lambda: hub.entry("delayed", "erp")["wanted_version"] == 3 and hub.published("delayed"))
    story.nights["evening"] = hub.night("--orders", hub.numbers["delayed"])


def be_spoiled(hub: Hub) -> None:
    """A version arrives everywhere as bytes that are no event."""
    spoil_next_version(hub, "spoiled", verb="pick")
    assert eventually(lambda: len(hub.rows(select(dead_letters.c.id))) == len(SYSTEMS))


def be_held(hub: Hub) -> None:
    """No relay runs: one version waits for long, another one has only begun to."""
    hub.advance("held-long", verb="pick")
    time.sleep(TRANSIT_SECONDS + 1)
    hub.advance("held-briefly", verb="pick")


def be_put_right(story: Story) -> None:
    """The causes are gone: what was safe heals, and people settle two findings and accept one."""
    hub = story.hub
    hub.wait_for(["held-long", "held-briefly", "delayed"], *SYSTEMS)
    for each in PLANTED:
        hub.wait_for([each.order], each.system) if each.heals else None
    story.nights["second"] = hub.night()
    story.nights["next day"] = hub.night(day=NEXT_DAY)
    stranger, twin, repriced = (
        story.key(*each) for each in (("stranger", "crm"), ("twin", "wms"), ("repriced", "erp"))
    )
    agreed, slip = ("--why", "agreed with sales", "--until"), ("--why", "a slip of the pen")
    story.act("accept for too long", "accept", stranger, *agreed, "2099-12-31")
    story.act("accept", "accept", stranger, *agreed, in_a_month())
    story.act("assign", "assign", twin, "--to", "warehouse.wang", "--note", "two delivery notes")
    story.act("ask to heal", "heal", repriced, *slip)
    story.act("heal", "heal", repriced, *slip, "--yes")
    hub.wait_for(["repriced"], "erp")


def in_a_month() -> str:
    """A day that is ahead."""
    return time.strftime("%Y-%m-%d", time.localtime(time.time() + 30 * 86_400))
