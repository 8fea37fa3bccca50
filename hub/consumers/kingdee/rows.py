"""Rows of a query as bills. A row is an entry of a bill, and what its head says stands in each of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from itertools import groupby
from typing import Any

from hub.consumers.kingdee.state import STAGES, Bill, Content, SaleLine, Stage
from hub.errors import OutcomeUnknown
from hub.vendors.kingdee.answers import Row
from hub.vendors.kingdee.envelopes import Form

ENTRY = "FSaleOrderEntry_FEntryID"
SOURCES = {Form.OUTSTOCK: "FSoorDerno", Form.RECEIVABLE: "FSourceBillNo", Form.RETURN: "FSrcBillNo"}
"""The field of an entry that names what a bill was pushed from."""

_HEAD = ("FID", "FBillNo", "FDocumentStatus", "FCancelStatus")
_SALE = (
    "FNetOrderBillNo",
    "FSettleCurrId.FNumber",
    "FMRPFreezeStatus",
    ENTRY,
    "FMaterialId.FNumber",
    "FQty",
    "FTaxPrice",
    "FSOStockId.FNumber",
)
_CANCELLED = _FROZEN = "B"

Sale = tuple[Bill, Content]


def sale_keys(version_field: str) -> tuple[str, ...]:
    """What is asked of sales orders."""
    return (*_HEAD, *_SALE, *([version_field] if version_field else []))


def pushed_keys(form: Form, version_field: str) -> tuple[str, ...]:
    """What is asked of bills that are pushed."""
    return (*_HEAD, SOURCES[form], *([version_field] if version_field else []))


def sales(keys: Sequence[str], found: Iterable[Row]) -> dict[str, Sale]:
    """Sales orders by number, from rows that are sorted by it."""
    named = [_named(keys, row) for row in found]
    return {number: _sale([*group], keys) for number, group in groupby(named, key=_number)}


def pushed(keys: Sequence[str], found: Iterable[Row], form: Form) -> list[Bill]:
    """Bills that were pushed and are not cancelled, by number."""
    named = [_named(keys, row) for row in found]
    groups = groupby(sorted(named, key=_number), key=_number)
    bills = (_pushed([*group], keys, SOURCES[form]) for _, group in groups)
    return [bill for bill in bills if not bill.cancelled]


def _sale(entries: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> Sale:
    head = entries[0]
    frozen = any(entry["FMRPFreezeStatus"] == _FROZEN for entry in entries)
    ordered = sorted(entries, key=lambda entry: _decimal(entry[ENTRY]))
    lines = tuple(_line(entry) for entry in ordered)
    content = Content(_text(head["FNetOrderBillNo"]), _text(head["FSettleCurrId.FNumber"]), lines)
    return _bill(head, keys, frozen=frozen), content


def _line(entry: Mapping[str, Any]) -> SaleLine:
    fen = _decimal(entry["FTaxPrice"]) * 100
    material, stock = _text(entry["FMaterialId.FNumber"]), _text(entry["FSOStockId.FNumber"])
    return SaleLine(material, _decimal(entry["FQty"]), fen, stock)


def _pushed(entries: Sequence[Mapping[str, Any]], keys: Sequence[str], source: str) -> Bill:
    sources = tuple(dict.fromkeys(text for entry in entries if (text := _text(entry[source]))))
    return _bill(entries[0], keys, sources=sources)


def _bill(head: Mapping[str, Any], keys: Sequence[str], *, frozen: bool = False, sources: tuple[str, ...] = ()) -> Bill:
    # The version field is the last one asked for, where there is one.
    version = head[keys[-1]] if keys[-1] not in {*_SALE, *SOURCES.values()} else 0
    cancelled = _text(head["FCancelStatus"]) == _CANCELLED
    stage = _stage(head["FDocumentStatus"])
    return Bill(_text(head["FID"]), _number(head), stage, int(_decimal(version)), cancelled, frozen, sources)


def _named(keys: Sequence[str], row: Row) -> Mapping[str, Any]:
    if len(row) != len(keys):
        raise OutcomeUnknown(f"Kingdee answered with {len(row)} values a row, and {len(keys)} were asked for")
    return dict(zip(keys, row, strict=True))


def _number(head: Mapping[str, Any]) -> str:
    return _text(head["FBillNo"])


def _stage(letter: Any) -> Stage:
    if (stage := STAGES.get(_text(letter))) is None:
        raise OutcomeUnknown("Kingdee shows a document status that is none")
    return stage


def _decimal(value: Any) -> Decimal:
    try:
        found = Decimal(str(value or 0).strip() or 0)
    except InvalidOperation:
        raise OutcomeUnknown("Kingdee shows a number that is none") from None
    if not found.is_finite():
        raise OutcomeUnknown("Kingdee shows a number that is none")
    return found


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()
