"""The life of a bill after it is saved: Z or A, submitted B, audited C, and D where an audit was taken back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hub.simulators.kingdee.books import Books
from hub.simulators.kingdee.forms import Form
from hub.simulators.kingdee.results import NO_OPERATION, NO_SUCH_FIELD, WRONG_STATE, Outcome, Refused, listed
from hub.simulators.kingdee.values import now
from hub.simulators.store import Document

_STATES = {"Z": "暂存", "A": "创建", "B": "审核中", "C": "已审核", "D": "重新审核"}


@dataclass(frozen=True)
class Step:
    """A step of a bill's life: from which states, to which, and under which name it is counted."""

    title: str
    effect: str
    sources: str
    target: str


STEPS = {
    "Submit": Step("提交", "submit", "AD", "B"),
    "Audit": Step("审核", "audit", "B", "C"),
    "UnAudit": Step("反审核", "unaudit", "C", "D"),
    "CancelAssign": Step("撤销", "cancel_assign", "B", "A"),
    "Delete": Step("删除", "delete", "ZAD", ""),
}

_ROW_MARKS = {
    "YLFreeze": ("FMRPFreezeStatus", "A", "B"),
    "YLUnFreeze": ("FMRPFreezeStatus", "B", "A"),
    "YLTerminate": ("FMRPTerminateStatus", "A", "B"),
    "YLMRPClose": ("FMRPCloseStatus", "A", "B"),
}
_HEAD_MARKS = {
    "Cancel": ("FCancelStatus", "A", "B"),
    "UnCancel": ("FCancelStatus", "B", "A"),
    "YLBillClose": ("FCloseStatus", "A", "B"),
    "YLUnBillClose": ("FCloseStatus", "B", "A"),
}
_OPERATIONS = {
    "SAL_SaleOrder": {*_ROW_MARKS, "Cancel", "YLBillClose", "YLUnBillClose"},
    "SAL_OUTSTOCK": {"Cancel", "UnCancel"},
    "SAL_RETURNSTOCK": {"Cancel", "UnCancel"},
    "AR_receivable": {"Cancel", "UnCancel"},
}


def step(books: Books, form: Form, service: str, data: Mapping[str, Any]) -> Outcome:
    """Submit, Audit, UnAudit, CancelAssign or Delete: each bill for itself."""
    return _each(books, form, data, lambda document: _take_step(books, form, document, STEPS[service]))


def operate(books: Books, form: Form, operation: str, data: Mapping[str, Any]) -> Outcome:
    """`ExcuteOperation`: each bill for itself, with `PkEntryIds` some of its lines."""
    if not operation:
        raise Refused(NO_OPERATION, "操作编码不能为空")
    if operation not in _OPERATIONS[form.form_id]:
        raise Refused(NO_SUCH_FIELD, f"操作“{operation}”不存在")
    if operation in _ROW_MARKS:
        chosen = {str(each) for each in listed(data.get("PkEntryIds"))}
        return _each(books, form, data, lambda document: _mark_rows(books, form, document, operation, chosen))
    return _each(books, form, data, lambda document: _mark(books, form, document, operation))


def _each(books: Books, form: Form, data: Mapping[str, Any], act: Callable[[Document], None]) -> Outcome:
    outcome = Outcome()
    for place, found in books.asked_for(form, data):
        try:
            if isinstance(found, Refused):
                raise found
            act(found)
        except Refused as why:
            outcome.refuse(why, place)
        else:
            outcome.add(found.serial, found.number, place)
    return outcome


def _take_step(books: Books, form: Form, document: Document, step: Step) -> None:
    state = document.content["FDocumentStatus"]
    if document.content["FCancelStatus"] == "B" and step.effect != "delete":
        raise _refused(form, document, "已作废", step.title)
    if state not in step.sources:
        raise _refused(form, document, _STATES[state], step.title)
    if step.effect in {"unaudit", "delete"} and books.is_pushed(form, document):
        raise _refused(form, document, "存在下游单据（关联数量大于0）", step.title)
    if step.effect == "delete":
        books.request.remove(document)
    else:
        approved = {"C": now(), "D": ""}.get(step.target, document.content.get("FApproveDate", ""))
        document.content |= {"FDocumentStatus": step.target, "FApproveDate": approved}
        _keep(books, document)
    books.effect(step.effect, document)


def _mark(books: Books, form: Form, document: Document, operation: str) -> None:
    key, before, after = _HEAD_MARKS[operation]
    if document.content[key] != before:
        raise _refused(form, document, "已执行过该操作", operation)
    if operation == "Cancel":
        _check_cancel(books, form, document)
    document.content[key] = after
    _keep(books, document)
    books.effect(_effect(operation), document)


def _check_cancel(books: Books, form: Form, document: Document) -> None:
    state = document.content["FDocumentStatus"]
    if state in "BC":
        raise _refused(form, document, _STATES[state], "作废")
    if books.is_pushed(form, document):
        raise _refused(form, document, "存在下游单据（关联数量大于0）", "作废")


def _mark_rows(books: Books, form: Form, document: Document, operation: str, chosen: set[str]) -> None:
    key, before, after = _ROW_MARKS[operation]
    if document.content["FCancelStatus"] == "B":
        raise _refused(form, document, "已作废", operation)
    rows = [row for row in document.content[form.entry] if not chosen or str(row["FEntryID"]) in chosen]
    rows = [row for row in rows if row[key] == before]
    if not rows:
        raise _refused(form, document, "没有符合条件的分录", operation)
    for row in rows:
        row[key] = after
    _keep(books, document)
    books.effect(_effect(operation), document)


def _keep(books: Books, document: Document) -> None:
    document.content["FModifyDate"] = now()
    books.request.keep(document)


def _effect(operation: str) -> str:
    return {"Cancel": "cancel", "UnCancel": "uncancel"}.get(operation, operation.removeprefix("YL").lower())


def _refused(form: Form, document: Document, state: str, title: str) -> Refused:
    return Refused(WRONG_STATE, f"单据编号为“{document.number}”的{form.title}，{state}，不允许{title}！")
