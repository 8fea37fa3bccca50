"""Save and Draft: a bill is made or changed of the model that was sent, after the rules of its form."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from hub import clock
from hub.simulators.kingdee.books import Books, names
from hub.simulators.kingdee.checking import check, check_number
from hub.simulators.kingdee.forms import Form
from hub.simulators.kingdee.merging import Change, How, lowered
from hub.simulators.kingdee.results import INVALID, NO_DATA, WRONG_PARAMETER, WRONG_STATE, Refused, listed
from hub.simulators.kingdee.values import now
from hub.simulators.store import Document, Taken


def save(books: Books, form: Form, model: object, how: How) -> Document:
    """The bill as it is afterwards; committed with the transaction. Refused: nothing of it is changed."""
    if not isinstance(model, dict):
        raise Refused(WRONG_PARAMETER, "参数错误：Model")
    change = Change(books, form, how, lowered(model))
    serial = str(change.sent.get("fid") or 0)
    old = None if serial == "0" else _found(books, form, serial)
    content = deepcopy(old.content) if old else _empty(form)
    change.put_into(content)
    check_number(content)
    if not how.is_draft:
        check(books, form, content, list(model), old.serial if old else 0)
    return _update(change, old, content) if old else _create(change, content)


def returned(form: Form, document: Document, data: Mapping[str, Any]) -> dict[str, Any]:
    """What `NeedReturnFields` asks for: keys of the head, or `entry.key`."""
    found: dict[str, Any] = {}
    for asked in map(str, listed(data.get("NeedReturnFields"))):
        entry, _, key = asked.partition(".")
        if key and entry in form.rows:
            rows = found.setdefault(entry, [{} for _ in document.content[entry]])
            for row, mine in zip(rows, document.content[entry], strict=True):
                row[key] = mine.get(key)
        else:
            found[asked] = document.serial if asked == "FID" else document.content.get(asked)
    return found


def _found(books: Books, form: Form, serial: str) -> Document:
    document = books.at(form, serial)
    if document is None:
        raise Refused(NO_DATA, f"{form.title}内码“{serial}”没有匹配的数据", "FID")
    state = {"B": "审核中", "C": "已审核"}.get(document.content["FDocumentStatus"])
    if document.content["FCancelStatus"] == "B":
        state = "已作废"
    if state:
        raise Refused(WRONG_STATE, f"单据编号为“{document.number}”的{form.title}，{state}，不允许修改！")
    return document


def _create(change: Change, content: dict[str, Any]) -> Document:
    form, request, number = change.form, change.books.request, content["FBillNo"]
    content |= {"FDocumentStatus": "Z" if change.how.is_draft else "A", "FCreateDate": now(), "FModifyDate": now()}
    try:
        document = request.create(form.form_id, number or f"~{clock.uuid7()}", content)
    except Taken:
        raise _in_use(number) from None
    document.number = content["FBillNo"] = number or f"{form.prefix}{document.serial:08d}"
    _give_rows_ids(form, document)
    request.keep(document, names(form, content))
    change.books.effect("create", document)
    return document


def _update(change: Change, document: Document, content: dict[str, Any]) -> Document:
    if content["FDocumentStatus"] == "Z" and not change.how.is_draft:
        content["FDocumentStatus"] = "A"
    content["FModifyDate"], content["FBillNo"] = now(), content["FBillNo"] or document.number
    document.content, document.number = content, content["FBillNo"]
    _give_rows_ids(change.form, document)
    try:
        change.books.request.keep(document, names(change.form, content))
    except Taken:
        raise _in_use(document.number) from None
    change.books.effect("update", document)
    return document


def _in_use(number: str) -> Refused:
    return Refused(INVALID, f"违反字段唯一性要求：编码唯一。[{number}]在当前系统中已经被使用。", "FBillNo")


def _empty(form: Form) -> dict[str, Any]:
    parts: dict[str, Any] = {entry: [] for entry in form.rows}
    return {"FBillNo": "", "FCancelStatus": "A", "rows": 0, **{part: {} for part in form.sections}, **parts}


def _give_rows_ids(form: Form, document: Document) -> None:
    content = document.content
    for entry in form.rows:
        for row in content[entry]:
            if not row["FEntryID"]:
                content["rows"] += 1
                row["FEntryID"] = document.serial * 1000 + content["rows"]
