"""The list of sales orders: conditions, order and pages.

Without `isSum` an order is as many rows as it has lines: the fields of the line beside those of the head, which win
where both have one. By itself the newest order comes first.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import replace
from itertools import accumulate
from typing import Any

from hub.simulators.search import Condition, Operator, Search, Sorting, WrongField
from hub.simulators.store import Document, Request
from hub.simulators.yonbip.answers import business_error
from hub.simulators.yonbip.bills import LINES, head_shown, nested

KIND = "voucherorder"
MOST_ROWS = 500
COLUMNS = {"code": "number"}
_OPERATORS: dict[str, Operator] = {
    "eq": "IN",
    "in": "IN",
    "neq": "NOT IN",
    "nin": "NOT IN",
    "lt": "<",
    "gt": ">",
    "elt": "<=",
    "egt": ">=",
    "like": "HAS",
}


def listed(request: Request, body: Mapping[str, Any]) -> dict[str, Any]:
    """The page that is asked for; raises a Refusal."""
    index, size = _number(body, "pageIndex"), _number(body, "pageSize")
    if size > MOST_ROWS:
        raise business_error(f"pageSize不能超过{MOST_ROWS}")
    search = Search(KIND, tuple(_conditions(body)), tuple(_sortings(body)), columns=COLUMNS)
    try:
        page = _heads if body.get("isSum") is True else _lines
        total, rows = page(request, search, (index - 1) * size, size)
    except WrongField as error:
        raise business_error(f"字段{error}不存在") from None
    pages = -(-total // size)
    return {"pageIndex": index, "pageSize": size, "recordCount": total, "pageCount": pages, "recordList": rows}


def _heads(request: Request, search: Search, start: int, size: int) -> tuple[int, list[dict[str, Any]]]:
    page = replace(search, limit=size, offset=start)
    return request.count(search), [head_shown(bill.content) for bill in request.search(page)]


def _lines(request: Request, search: Search, start: int, size: int) -> tuple[int, list[dict[str, Any]]]:
    ends = list(accumulate(request.lengths(search, LINES)))
    first, last = bisect_right(ends, start), bisect_left(ends, start + size)
    bills = request.search(replace(search, limit=last - first + 1, offset=first))
    skipped = start - (ends[first - 1] if first else 0)
    rows = [row for bill in bills for row in _row_per_line(bill)]
    return ends[-1] if ends else 0, rows[skipped : skipped + size]


def _row_per_line(bill: Document) -> list[dict[str, Any]]:
    head = head_shown(bill.content)
    return [nested(line) | head | {"orderDetailId": line["id"]} for line in bill.content[LINES]]


def _conditions(body: Mapping[str, Any]) -> list[Condition]:
    found = [condition for told in body.get("simpleVOs") or [] for condition in _simple(told)]
    return [*found, Condition("code", "=", body["code"])] if body.get("code") else found


def _simple(told: Mapping[str, Any]) -> list[Condition]:
    field, operator, value = str(told.get("field", "")).replace(".", "!"), told.get("op"), told.get("value1")
    if operator == "between":
        return [Condition(field, ">=", value), Condition(field, "<=", told.get("value2"))]
    if operator not in _OPERATORS:
        raise business_error(f"比较符{operator}不支持")
    if operator in {"eq", "neq", "in", "nin"}:
        values = value if isinstance(value, list) else [value]
        return [Condition(field, _OPERATORS[operator], [each for one in values for each in _either(one)])]
    return [Condition(field, _OPERATORS[operator], value)]


def _sortings(body: Mapping[str, Any]) -> list[Sorting]:
    told = body.get("queryOrders") or [{"field": "id", "order": "desc"}]
    return [Sorting(str(each.get("field", "")).replace(".", "!"), each.get("order") == "desc") for each in told]


def _either(value: Any) -> list[Any]:
    """A number may be given as text, and was perhaps kept as the other."""
    if isinstance(value, str) and value.isdecimal() and str(int(value)) == value:
        return [value, int(value)]
    return [value, str(value)] if isinstance(value, int) else [value]


def _number(body: Mapping[str, Any], name: str) -> int:
    value = body.get(name)
    if not isinstance(value, int | str) or not str(value).isdecimal() or int(value) < 1:
        raise business_error(f"{name}不能为空")
    return int(value)
