"""A warehouse behind Qimen (奇门): a delivery order for each order that is paid, called off where the order is.

Nothing is sent twice without having asked first: whether a delivery order is there, `deliveryorder.query` says.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from hub.calls.client import About, Client
from hub.consumers.in_turn import in_turn
from hub.consumers.over_http import OverHttp, about, reading_of, without_persons
from hub.consumers.system import Receipt, Result, Shown, Wanted
from hub.consumers.wms.facts import facts_of
from hub.consumers.wms.gateway import Gateway
from hub.consumers.wms.plan import Stage, Step, may_have_been_shipped, needed, stage_of
from hub.errors import DependencyDown, Rejected, SystemFailure, SystemUnread, Unfit
from hub.interfaces.wms import Qimen
from hub.schemas.facts import OrderFacts
from hub.schemas.order import Status
from hub.sides import EVERYTHING, Chosen, Numbers
from hub.vendors.qimen_answers import DeliveryOrder, Stock
from hub.vendors.qimen_requests import warehouse_code

_NO_RECEIVER = "a warehouse needs to know where the parcel goes: name a receiver"
_NOT_FOUND = "the WMS says that it has the delivery order, and does not find it"
_LATE_CREATE = (
    "the order is shipped and this WMS has called its delivery order off: to open it again would send the goods twice; "
    "if that is meant, set HUB_SYSTEMS__WMS__QIMEN__CREATE_SHIPPED"
)
_LATE_CANCEL = (
    "too late: the warehouse does not call it off any more; intercept the parcel, then retry or skip this order"
)
_STAYS_CANCELLED = "the WMS keeps the delivery order cancelled; open it there, or place a new order"
_CHANGED_THERE = (
    "the {} of the delivery order: not as the order has it, and Qimen cannot change that; "
    "cancel it at the WMS, then retry"
)
# Each has one status before it, and in that a delivery order is there.
_FROM_THERE = (Status.PICKING, Status.SHIPPED, Status.COMPLETED)


class QimenWms(OverHttp):
    """The WMS. Safe for many threads. Qimen lists no orders: it is asked for one at a time."""

    lists = False

    def __init__(self, settings: Qimen, client: Client) -> None:
        super().__init__("wms", client)
        self._settings = settings
        self._gateway = Gateway(settings, client)

    def apply(self, wanted: Sequence[Wanted], until: float = math.inf) -> list[Result]:
        """One order after the other; each is asked for first where it may be there already."""
        return in_turn(wanted, lambda item: self._brought(item, until), until)

    def look(self, order_numbers: Sequence[str], until: float = math.inf) -> list[Shown | SystemFailure]:
        """The version that the WMS gives back, 0 where it gives none or where the delivery order is called off."""
        return in_turn(order_numbers, lambda number: _shown(self._gateway.find(About(number, 0), until)), until)

    def facts(self, chosen: Chosen = EVERYTHING) -> Iterator[OrderFacts]:
        """The orders with these numbers, one call for each hundred lines. Only `Numbers` can be asked for."""
        if not isinstance(chosen, Numbers):
            raise SystemUnread(f"{self.name}: Qimen cannot list delivery orders; it is asked for order numbers")
        for number in sorted(set(chosen.numbers)):
            if (found := self._facts_of(number)) is not None:
                yield found

    def stock(self) -> Iterator[Stock]:
        """What is good to sell, one entry for each row of the WMS. Raises DependencyDown, also half-way."""
        with reading_of(self.name):
            yield from self._gateway.stock()

    def code_of(self, warehouse: str | None) -> str:
        """The WMS's code of a warehouse of the OMS's."""
        return warehouse_code(warehouse, self._settings)

    def ping(self) -> None:
        """One query for an order that is not there; raises DependencyDown where nobody who knows us answers."""
        try:
            self._gateway.ping()
        except SystemFailure as error:
            raise DependencyDown(f"{self.name}: {error}") from error

    def _brought(self, item: Wanted, until: float) -> Receipt:
        order = item.order
        if item.known_version > order.version:
            return Receipt(item.known_version, item.known_version, item.external_ref, heard=False)
        if order.status is Status.PENDING_PAYMENT or _went_on(item):
            return Receipt(order.version, item.known_version, item.external_ref, heard=False)
        if _is_new(item):
            return self._created(item, None, until)
        return self._compared(item, self._find(item, until), until)

    def _compared(self, item: Wanted, shown: DeliveryOrder | None, until: float) -> Receipt:
        """The receipt after the step that lacks between what is shown and what is wanted."""
        order, version = item.order, shown.version if shown else 0
        if version > order.version:
            return Receipt(version, version, _reference(shown))
        step = needed(
            order.status,
            _stage(shown),
            was_shipped=may_have_been_shipped(order.version, version),
            create_shipped=self._settings.create_shipped,
        )
        match step:
            case Step.CREATE:
                return self._created(item, shown, until)
            case Step.CANCEL:
                return self._cancelled(item, shown, until)
            case Step.REFUSE_LATE_CREATE:
                raise Rejected(_LATE_CREATE, "status")
            case Step.REFUSE_LATE_CANCEL:
                raise Rejected(_LATE_CANCEL, "status")
            case Step.NOTHING:
                _check_content(item, shown, self._settings)
                return _receipt(item, shown)

    def _created(self, item: Wanted, before: DeliveryOrder | None, until: float) -> Receipt:
        order = item.order
        if order.receiver is None:
            raise Unfit(_NO_RECEIVER, "receiver")
        made = self._gateway.create(item, until)
        if before is None and not made.was_there:
            # Whoever comes here has asked, or knows that the order was never made: nothing was shown.
            return Receipt(order.version, 0, made.delivery_order_id)
        # Some repeat a success and some refuse what they have, opened again or not: what counts is what they show.
        again = self._find(item)
        if again is None:
            raise Rejected(_NOT_FOUND, "order_no")
        if _stage(again) is Stage.CANCELLED:
            raise Rejected(_STAYS_CANCELLED, "status")
        return _receipt(item, again)

    def _cancelled(self, item: Wanted, shown: DeliveryOrder | None, until: float) -> Receipt:
        answer = self._gateway.cancel(item, until)
        # Some refuse also what they have called off before, and a wrong word must not pass for "it is not there".
        if answer.done or _stage(self._find(item)) in (Stage.CANCELLED, Stage.ABSENT):
            return _receipt(item, shown)
        raise Rejected(without_persons(f"{_LATE_CANCEL} (it says: {answer.said})", item.order), "status")

    def _find(self, item: Wanted, until: float = math.inf) -> DeliveryOrder | None:
        return self._gateway.find(about(item), until)

    def _facts_of(self, number: str) -> OrderFacts | None:
        with reading_of(self.name):
            shown = self._gateway.whole(number)
            return facts_of(number, shown, self._settings) if shown else None


def _is_new(item: Wanted) -> bool:
    """Whether nothing can be there yet: paid for the first time, and no call was ever in doubt."""
    known = item.shown is None and not item.rewrite and item.known_version <= 1
    return known and item.order.status is Status.PAID and item.order.version == 2


def _went_on(item: Wanted) -> bool:
    """Whether the delivery order is there for sure, and the order took the one step that is the warehouse's own."""
    known = item.shown is None and not item.rewrite and item.external_ref is not None
    return known and item.order.status in _FROM_THERE and item.order.version == item.known_version + 1


def _check_content(item: Wanted, shown: DeliveryOrder | None, settings: Qimen) -> None:
    """Somebody changed it there, and the OMS's word is to be put back: Rejected where it cannot be."""
    if not item.rewrite or shown is None or _stage(shown) is not Stage.OPEN:
        return
    ours = [(line.sku, line.quantity) for line in item.order.lines[: len(shown.lines)]]
    if [(line.item, line.planned) for line in shown.lines] != ours:
        raise Rejected(_CHANGED_THERE.format("lines"), "lines")
    if facts_of(item.order.order_no, shown, settings).warehouse != item.order.warehouse:
        raise Rejected(_CHANGED_THERE.format("warehouse"), "warehouse")


def _receipt(item: Wanted, shown: DeliveryOrder | None) -> Receipt:
    return Receipt(item.order.version, item.known_version, _reference(shown))


def _stage(shown: DeliveryOrder | None) -> Stage:
    return stage_of(shown.status) if shown else Stage.ABSENT


def _shown(found: DeliveryOrder | None) -> Shown:
    if found is None:
        return Shown(0)
    # What is called off shows no version at all: that at which it was made asked for the opposite.
    version = 0 if _stage(found) is Stage.CANCELLED else found.version
    return Shown(version, found.delivery_order_id)


def _reference(shown: DeliveryOrder | None) -> str | None:
    return shown.delivery_order_id if shown else None
