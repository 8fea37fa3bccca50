"""Objects and their records: types of fields, fields that must be there, upsert by external id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from hub import clock
from hub.simulators.crm_rest.answers import Refusal, malformed
from hub.simulators.crm_rest.soql import moment
from hub.simulators.search import Condition, Search, WrongField
from hub.simulators.store import Document, Request

COLUMNS = {"Id": "number"}
OWN = ("Id", "CreatedDate", "LastModifiedDate", "SystemModstamp", "attributes")
LONGEST_TEXT = 131_072
DESCRIPTION = "sObject"


def matching(request: Request, kind: str, field: str, value: str) -> list[Document]:
    """The records that an external id leads to; it may have been written as a number."""
    values: list[str | int] = [value, int(value)] if value.isdecimal() and str(int(value)) == value else [value]
    try:
        return request.search(Search(kind, (Condition(field, "IN", values),), columns=COLUMNS))
    except WrongField:
        raise Refusal(404, "NOT_FOUND", f"Provided external ID field does not exist: {field}") from None


def create(request: Request, kind: str, fields: Mapping[str, Any]) -> Document:
    """A new record with an id of its own."""
    fields = _related(request, fields)
    _check(request, kind, fields, created=True)
    now = moment(clock.utcnow())
    content = {name: value for name, value in fields.items() if value is not None}
    stamps = {"CreatedDate": now, "LastModifiedDate": now, "SystemModstamp": now}
    return request.create(kind, f"a00{uuid4().hex[:15]}", content | stamps)


def change(request: Request, record: Document, fields: Mapping[str, Any]) -> bool:
    """Write fields into a record; whether that changed anything."""
    fields = _related(request, fields)
    _check(request, record.kind, fields, created=False)
    if all(record.content.get(name) == value for name, value in fields.items()):
        return False
    now = moment(clock.utcnow())
    merged = record.content | dict(fields) | {"LastModifiedDate": now, "SystemModstamp": now}
    record.content = {name: value for name, value in merged.items() if value is not None}
    request.keep(record)
    return True


def require(request: Request, kind: str, fields: list[str]) -> None:
    """Fields that every record of a kind must have from now on."""
    described = _description(request, kind)
    described.content["required"] = fields
    request.keep(described)


def shown(record: Document, fields: tuple[str, ...] | None, version: str) -> dict[str, Any]:
    """A record as it is read: with these fields, or all of them."""
    url = f"/services/data/{version}/sobjects/{record.kind}/{record.number}"
    content = {"Id": record.number, **record.content}
    chosen = content if fields is None else {name: content.get(name) for name in fields}
    return {"attributes": {"type": record.kind, "url": url}, **chosen}


def _related(request: Request, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields, where a parent named by its external id, as `{"Order__r": {"Order_No__c": "1"}}`, is its id."""
    return dict(
        _parent(request, name, value) if name.endswith("__r") else (name, value) for name, value in fields.items()
    )


def _parent(request: Request, name: str, value: Any) -> tuple[str, str]:
    kind = f"{name[:-1]}c"
    if not isinstance(value, dict) or len(value) != 1:
        raise malformed(f"{name}: one external id of the {kind} is wanted")
    key, wanted = next(iter(value.items()))
    parents = matching(request, kind, key, str(wanted))
    if len(parents) != 1:
        message = f"Foreign key external ID: {wanted} not found for field {key} in entity {kind}"
        raise Refusal(400, "INVALID_FIELD", message)
    return kind, parents[0].number


def _check(request: Request, kind: str, fields: Mapping[str, Any], *, created: bool) -> None:
    described = _description(request, kind)
    if own := [name for name in fields if name in OWN]:
        message = f"Unable to create/update fields: {', '.join(own)}."
        raise Refusal(400, "INVALID_FIELD_FOR_INSERT_UPDATE", message, own)
    _check_types(request, described, fields)
    required = [name for name in described.content["required"] if created or name in fields]
    if lacking := [name for name in required if fields.get(name) in (None, "")]:
        message = f"Required fields are missing: [{', '.join(lacking)}]"
        raise Refusal(400, "REQUIRED_FIELD_MISSING", message, lacking)


def _check_types(request: Request, described: Document, fields: Mapping[str, Any]) -> None:
    types = described.content["types"]
    found = {name: _type_of(name, value) for name, value in fields.items() if value is not None}
    for name, kind in found.items():
        if types.get(name, kind) != kind:
            raise malformed(f"Cannot deserialize {name}: a {types[name]} is wanted, not a {kind}")
    if found.keys() - types.keys():
        described.content["types"] = types | found
        request.keep(described)


def _type_of(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if not isinstance(value, str):
        raise malformed(f"Cannot deserialize {name}: fields hold text, numbers and booleans")
    if len(value) > LONGEST_TEXT:
        raise Refusal(400, "STRING_TOO_LONG", f"{name}: data value too large (max length={LONGEST_TEXT})", [name])
    return "text"


def _description(request: Request, kind: str) -> Document:
    found = request.find(DESCRIPTION, kind)
    return found or request.create(DESCRIPTION, kind, {"types": {}, "required": []})
