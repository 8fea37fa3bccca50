"""The orders that Kingdee shows, for the comparison: sales orders page by page, each page joined with what followed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from hub.calls.client import About
from hub.consumers.kingdee import rows
from hub.consumers.kingdee.bills import Bills
from hub.consumers.kingdee.field_map import FieldMap
from hub.consumers.kingdee.rows import Sale
from hub.consumers.kingdee.state import SaleLine, State, newest, status_of
from hub.consumers.over_http import batches
from hub.schemas.facts import LineFacts, OrderFacts
from hub.vendors.kingdee.answers import Row
from hub.vendors.kingdee.envelopes import Form, Query, quoted

_AT_ONCE = 100


def every(bills: Bills, field_map: FieldMap, version_field: str, listed: str) -> Iterator[OrderFacts]:
    """All orders that fulfil the condition `listed`, by number."""
    keys = rows.sale_keys(version_field)
    for sales in _pages(bills, keys, listed):
        yield from _facts(bills.joined(sales), field_map)


def some(bills: Bills, field_map: FieldMap, numbers: Sequence[str]) -> Iterator[OrderFacts]:
    """Those of these orders that are there, by number."""
    for chunk in batches(sorted(numbers), _AT_ONCE):
        yield from _facts(bills.states([About(number, 0) for number in chunk]), field_map)


def _pages(bills: Bills, keys: Sequence[str], listed: str) -> Iterator[Mapping[str, Sale]]:
    after = ""
    while True:
        conditions = [f"({listed})"] if listed else []
        conditions += [f"FBillNo > {quoted(after)}"] if after else []
        page = bills.page(Query(Form.SALE, keys, " and ".join(conditions), ("FBillNo", rows.ENTRY)))
        is_last = len(page) < bills.page_rows
        sales = rows.sales(keys, page if is_last else _whole(bills, keys, page))
        yield sales
        if is_last:
            return
        after = [*sales][-1]


def _whole(bills: Bills, keys: Sequence[str], page: Sequence[Row]) -> Sequence[Row]:
    """The rows of a full page without the order that its end may have cut; that one alone where it fills the page."""
    place = keys.index("FBillNo")
    cut = page[-1][place]
    whole = [row for row in page if row[place] != cut]
    return whole or [*bills.rows(Query(Form.SALE, keys, f"FBillNo = {quoted(str(cut))}", (rows.ENTRY,)))]


def _facts(states: Mapping[str, State], field_map: FieldMap) -> Iterator[OrderFacts]:
    for number in sorted(states):
        yield _fact(number, states[number], field_map)


def _fact(number: str, state: State, field_map: FieldMap) -> OrderFacts:
    content = state.content
    assert content is not None  # noqa: S101 - for the type checker: it was read with the sales order
    return OrderFacts(
        order_no=number,
        version=newest(state),
        status=str(status_of(state)),
        channel="",
        shop="",
        channel_order_no=content.channel_order_no,
        customer_id="",
        vip=False,
        warehouse=_warehouse(content.lines, field_map),
        currency=field_map.code_of(content.currency),
        total=_exact(sum((line.quantity * line.price for line in content.lines), Decimal())),
        lines=tuple(_line(line, field_map) for line in content.lines),
    )


def _line(line: SaleLine, field_map: FieldMap) -> LineFacts:
    return LineFacts(field_map.sku_of(line.material), "", _exact(line.quantity), _exact(line.price))


def _warehouse(lines: Sequence[SaleLine], field_map: FieldMap) -> str | None:
    return field_map.warehouse_of(lines[0].stock) if lines else None


def _exact(number: Decimal) -> int:
    """A whole number as such; a fraction, which the OMS never has, stays one and is a difference."""
    return int(number) if number == int(number) else number  # type: ignore[return-value]  # as the docstring says
