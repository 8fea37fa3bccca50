"""What the records of any CRM have in common: fields by the names of its field map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hub.interfaces.crm_map import LineNames, OrderNames
from hub.schemas.facts import LineFacts, OrderFacts
from hub.schemas.order import Receiver
from hub.vendors.json_body import fen, text, whole

Record = dict[str, object]
Read = Mapping[str, Any]


def order_facts(
    record: Read, lines: tuple[LineFacts, ...], names: OrderNames, words: Mapping[str, str], *, vip: bool
) -> OrderFacts:
    """An order as its record shows it; `words` has the CRM's word for each status.

    A word or number that means nothing to the hub stays as it is. CRMs differ in how they say yes: `vip` is read.
    """
    meant = {word: status for status, word in words.items()}
    shown = text(record.get(names.status))
    return OrderFacts(
        order_no=text(record.get(names.order_no)),
        version=whole(record.get(names.version)),
        status=meant.get(shown, shown),
        channel=text(record.get(names.channel)),
        shop=text(record.get(names.shop)),
        channel_order_no=text(record.get(names.channel_order_no)),
        customer_id=text(record.get(names.customer_id)),
        vip=vip,
        warehouse=text(record.get(names.warehouse)) or None,
        currency=text(record.get(names.currency)),
        total=fen(record.get(names.total)),
        lines=lines,
    )


def line_facts(records: Sequence[Read], names: LineNames, record_id: str) -> tuple[LineFacts, ...]:
    """Lines by their positions, and by the field `record_id` where somebody gave two the same."""
    ordered = sorted(records, key=lambda record: (_position(record, names), text(record.get(record_id))))
    return tuple(_line(record, names) for record in ordered)


def receiver_fields(receiver: Receiver, names: OrderNames) -> Record:
    """Who receives, and where, on one line."""
    places = (receiver.province, receiver.city, receiver.district, receiver.address)
    return {
        names.receiver_name: receiver.name,
        names.receiver_phone: receiver.phone,
        names.receiver_address: " ".join(place for place in places if place),
    }


def _line(record: Read, names: LineNames) -> LineFacts:
    return LineFacts(
        text(record.get(names.sku)),
        text(record.get(names.name)),
        whole(record.get(names.quantity)),
        fen(record.get(names.unit_price)),
    )


def _position(record: Read, names: LineNames) -> int:
    position = whole(record.get(names.position))
    return position if isinstance(position, int) else 0
