"""Records of any object: created, changed, made void, found. Nothing is unique: who creates twice has two."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

from hub import clock
from hub.simulators.fxiaoke.answers import wrong
from hub.simulators.fxiaoke.searches import projected, search_of
from hub.simulators.search import Condition, Search, WrongField
from hub.simulators.store import Document, Request

DESCRIPTION = "describe"
_MOMENTS = ("create_time", "last_modified_time")
_OWN = {"_id", "life_status", "is_deleted", "dataObjectApiName", "object_describe_api_name", *_MOMENTS}
# Numbers are text here, so a number can only be a moment in milliseconds; this one is in 1973.
_FIRST_MOMENT = 10**11


@dataclass(frozen=True, slots=True)
class Custom:
    """What differs between installations: by which fields the journal names an order, where a detail has its master.

    A detail without an entry in `masters` has it in `master_id__c`, and lives on where its master is made void.
    """

    number_field: str = "order_no__c"
    version_field: str = "version__c"
    masters: Mapping[str, str] = field(default_factory=lambda: {"SalesOrderProductObj": "order_id"})


def create(request: Request, custom: Custom, data: Mapping[str, Any]) -> tuple[str, dict[str, list[str]]]:
    """A record with its details; its id, and theirs by object. Raises a Refusal."""
    kind, told = _object(data)
    made = _create(request, custom, kind, told)
    ids = {}
    for detail, rows in _details(data).items():
        master = {custom.masters.get(detail, "master_id__c"): made.number}
        ids[detail] = [_create(request, custom, detail, {**row, **master}).number for row in rows]
    return made.number, ids


def get(request: Request, data: Mapping[str, Any]) -> dict[str, Any]:
    """One record by its id, also one that is void; raises a Refusal."""
    return projected(_shown(_found(request, _kind(data), data.get("objectDataId"))), None)


def query(request: Request, data: Mapping[str, Any]) -> dict[str, Any]:
    """The page of records that is asked for; `total` is 0 unless it is asked for too. Raises a Refusal."""
    told = data.get("search_query_info")
    if not isinstance(told, dict):
        raise wrong("search_query_info为必填项")
    kind = _kind(data)
    search = search_of(kind, told, _described(request, kind).content["moments"])
    fields = told.get("fieldProjection")
    try:
        rows = [projected(_shown(record), fields) for record in request.search(search)]
        total = request.count(search) if data.get("find_explicit_total_num") is True else 0
    except WrongField as error:
        raise wrong(f"字段不存在: {error}") from None
    return {"dataList": rows, "offset": search.offset, "limit": search.limit, "total": total}


def update(request: Request, custom: Custom, data: Mapping[str, Any]) -> None:
    """Change the fields that are given; raises a Refusal."""
    kind, told = _object(data)
    record = _found(request, kind, told.get("_id"))
    if record.content["is_deleted"]:
        raise wrong("数据已作废")
    fields = _checked(request, kind, told)
    if all(record.content.get(name) == value for name, value in fields.items()):
        return
    record.content |= {**fields, "last_modified_time": _now()}
    request.keep(record)
    _count(request, custom, "update", record)


def make_void(request: Request, custom: Custom, data: Mapping[str, Any]) -> None:
    """Put a record into the bin, with its details; raises a Refusal."""
    record = _found(request, _kind(data), data.get("object_data_id"))
    if record.content["is_deleted"]:
        raise wrong("数据已作废")
    details = [
        each
        for detail, master in custom.masters.items()
        for each in request.search(Search(detail, (Condition(master, "=", record.number),)))
    ]
    for each in (record, *details):
        each.content |= {"life_status": "invalid", "is_deleted": True, "last_modified_time": _now()}
        request.keep(each)
        _count(request, custom, "invalid", each)


def _create(request: Request, custom: Custom, kind: str, told: Mapping[str, Any]) -> Document:
    fields, now = _checked(request, kind, told), _now()
    own = {"create_time": now, "last_modified_time": now, "life_status": "normal", "is_deleted": False}
    made = request.create(kind, uuid4().hex[:24], {**fields, **own})
    _count(request, custom, "create", made)
    return made


def _count(request: Request, custom: Custom, effect: str, record: Document) -> None:
    content = record.content
    number = content.get(custom.number_field) or content.get("name") or record.number
    version = str(content.get(custom.version_field, ""))
    request.effect(effect, replace(record, number=str(number)), int(version) if version.isdecimal() else None)


def _checked(request: Request, kind: str, told: Mapping[str, Any]) -> dict[str, Any]:
    fields = {name: value for name, value in told.items() if name not in _OWN}
    for name, value in fields.items():
        if isinstance(value, float | dict) or (_is_number(value) and value < _FIRST_MOMENT):
            raise wrong(f"{name}: 数字和金额必须是字符串")
    described = _described(request, kind)
    known = described.content["moments"]
    if new := [name for name, value in fields.items() if _is_number(value) and name not in known]:
        described.content["moments"] = [*known, *new]
        request.keep(described)
    return fields


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _described(request: Request, kind: str) -> Document:
    return request.find(DESCRIPTION, kind) or request.create(DESCRIPTION, kind, {"moments": list(_MOMENTS)})


def _object(data: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    told = data.get("object_data")
    if not isinstance(told, dict):
        raise wrong("object_data为必填项")
    return _kind(told), told


def _details(data: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    found = data.get("details") or {}
    if not isinstance(found, dict) or not all(isinstance(rows, list) for rows in found.values()):
        raise wrong("details必须是对象")
    if not all(isinstance(row, dict) for rows in found.values() for row in rows):
        raise wrong("details必须是对象")
    return found


def _kind(told: Mapping[str, Any]) -> str:
    kind = told.get("dataObjectApiName")
    if not isinstance(kind, str) or not kind.endswith(("__c", "Obj")):
        raise wrong("dataObjectApiName为必填项")
    return kind


def _found(request: Request, kind: str, record_id: object) -> Document:
    found = request.find(kind, record_id) if isinstance(record_id, str) else None
    if found is None:
        raise wrong("数据不存在")
    return found


def _shown(record: Document) -> dict[str, Any]:
    return {"_id": record.number, **record.content, "object_describe_api_name": record.kind}


def _now() -> int:
    return int(clock.utcnow().timestamp() * 1000)
