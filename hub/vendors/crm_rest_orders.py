"""Orders as records of a CRM in the style of Salesforce, there and back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from hub.interfaces.crm_rest_map import FieldMap
from hub.schemas.facts import OrderFacts
from hub.schemas.money import yuan_from_fen
from hub.schemas.order import Order
from hub.vendors import crm_records
from hub.vendors.crm_records import Read, Record


def order_record(order: Order, fields: FieldMap, *, with_receiver: bool) -> Record:
    """The record of an order itself; amounts are yuan as text, moments ISO 8601 in UTC."""
    names = fields.order
    receiver = crm_records.receiver_fields(order.receiver, names) if with_receiver and order.receiver else {}
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


def order_facts(record: Read, lines: Sequence[Read], fields: FieldMap) -> OrderFacts:
    """An order as its records show it."""
    names = fields.order
    found = crm_records.line_facts(lines, fields.line, fields.line.line_no)
    return crm_records.order_facts(record, found, names, fields.words, vip=record.get(names.vip) is True)


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
