"""Every fault of the simulated Kingdee at every step: in the end each status is shown, and no effect came twice."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.consumers.kingdee.system import KingdeeWebApi
from hub.consumers.system import Receipt, Wanted
from hub.errors import Rejected, SystemFailure
from hub.schemas.order import Order, Status
from hub.sides import Numbers
from hub.simulators.faults import ITS_OWN_WORDS, NOTHING_HAPPENED, ON_THE_WIRE
from hub.simulators.kingdee.faulty import FURTHER
from hub.simulators.kingdee.galaxy import Galaxy
from hub.simulators.stand import Stand
from hub.simulators.web import Answer, Arrived
from tests.kingdee import Hub, called, connected, order_on, shown_at, twice

STORIES = {
    "SO-1": ("pending_payment", "paid", "picking", "shipped", "completed", "refunded"),
    "SO-2": ("pending_payment", "paid", "cancelled"),
    "SO-3": ("pending_payment", "paid", "intercepted", "paid"),
    "SO-4": ("pending_payment", "paid", "picking", "shipped", "cancelled"),
    "SO-5": ("pending_payment", "paid", "intercepted", "cancelled"),
}
LONGEST = max(map(len, STORIES.values()))
STEPS = ("ExecuteBillQuery", "Save", "BatchSave", "Submit", "Audit", "UnAudit", "Push", "ExcuteOperation")
# Of these the hub's own patience is the measure, so it waits little.
SILENT = {"commit_then_silence", "late", "drip", "endless", "slow"}
# One of each sort for every day; `make integration` goes through all.
QUICK = {"500", "error_body", "unauthorised", "commit_500", "msgcode_13", "late"}
FAULTS = [
    pytest.param(fault, marks=[] if fault in QUICK else pytest.mark.slow)
    for fault in (*NOTHING_HAPPENED, *ITS_OWN_WORDS, *ON_THE_WIRE, *sorted(FURTHER))
]


class Watched(Galaxy):
    """Knows when everything that came in late has been carried out."""

    is_ill = True

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._idle = threading.Condition()
        self._late: set[int] = set()

    def expect(self) -> None:
        """The call that is at this thread will be carried out when nobody waits for it any more."""
        with self._idle:
            self._late.add(threading.get_ident())

    def receive(self, arrived: Arrived) -> Answer:
        answer = super().receive(arrived)
        with self._idle:
            self._late.discard(threading.get_ident())
            self._idle.notify_all()
        return answer

    def settle(self) -> None:
        """Wait for what is still to come."""
        with self._idle:
            assert self._idle.wait_for(lambda: not self._late, 10)


@pytest.fixture
def galaxy(tmp_path: Path) -> Iterator[Watched]:
    vendor = Watched(tmp_path / "kingdee.sqlite")
    yield vendor
    vendor.close()


@pytest.fixture
def stand(galaxy: Watched) -> Iterator[Stand]:
    with Stand(galaxy) as running:
        yield running


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("fault", FAULTS)
def test_after_a_fault_at_every_other_call_of_a_step_each_order_is_shown_and_nothing_was_done_twice(
    stand: Stand, galaxy: Watched, fault: str, step: str
) -> None:
    every_other(stand, galaxy, fault, step)
    with connected(stand, **_patience(fault)) as system:
        tell(system, galaxy)
        galaxy.is_ill = False
        stand.fail(None)
        assert shown(system) == {number: shown_at(path, range(1, len(path) + 1)) for number, path in STORIES.items()}
    assert twice(stand) == {}


@pytest.mark.parametrize("step", ["LoginBySign", "Save", "Submit"])
@pytest.mark.parametrize("fault", ["unauthorised", "ctx_null", "500", "html", "truncated", "gateway_519", "busy"])
def test_a_session_is_gone_on_with_after_each_fault(stand: Stand, galaxy: Watched, fault: str, step: str) -> None:
    calls = every_other(stand, galaxy, fault, step)
    with connected(stand, auth="session") as system:
        tell(system, galaxy)
        galaxy.is_ill = False
        stand.fail(None)
        assert shown(system) == {number: shown_at(path, range(1, len(path) + 1)) for number, path in STORIES.items()}
    assert calls.count("LoginBySign") <= 2 + len(calls) // 2
    assert twice(stand) == {}


@pytest.mark.parametrize("step", ["Save", "Submit", "Audit", "Push"])
def test_a_session_that_is_forgotten_between_two_steps_costs_one_login_and_no_second_effect(
    stand: Stand, galaxy: Watched, step: str
) -> None:
    met = Counter[str]()

    def forget(called_step: str) -> None:
        met[called_step] += 1
        if called_step == step and met[step] == 1:
            galaxy.control({"sessions": "drop"})

    calls = called(stand, forget)
    path = STORIES["SO-1"][:5]
    with connected(stand, auth="session") as system:
        [result] = system.apply([Wanted(order_on([*map(Status, path)]), "event", 0)])
    assert isinstance(result, Receipt)
    assert calls.count("LoginBySign") == 2
    assert twice(stand) == {}


def test_what_was_submitted_and_refused_its_audit_is_taken_back_and_cancelled(stand: Stand, galaxy: Watched) -> None:
    path = [*map(Status, STORIES["SO-2"])]
    with connected(stand) as system:
        hub = Hub(system, galaxy.settle)
        stand.fail("error_body", step="Audit")
        [refused] = hub.settle([order_on(path[:2])])
        assert isinstance(refused, Rejected)
        stand.fail(None)
        calls = called(stand)
        [result] = hub.settle([order_on(path)])
        assert isinstance(result, Receipt)
        assert calls == ["ExecuteBillQuery", "ExecuteBillQuery", "CancelAssign", "ExcuteOperation"]
        assert shown(system)["SO-1"] == "cancelled"
    assert twice(stand) == {}


def every_other(stand: Stand, galaxy: Watched, fault: str, step: str) -> list[str]:
    """Let every other call of a service come to grief while the vendor is ill; the calls as they come."""
    met = Counter[str]()
    # What is there of an order takes up to four queries, asked twice: were every other one lost, none would be whole.
    period = 11 if step == "ExecuteBillQuery" else 2

    def arm(called_step: str) -> None:
        met[called_step] += 1
        if galaxy.is_ill and called_step == step and met[step] % period == 1:
            if fault == "late":
                galaxy.expect()
            stand.fail(fault, step=step, times=1, seconds=0.4)

    return called(stand, arm)


def tell(system: KingdeeWebApi, galaxy: Watched) -> None:
    """Every story, one version of all orders after the other; what was parked is freed once."""
    hub = Hub(system, galaxy.settle)
    for length in range(1, LONGEST + 1):
        orders = [_order(number, length) for number, path in STORIES.items() if len(path) >= length]
        left = orders
        for _ in range(12):
            results = hub.settle(left)
            left = [order for order, result in zip(left, results, strict=True) if isinstance(result, SystemFailure)]
            if not left:
                break
        assert left == [], results


def shown(system: KingdeeWebApi) -> dict[str, str]:
    return {facts.order_no: facts.status for facts in system.facts(Numbers(tuple(STORIES)))}


def _order(number: str, length: int) -> Order:
    return order_on([*map(Status, STORIES[number][:length])], number)


def _patience(fault: str) -> dict[str, float]:
    return {"read_seconds": 0.2, "total_seconds": 0.3} if fault in SILENT else {}
