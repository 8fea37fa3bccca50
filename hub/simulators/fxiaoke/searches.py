"""A `search_query_info` as a search among documents, or what is wrong with it. Pure.

Values are always text in a list. A field that holds moments (milliseconds) compares as a number, any other as text.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from hub.simulators.fxiaoke.answers import refusal, wrong
from hub.simulators.search import Condition, Operator, Search, Sorting

MOST_ROWS = 100
DEEPEST = 10_000
COLUMNS = {"_id": "number"}
_OPERATORS: dict[str, Operator] = {
    "EQ": "=",
    "N": "!=",
    "IN": "IN",
    "NIN": "NOT IN",
    "GT": ">",
    "GTE": ">=",
    "LT": "<",
    "LTE": "<=",
    "LIKE": "HAS",
}
_USUAL_ORDER = [{"fieldName": "last_modified_time", "isAsc": False}]
# What was made void is in the bin and no longer found.
_ALIVE = Condition("is_deleted", "!=", True)


def search_of(kind: str, told: Mapping[str, Any], moments: Collection[str]) -> Search:
    """The search; `moments` are the fields that hold numbers. Raises a Refusal."""
    limit, offset = told.get("limit"), told.get("offset")
    if not _is_count(limit) or not 1 <= int(limit or 0) <= MOST_ROWS:
        raise wrong(f"limit: 1 - {MOST_ROWS}")
    if not _is_count(offset) or int(offset or 0) % int(limit or 1):
        raise wrong("offset必须是limit的整数倍")
    if int(offset or 0) > DEEPEST:
        raise refusal("too_deep")
    conditions = [each for one in _list(told, "filters") for each in _conditions(one, moments)]
    sortings = [_sorting(each) for each in _list(told, "orders") or _USUAL_ORDER]
    return Search(kind, (_ALIVE, *conditions), tuple(sortings), int(limit or 0), int(offset or 0), COLUMNS)


def projected(record: Mapping[str, Any], fields: object) -> dict[str, Any]:
    """The fields that were asked for, or all; what is empty is not sent."""
    if fields is not None and not isinstance(fields, list):
        raise wrong("fieldProjection必须是列表")
    return {name: value for name, value in record.items() if value is not None and (not fields or name in fields)}


def _conditions(told: Mapping[str, Any], moments: Collection[str]) -> list[Condition]:
    field, operator, values = told.get("field_name"), told.get("operator"), told.get("field_values")
    if not isinstance(field, str) or not isinstance(values, list):
        raise wrong("filters: field_name, field_values[], operator")
    if operator in {"IS", "ISN"}:
        return [Condition(field, "=" if operator == "IS" else "!=", None)]
    typed = [_typed(value, field in moments) for value in values]
    if operator == "BETWEEN" and len(typed) == 2:
        return [Condition(field, ">=", typed[0]), Condition(field, "<=", typed[1])]
    if operator not in _OPERATORS or not typed:
        raise wrong(f"operator不支持: {operator}")
    return [Condition(field, _OPERATORS[operator], typed if operator in {"IN", "NIN"} else typed[0])]


def _typed(value: Any, moment: bool) -> Any:
    if not moment or isinstance(value, bool):
        return value if isinstance(value, bool) else str(value)
    if not str(value).isdecimal():
        raise wrong("时间必须是毫秒时间戳")
    return int(value)


def _sorting(told: Mapping[str, Any]) -> Sorting:
    if not isinstance(told.get("fieldName"), str) or not isinstance(told.get("isAsc"), bool):
        raise wrong("orders: fieldName, isAsc")
    return Sorting(told["fieldName"], descending=not told["isAsc"])


def _list(told: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = told.get(name)
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise wrong(f"{name}必须是列表")
    return found


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
