"""Orders as records of a CRM in the style of Salesforce, there and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from hub.interfaces.crm_rest_map import FieldMap
from hub.schemas.facts import LineFacts, OrderFacts
from hub.schemas.money import yuan_from_fen
from hub.schemas.order import Order, Receiver
from hub.vendors.json_body import fen, text, whole

Record = dict[str, object]


def order_record(order: Order, fields: FieldMap, *, with_receiver: bool) -> Record:
    """The record of an order itself; amounts are yuan as text, moments ISO 8601 in UTC."""
    names = fields.order
    receiver = _receiver(order.receiver, fields) if with_receiver and order.receiver else {}
    return {
        "attributes": {"type": names.object},
        names.order_no: order.order_no,
        names.version: order.version,
        names.status: fields.words[order.status],
        names.customer_id: order.customer_id,
        names.channel: order.channel,
        names.shop: order.shop,
        names.channel_order_no: order.channel_order_no,
        names.total: yuan_from_fen(order.total),
        names.currency: order.currency,
        names.vip: order.vip,
        names.warehouse: order.warehouse,
        names.placed_at: _moment(order.placed_at),
        names.changed_at: _moment(order.changed_at),
        names.line_count: len(order.lines),
        **receiver,
    }


def line_records(order: Order, fields: FieldMap) -> list[Record]:
    """The records of its lines; their external id is the order number with the position, from 1."""
    names = fields.line
    parent: Record = {names.relation: {fields.order.order_no: order.order_no}} if names.relation else {}
    return [
        {
            "attributes": {"type": names.object},
            names.line_no: f"{order.order_no}-{position}",
            names.order_no: order.order_no,
            names.position: position,
            names.sku: line.sku,
            names.name: line.name,
            names.quantity: line.quantity,
            names.unit_price: yuan_from_fen(line.unit_price),
            **parent,
        }
        for position, line in enumerate(order.lines, start=1)
    ]


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
        vip=record.get(names.vip) is True,
        warehouse=record.get(names.warehouse),
        currency=text(record.get(names.currency)),
        total=fen(record.get(names.total)),
        lines=tuple(_line(each, fields) for each in sorted(lines, key=lambda each: _position(each, fields))),
    )


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
    return (position if isinstance(position, int) else 0, text(record.get(fields.line.line_no)))


def _receiver(receiver: Receiver, fields: FieldMap) -> Record:
    names = fields.order
    places = (receiver.province, receiver.city, receiver.district, receiver.address)
    return {
        names.receiver_name: receiver.name,
        names.receiver_phone: receiver.phone,
        names.receiver_address: " ".join(place for place in places if place),
    }


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
