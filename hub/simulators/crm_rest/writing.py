"""How records are written, one or many, and what of it counts as an effect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hub.simulators.crm_rest import objects
from hub.simulators.crm_rest.answers import Refusal, done
from hub.simulators.store import Document, Request


@dataclass(frozen=True, slots=True)
class Named:
    """What the journal calls a record: these fields of it, where they are there."""

    number: str
    version: str


@dataclass(frozen=True, slots=True)
class Many:
    """Of which kind the records of a collection are, by which external id they are known, and how they are counted."""

    kind: str
    key: str
    named: Named


def write(
    request: Request, named: Named, records: list[Document], kind: str, fields: Mapping[str, Any]
) -> tuple[Document, bool]:
    """Change the one record that is there or make one; with it, whether it is new."""
    if not records:
        record = objects.create(request, kind, fields)
        count(request, named, "create", record)
        return record, True
    if objects.change(request, records[0], fields):
        count(request, named, "update", records[0])
    return records[0], False


def count(request: Request, named: Named, effect: str, record: Document) -> None:
    """Put an effect into the journal, by the order's own number and version."""
    number, version = record.content.get(named.number, record.number), record.content.get(named.version)
    request.effect(effect, replace(record, number=str(number)), None if version is None else int(version))


def write_many(request: Request, many: Many, records: list[Any]) -> list[dict[str, Any]]:
    """Upsert every record that can be; one result each, in their order."""
    times = Counter(str(record.get(many.key)) for record in records if isinstance(record, dict))
    results = []
    for record in records:
        try:
            results.append(_write_one(request, many, record, times))
        except Refusal as refusal:
            results.append(refusal.result())
    return results


def _write_one(request: Request, many: Many, record: Any, times: Mapping[str, int]) -> dict[str, Any]:
    if not isinstance(record, dict) or record.get("attributes", {}).get("type") != many.kind:
        raise Refusal(400, "INVALID_TYPE", f"attributes.type: every record must be a {many.kind}")
    value = record.get(many.key)
    if value in (None, ""):
        raise Refusal(400, "MISSING_ARGUMENT", f"{many.key} not specified", [many.key])
    if times[str(value)] > 1:
        raise Refusal(400, "DUPLICATE_VALUE", f"Duplicate external id specified: {value}", [many.key])
    records = objects.matching(request, many.kind, many.key, str(value))
    if len(records) > 1:
        raise Refusal(400, "DUPLICATE_EXTERNAL_ID", f"{many.key}: more than one record found", [many.key])
    fields = {name: value for name, value in record.items() if name != "attributes"}
    written, created = write(request, many.named, records, many.kind, fields)
    return done(written.number, created=created)
