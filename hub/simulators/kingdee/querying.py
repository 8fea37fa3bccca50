"""`ExecuteBillQuery`, `BillQuery` and `View`: what a bill shows.

A query has a row for each line where a key of a line is asked for, and then the keys of the head repeat.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from hub.simulators.kingdee.books import Books, link_value
from hub.simulators.kingdee.filters import Condition, holds, keys, parse, within
from hub.simulators.kingdee.forms import VERSION, Field, Form
from hub.simulators.kingdee.results import NO_SUCH_FIELD, WRONG_PARAMETER, Refused, listed
from hub.simulators.kingdee.values import inner_id, shown
from hub.simulators.store import Document

MOST_ROWS = 2000

_SERIAL = Field("FID", "", False, False, "integer")


@dataclass(frozen=True)
class Column:
    """A key that was asked for, found in its form; `detail` is what follows the dot."""

    field: Field
    detail: str = ""


@dataclass(frozen=True)
class Query:
    """What is asked of one form."""

    columns: Mapping[str, Column]
    """Of every key that is shown, filtered or ordered by."""
    shown: list[str]
    condition: Condition
    order: list[tuple[str, bool]]
    """Keys, and whether they fall."""


def rows(books: Books, form: Form, data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The page that was asked for: keys, as they were asked for, with their values."""
    query = _query(form, data)
    start, limit = _number(data, "StartRow"), _number(data, "Limit") or MOST_ROWS
    found = [row for bill in _candidates(books, form, query.condition) for row in _rows_of(form, bill, query)]
    found = [row for row in found if holds(query.condition, row.__getitem__)]
    for key, falls in reversed(query.order):
        found.sort(key=lambda row: (row[key] is not None, row[key]), reverse=falls)
    if top := _number(data, "TopRowCount"):
        found = found[:top]
    page = found[start : start + min(limit, MOST_ROWS)]
    return [{key: row[key] for key in query.shown} for row in page]


def view(form: Form, document: Document) -> dict[str, Any]:
    """A whole bill with the names of the inner properties: keys without their first letter."""
    content = document.content
    found: dict[str, Any] = {"Id": document.serial} | _properties(form.of(""), content)
    for section in form.sections:
        found[section[1:]] = [_properties(form.of(section), content[section])]
    for entry in form.rows:
        found[entry[1:]] = [
            {"Id": row["FEntryID"], "Seq": place} | _properties(form.of(entry), row)
            for place, row in enumerate(content[entry], 1)
        ]
    return found


def _properties(fields: list[Field], values: Mapping[str, Any]) -> dict[str, Any]:
    return {_property(field.key): _property_value(field, values.get(field.key)) for field in fields}


def _property(key: str) -> str:
    return key if key == VERSION else key[1:]


def _property_value(field: Field, value: Any) -> Any:
    if field.reference:
        return {"Id": inner_id(value), "Number": value} if value else None
    return shown(field, value)


def _query(form: Form, data: Mapping[str, Any]) -> Query:
    asked = [str(key) for key in listed(data.get("FieldKeys"))]
    if not asked:
        raise Refused(WRONG_PARAMETER, "参数错误：FieldKeys")
    condition = parse(str(data.get("FilterString") or ""))
    order = [_ordered(part) for part in listed(data.get("OrderString"))]
    every = [*asked, *keys(condition), *(key for key, _ in order)]
    return Query({key: _column(form, key) for key in every}, asked, condition, order or [])


def _ordered(part: str) -> tuple[str, bool]:
    found = re.fullmatch(r"([\w.]+)(?:\s+(asc|desc))?", part.strip(), re.IGNORECASE)
    if found is None:
        raise Refused(WRONG_PARAMETER, "参数错误：OrderString")
    return found[1], (found[2] or "").lower() == "desc"


def _column(form: Form, key: str) -> Column:
    name, _, detail = key.partition(".")
    low = name.lower()
    if low == "fid":
        return Column(_SERIAL)
    for entry in form.rows:
        if low in {f"{entry}_fentryid".lower(), f"{entry}_fseq".lower()}:
            return Column(Field("FEntryID" if low.endswith("entryid") else "FSeq", entry, False, False, "integer"))
    if form.links and low.startswith(f"{form.links}_".lower()):
        return Column(Field(name, form.entry, False, False, "link"))
    if low not in form.fields:
        raise Refused(NO_SUCH_FIELD, f"元数据中标识为{name}的字段不存在", name)
    return Column(form.fields[low], detail)


def _candidates(books: Books, form: Form, condition: Condition) -> list[Document]:
    """Bills outside of which the condition does not hold, found by what is indexed where that can be."""
    request, kind = books.request, form.form_id
    if (numbers := within(condition, "FBillNo")) is not None:
        return request.numbered(kind, numbers)
    if (serials := within(condition, "FID")) is not None:
        return [bill for serial in sorted(serials) if (bill := books.at(form, serial))]
    for key in form.orders:
        if (named := within(condition, key)) is not None:
            return request.named(kind, named)
    return request.all(kind)


def _rows_of(form: Form, bill: Document, query: Query) -> Iterator[dict[str, Any]]:
    used = sorted({column.field.part for column in query.columns.values()} & set(form.rows))
    lists = [list(enumerate(bill.content[entry], 1)) or [(0, {})] for entry in used]
    for chosen in product(*lists):
        at = dict(zip(used, chosen, strict=True))
        yield {key: _value(form, bill, column, at) for key, column in query.columns.items()}


def _value(form: Form, bill: Document, column: Column, at: Mapping[str, tuple[int, dict[str, Any]]]) -> Any:
    field = column.field
    if field.key == "FID":
        return bill.serial
    if field.part not in at:
        place = bill.content[field.part] if field.part else bill.content
        return shown(field, place.get(field.key), column.detail)
    sequence, row = at[field.part]
    if field.key == "FSeq":
        return sequence
    if field.kind == "link":
        return next((link_value(link, field.key.rpartition("_")[2]) for link in row.get(form.links) or ()), None)
    return shown(field, row.get(field.key), column.detail)


def _number(data: Mapping[str, Any], key: str) -> int:
    given = str(data.get(key) or 0)
    if not given.isdecimal():
        raise Refused(WRONG_PARAMETER, f"参数错误：{key}")
    return int(given)
