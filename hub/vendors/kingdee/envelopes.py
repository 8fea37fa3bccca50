"""Which service is called with which body. Every body is JSON in UTF-8."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from hub.vendors.kingdee.signing import Identity, login_signature

_FORMS = "Kingdee.BOS.WebApi.ServicesStub.DynamicFormService"
_LOGIN = "Kingdee.BOS.WebApi.ServicesStub.AuthService.LoginBySign"


class Form(StrEnum):
    """The forms that an order becomes: 销售订单, 销售出库单, 应收单, 销售退货单."""

    SALE = "SAL_SaleOrder"
    OUTSTOCK = "SAL_OUTSTOCK"
    RECEIVABLE = "AR_receivable"
    RETURN = "SAL_RETURNSTOCK"


class Service(StrEnum):
    """What can be asked of a form. The spelling of ExcuteOperation is Kingdee's."""

    SAVE = "Save"
    BATCH_SAVE = "BatchSave"
    SUBMIT = "Submit"
    AUDIT = "Audit"
    UNAUDIT = "UnAudit"
    UNASSIGN = "CancelAssign"
    OPERATE = "ExcuteOperation"
    PUSH = "Push"
    QUERY = "ExecuteBillQuery"


class Query(NamedTuple):
    """Rows of a form: the values of `keys` where a condition holds, sorted by the keys in `order`."""

    form: Form
    keys: Sequence[str]
    where: str
    order: Sequence[str]


def service_url(server: str, service: Service) -> str:
    """Where a service of forms is, for a server such as `https://host/k3cloud`."""
    return f"{server}/{_FORMS}.{service}.common.kdsvc"


def login_url(server: str) -> str:
    """Where a login goes."""
    return f"{server}/{_LOGIN}.common.kdsvc"


def login_body(identity: Identity, seconds: int) -> bytes:
    """A login that is signed at a moment in seconds since 1970."""
    who = [identity.account, identity.user, identity.app_id, str(seconds), login_signature(identity, seconds)]
    return _json({"parameters": [*who, identity.lcid]})


def save_body(form: Form, models: Sequence[Mapping[str, Any]], changes: Sequence[str] = ()) -> bytes:
    """Bills to create, or with `changes` those keys of bills that are there: one for Save, several for BatchSave.

    Entries that are not named stay where only some keys are changed.
    """
    data: dict[str, Any] = {"NeedUpDateFields": list(changes), "NeedReturnFields": ["FBillNo"]}
    data["IsDeleteEntry"] = "false" if changes else "true"
    data["Model"] = models[0] if len(models) == 1 else list(models)
    return _json({"formid": str(form), "data": data})


def numbers_body(form: Form, numbers: Sequence[str], operation: str = "", flags: str = "") -> bytes:
    """Bills by their numbers, for all that moves a bill; `operation` is the name that ExcuteOperation wants.

    `flags` are the questions that are answered with yes beforehand.
    """
    data: dict[str, Any] = {"Numbers": list(numbers)}
    if flags:
        data["InterationFlags"] = flags
    named = {"opNumber": operation} if operation else {}
    return _json({"formid": str(form), **named, "data": data})


def push_body(form: Form, number: str, rule: str) -> bytes:
    """One bill to make another of, by a rule of conversion."""
    return _json({"formid": str(form), "data": {"Numbers": [number], "RuleId": rule}})


def query_body(query: Query, start: int, limit: int) -> bytes:
    """Rows of a form from a place on, at most so many."""
    data = {
        "FormId": str(query.form),
        "FieldKeys": ",".join(query.keys),
        "FilterString": query.where,
        "OrderString": ",".join(f"{key} ASC" for key in query.order),
        "TopRowCount": 0,
        "StartRow": start,
        "Limit": limit,
    }
    return _json({"data": data})


def among(key: str, values: Sequence[str]) -> str:
    """The condition that a field is one of these texts."""
    return f"{key} in ({','.join(map(quoted, values))})"


def quoted(text: str) -> str:
    """A text as a condition wants it."""
    return "'" + text.replace("'", "''") + "'"


def _json(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
