"""Orders as records of 纷享销客, there and back: numbers are text, moments are milliseconds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from hub.interfaces.fxiaoke_map import FieldMap
from hub.schemas.facts import LineFacts, OrderFacts
from hub.schemas.money import yuan_from_fen
from hub.schemas.order import Order
from hub.vendors import crm_records
from hub.vendors.crm_records import Read, Record
from hub.vendors.fxiaoke import DEEPEST
from hub.vendors.json_body import text, whole

_MOST_LINES = 1000
"""Of an order whose record does not say how many it has."""


def order_record(order: Order, fields: FieldMap, *, with_receiver: bool) -> Record:
    """The fields of an order itself, as they change with its versions."""
    names = fields.order
    receiver = crm_records.receiver_fields(order.receiver, names) if with_receiver and order.receiver else {}
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


def shown_version(record: Read, fields: FieldMap) -> int:
    """The version that a record shows, 0 where somebody wrote something else there."""
    version = whole(record.get(fields.order.version))
    return version if isinstance(version, int) else 0


def order_facts(record: Read, lines: Sequence[Read], fields: FieldMap) -> OrderFacts:
    """An order as its records show it."""
    vip = record.get(fields.order.vip) in {True, "true"}
    return crm_records.order_facts(record, line_facts(lines, fields), fields.order, fields.words, vip=vip)


def few_enough(records: Sequence[Read], fields: FieldMap) -> Iterator[list[str]]:
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


def line_facts(lines: Sequence[Read], fields: FieldMap) -> tuple[LineFacts, ...]:
    """The lines of an order by their positions."""
    return crm_records.line_facts(lines, fields.line, "_id")


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
