"""What a call asks for, in whichever of its spellings it came.

`{"formid": …, "data": …}` or `{"parameters": [form id, data]}`; data is an object, or the JSON text of one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from hub.simulators.kingdee.results import NO_FORM, WRONG_PARAMETER, Refused

SUFFIX = ".common.kdsvc"
QUERIES = ("ExecuteBillQuery", "BillQuery")


@dataclass(frozen=True)
class Asked:
    """A call to `DynamicFormService`: the service, the form, the operation's number and the data."""

    service: str
    form_id: str
    operation: str
    data: dict[str, Any]
    polled: bool
    """Whether the answer is a task that is asked for its result later."""


def service_of(path: str) -> str:
    """The last word of the service's name: `Save`; nothing where the path is none of a service."""
    return path.removesuffix(SUFFIX).rpartition(".")[2] if path.endswith(SUFFIX) else ""


def opened(body: bytes) -> dict[str, Any]:
    """The body as an object, its keys in lower case. ValueError: it is none."""
    found = json.loads(body or b"{}")
    if not isinstance(found, dict):
        raise ValueError("a body is an object")  # noqa: TRY004 - as unreadable JSON is
    return {key.lower(): value for key, value in found.items()}


def read(service: str, body: dict[str, Any]) -> Asked:
    """What an opened body asks of this service. Refused: there is no form, or no data."""
    positional = body.get("parameters")
    named = _by_position(service, positional) if isinstance(positional, list) else body
    data = _object(named.get("data"))
    form_id = str(data.get("FormId", "") if service in QUERIES else named.get("formid") or "")
    if not form_id:
        raise Refused(NO_FORM, "业务对象标识不能为空")
    return Asked(service, form_id, str(named.get("opnumber") or ""), data, "beginmethod" in body)


def _by_position(service: str, given: list[Any]) -> dict[str, Any]:
    if service in QUERIES:
        names = ["data"]
    elif service in {"ExcuteOperation", "ExecuteOperation"}:
        names = ["formid", "opnumber", "data"]
    else:
        names = ["formid", "data"]
    return dict(zip(names, given, strict=False))


def _object(data: Any) -> dict[str, Any]:
    try:
        found = json.loads(data) if isinstance(data, str) else data
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Refused(WRONG_PARAMETER, "参数错误：data")
    return found
