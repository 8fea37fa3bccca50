"""A hub without a database before a simulated Kingdee: what integration tests of its WebAPI share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pydantic import SecretStr

from hub.calls.client import Client
from hub.consumers.kingdee.system import KingdeeWebApi
from hub.consumers.system import Receipt, Result, Wanted
from hub.errors import OutcomeUnknown, Postponed, Rejected, SystemFailure
from hub.interfaces.kingdee import WebApi
from hub.schemas.order import Order, Status
from hub.simulators.kingdee.account import Account
from hub.simulators.stand import Stand
from tests.builders import make_line, make_order

ACCOUNT = Account()
LINES = [make_line(sku="TEA-龙井", unit_price=1999), make_line(sku="CUP-1", quantity=1, unit_price=0)]

# An order may be held up twice, so these may come again.
_REPEATED = {"freeze", "unfreeze"}


@contextmanager
def connected(stand: Stand, **fields: Any) -> Iterator[KingdeeWebApi]:
    """The system at a stand; patient for a second unless told otherwise."""
    given = {
        "url": f"{stand.address}/k3cloud",
        "account": ACCOUNT.acct_id,
        "user": ACCOUNT.user,
        "app_id": ACCOUNT.app_id,
        "app_secret": SecretStr(ACCOUNT.app_secret),
        "read_seconds": 1.0,
        "total_seconds": 1.5,
    }
    settings = WebApi(**given | fields)
    system = KingdeeWebApi(settings, Client("kingdee", settings))
    try:
        yield system
    finally:
        system.close()


class Hub:
    """What the ledger and its worker do, without a database: versions, doubts, and one try after another."""

    def __init__(self, system: KingdeeWebApi, settled: Callable[[], object] = lambda: None) -> None:
        """`settled` returns once nothing can take effect any more that was called before."""
        self.system = system
        self._settled = settled
        self._applied: dict[str, int] = {}
        self._doubted: set[str] = set()

    def once(self, orders: Sequence[Order]) -> list[Result]:
        """Ask where in doubt, then bring; one try."""
        asked = [order.order_no for order in orders if order.order_no in self._doubted]
        looked = dict(zip(asked, self.system.look(asked), strict=True)) if asked else {}
        results: dict[str, Result] = {}
        wanted = []
        for order in orders:
            shown = looked.get(order.order_no)
            if isinstance(shown, SystemFailure):
                results[order.order_no] = shown
            elif shown is not None and shown.version >= order.version:
                results[order.order_no] = Receipt(shown.version, shown.version)
            else:
                wanted.append(Wanted(order, "event", self._applied.get(order.order_no, 0), shown))
        brought = self.system.apply(wanted) if wanted else []
        results |= {each.order.order_no: result for each, result in zip(wanted, brought, strict=True)}
        for order in orders:
            self._record(order, results[order.order_no])
        return [results[order.order_no] for order in orders]

    def settle(self, orders: Sequence[Order], tries: int = 30) -> list[Result]:
        """Try until every order is shown or refused."""
        last: dict[str, Result] = {}
        left = list(orders)
        for _ in range(tries):
            results = self.once(left)
            last |= {order.order_no: result for order, result in zip(left, results, strict=True)}
            left = [order for order, result in zip(left, results, strict=True) if not _is_final(result)]
            if not left:
                break
            self._settled()
        return [last[order.order_no] for order in orders]

    def _record(self, order: Order, result: Result) -> None:
        if isinstance(result, Receipt):
            self._applied[order.order_no] = max(order.version, self._applied.get(order.order_no, 0))
            self._doubted.discard(order.order_no)
        elif isinstance(result, OutcomeUnknown) or (isinstance(result, Postponed) and result.begun):
            self._doubted.add(order.order_no)


def order_on(path: Sequence[Status], number: str = "SO-1", **fields: Any) -> Order:
    """The order at the end of a path."""
    known = {"order_no": number, "status": path[-1], "version": len(path), "lines": LINES}
    return make_order(**known | {"channel_order_no": f"JD-{number}"} | fields)


def shown_at(path: Sequence[Status], applied: Sequence[int]) -> str | None:
    """The status that Kingdee is to show once these versions of a path were applied, None for no order."""
    met = {path[version - 1] for version in applied}
    left = bool(met & {Status.SHIPPED, Status.COMPLETED})
    if not left and not met & {Status.PAID, Status.PICKING}:
        return None
    if path[-1] in {Status.CANCELLED, Status.REFUNDED}:
        return "refunded" if left else "cancelled"
    return "paid" if path[-1] is Status.PICKING else str(path[-1])


def effects(stand: Stand) -> Counter[tuple[str, str, str]]:
    """How often each effect is in the journal, by bill."""
    return Counter((row["effect"], row["kind"], row["number"]) for row in stand.vendor.journal())


def twice(stand: Stand) -> dict[tuple[str, str, str], int]:
    """What happened more than once to a bill, and forms of which there are more bills than orders."""
    found = effects(stand)
    again = {effect: times for effect, times in found.items() if times > 1 and effect[0] not in _REPEATED}
    bills = Counter(kind for kind, _ in {(kind, number) for _, kind, number in found})
    return again | {("bills", kind, ""): times for kind, times in bills.items() if times > bills["SAL_SaleOrder"]}


def called(stand: Stand, meant: Callable[[str], None] = lambda _step: None) -> list[str]:
    """The services that are called from now on; `meant` hears of each before it is answered."""
    calls: list[str] = []
    step_of = stand.vendor.step_of

    def noted(arrived: Any) -> str:
        calls.append(step_of(arrived))
        meant(calls[-1])
        return calls[-1]

    stand.vendor.step_of = noted  # type: ignore[method-assign]
    return calls


def _is_final(result: Result) -> bool:
    return isinstance(result, (Receipt, Rejected))
