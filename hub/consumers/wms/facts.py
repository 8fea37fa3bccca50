"""A delivery order as the facts that both sides are compared by. What a warehouse does not keep is left empty."""

from __future__ import annotations

from typing import Any

from hub.consumers.wms.plan import WORDS
from hub.errors import OutcomeUnknown
from hub.interfaces.wms import Qimen
from hub.schemas.facts import LineFacts, OrderFacts
from hub.schemas.money import fen_from_yuan
from hub.vendors.qimen_answers import DeliveryOrder, Line
from hub.vendors.qimen_requests import warehouse_of


def facts_of(order_no: str, shown: DeliveryOrder, settings: Qimen) -> OrderFacts:
    """The facts; a status that has no word in the OMS stands as it is, and an amount not given back is None."""
    return OrderFacts(
        order_no=order_no,
        version=shown.version,
        status=str(WORDS.get(shown.status, shown.status)),
        channel="",
        shop="",
        channel_order_no="",
        customer_id="",
        vip=False,
        warehouse=_warehouse(shown, settings),
        currency="",
        total=_fen(shown.total),
        lines=tuple(map(_line, shown.lines)),
    )


def _warehouse(shown: DeliveryOrder, settings: Qimen) -> str | None:
    if shown.version:
        # The WMS gives back what it was told: where no warehouse was named, any is right.
        return (shown.named and (warehouse_of(shown.warehouse, settings) or shown.warehouse)) or None
    return warehouse_of(shown.warehouse, settings)


def _line(line: Line) -> LineFacts:
    unsaid: Any = None
    return LineFacts(line.item, line.name, line.planned if line.planned is not None else unsaid, unsaid)


def _fen(yuan: str | None) -> Any:
    if yuan is None:
        return None
    try:
        return fen_from_yuan(yuan)
    except ValueError as error:
        raise OutcomeUnknown(f"totalAmount: {error}") from error
