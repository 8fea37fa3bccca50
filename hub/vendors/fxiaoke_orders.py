"""Orders as records of 纷享销客, there and back: numbers are text, moments are milliseconds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from hub.interfaces.fxiaoke_map import FieldMap
from hub.schemas.facts import LineFacts, OrderFacts
from hub.schemas.money import yuan_from_fen
from hub.schemas.order import Order, Receiver
from hub.vendors.fxiaoke import DEEPEST
from hub.vendors.json_body import fen, text, whole

_MOST_LINES = 1000
"""Of an order whose record does not say how many it has."""

Record = dict[str, object]


def order_record(order: Order, fields: FieldMap, *, with_receiver: bool) -> Record:
    """The fields of an order itself, as they change with its versions."""
    names = fields.order
    receiver = _receiver(order.receiver, fields) if with_receiver and order.receiver else {}
    return {
        names.order_no: order.order_no,
        names.version: str(order.version),
        names.status: fields.words[order.status],
        names.customer_id: order.customer_id,
        names.channel: order.channel,
        names.shop: order.shop,
        names.channel_order_no: order.channel_order_no,
        names.total: yuan_from_fen(order.total),
        names.currency: order.currency,
        names.vip: order.vip,
        names.warehouse: order.warehouse,
        names.placed_at: _milliseconds(order.placed_at),
        names.changed_at: _milliseconds(order.changed_at),
        names.line_count: str(len(order.lines)),
        **receiver,
    }


def line_records(order: Order, fields: FieldMap) -> list[Record]:
    """The fields of its lines."""
    names = fields.line
    return [
        {
            names.product: fields.products.get(line.sku, line.sku),
            names.quantity: str(line.quantity),
            names.unit_price: yuan_from_fen(line.unit_price),
            names.position: str(position),
            names.sku: line.sku,
            names.name: line.name,
        }
        for position, line in enumerate(order.lines, start=1)
    ]


def shown_version(record: Mapping[str, Any], fields: FieldMap) -> int:
    """The version that a record shows, 0 where somebody wrote something else there."""
    version = whole(record.get(fields.order.version))
    return version if isinstance(version, int) else 0


def order_facts(record: Mapping[str, Any], lines: Sequence[Mapping[str, Any]], fields: FieldMap) -> OrderFacts:
    """An order as its records show it. A word or number that means nothing to the hub stays as it is."""
    names, meant = fields.order, {word: status for status, word in fields.words.items()}
    shown = text(record.get(names.status))
    return OrderFacts(
        order_no=text(record.get(names.order_no)),
        version=whole(record.get(names.version)),
        status=meant.get(shown, shown),
        channel=text(record.get(names.channel)),
        shop=text(record.get(names.shop)),
        channel_order_no=text(record.get(names.channel_order_no)),
        customer_id=text(record.get(names.customer_id)),
        vip=record.get(names.vip) in {True, "true"},
        warehouse=text(record.get(names.warehouse)) or None,
        currency=text(record.get(names.currency)),
        total=fen(record.get(names.total)),
        lines=line_facts(lines, fields),
    )


def few_enough(records: Sequence[Mapping[str, Any]], fields: FieldMap) -> Iterator[list[str]]:
    """Ids of orders, so many at once that all their lines can be reached by offset."""
    group: list[str] = []
    lines = 0
    for record in records:
        count = whole(record.get(fields.order.line_count))
        count = count if isinstance(count, int) else _MOST_LINES
        if group and lines + count > DEEPEST:
            yield group
            group, lines = [], 0
        group.append(text(record.get("_id")))
        lines += count
    if group:
        yield group


def line_facts(lines: Sequence[Mapping[str, Any]], fields: FieldMap) -> tuple[LineFacts, ...]:
    """The lines of an order by their positions."""
    return tuple(_line(each, fields) for each in sorted(lines, key=lambda each: _position(each, fields)))


def _line(record: Mapping[str, Any], fields: FieldMap) -> LineFacts:
    names = fields.line
    return LineFacts(
        text(record.get(names.sku)),
        text(record.get(names.name)),
        whole(record.get(names.quantity)),
        fen(record.get(names.unit_price)),
    )


def _position(record: Mapping[str, Any], fields: FieldMap) -> tuple[int, str]:
    position = whole(record.get(fields.line.position))
    return (position if isinstance(position, int) else 0, text(record.get("_id")))


def _receiver(receiver: Receiver, fields: FieldMap) -> Record:
    names = fields.order
    places = (receiver.province, receiver.city, receiver.district, receiver.address)
    return {
        names.receiver_name: receiver.name,
        names.receiver_phone: receiver.phone,
        names.receiver_address: " ".join(place for place in places if place),
    }


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
