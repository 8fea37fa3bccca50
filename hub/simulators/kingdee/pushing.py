"""Push: lines of an audited bill become a bill of another form, as far as no other has taken them.

The new bill is saved and not submitted, and has a number of the server's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from hub.simulators.kingdee.books import Books
from hub.simulators.kingdee.forms import FORMS, Field, Form
from hub.simulators.kingdee.merging import How
from hub.simulators.kingdee.results import (
    INVALID,
    NO_SUCH_FIELD,
    WRONG_PARAMETER,
    WRONG_STATE,
    Outcome,
    Refused,
    flag,
    listed,
)
from hub.simulators.kingdee.rules import DATED, RULES, Rule
from hub.simulators.kingdee.saving import save
from hub.simulators.kingdee.values import today
from hub.simulators.store import Document


def push(books: Books, form: Form, data: Mapping[str, Any]) -> tuple[Outcome, Outcome]:
    """What became of the new bills, and of turning the old ones into them."""
    rule = _rule(form, data)
    made, converted = Outcome(), Outcome()
    for place, (found, rows) in enumerate(_chosen(books, form, data)):
        try:
            target = _push_one(books, rule, found, rows)
        except Refused as why:
            made.refuse(why, place)
            converted.refuse(why, place)
        else:
            made.add(target.serial, target.number, place)
    return made, converted


def _rule(form: Form, data: Mapping[str, Any]) -> Rule:
    rule_id, target = data.get("RuleId"), data.get("TargetFormId")
    is_default = flag(data.get("IsEnableDefaultRule"), False)
    if not rule_id and not (target and is_default):
        raise Refused(WRONG_PARAMETER, "转换规则内码不能为空，或启用默认转换规则并传入目标单据标识")
    for rule in RULES:
        named = rule.rule_id == rule_id if rule_id else rule.target == target
        if rule.source == form.form_id and named:
            return rule
    raise Refused(NO_SUCH_FIELD, f"转换规则“{rule_id or target}”不存在")


def _chosen(books: Books, form: Form, data: Mapping[str, Any]) -> list[tuple[Document | Refused, set[int] | None]]:
    """The bills to push, and of each the lines, or None for all."""
    entry_ids = [int(each) for each in listed(data.get("EntryIds")) if str(each).isdecimal()]
    if not entry_ids:
        return [(found, None) for _, found in books.asked_for(form, data)]
    # The first digits of a line's id are the id of its bill.
    found = [(books.at(form, serial), serial) for serial in sorted({each // 1000 for each in entry_ids})]
    lines = {serial: {each for each in entry_ids if each // 1000 == serial} for _, serial in found}
    return [(bill, lines[serial]) for bill, serial in found if bill is not None]


def _push_one(books: Books, rule: Rule, found: Document | Refused, chosen: set[int] | None) -> Document:
    if isinstance(found, Refused):
        raise found
    source = FORMS[rule.source]
    _check(source, found)
    rows = [row for row in found.content[source.entry] if chosen is None or row["FEntryID"] in chosen]
    rows = [row for row in rows if _is_open(row)]
    left = {row["FEntryID"]: _left(books, rule, row) for row in rows}
    if not any(left.values()):
        raise Refused(
            INVALID, f"单据编号为“{found.number}”的{source.title}，关联数量已达上限或业务关闭，没有可下推的分录"
        )
    lines = [_line(rule, found, row, left[row["FEntryID"]]) for row in rows if left[row["FEntryID"]]]
    target = save(books, FORMS[rule.target], _model(rule, found, lines), How())
    books.effect(f"push {rule.target}", found)
    return target


def _check(form: Form, bill: Document) -> None:
    content = bill.content
    if content["FDocumentStatus"] != "C" or content["FCancelStatus"] == "B":
        raise Refused(WRONG_STATE, f"单据编号为“{bill.number}”的{form.title}，未审核或已作废，不允许下推！")
    if content.get("FCloseStatus") == "B":
        raise Refused(WRONG_STATE, f"单据编号为“{bill.number}”的{form.title}，业务关闭，不允许下推！")


def _is_open(row: Mapping[str, Any]) -> bool:
    return all(row.get(key, "A") == "A" for key in ("FMRPCloseStatus", "FMRPTerminateStatus", "FMRPFreezeStatus"))


def _left(books: Books, rule: Rule, row: Mapping[str, Any]) -> Decimal:
    whole = Decimal(row.get(FORMS[rule.source].quantity) or 0)
    return max(whole - books.taken(rule.target, row["FEntryID"]), Decimal(0))


def _model(rule: Rule, bill: Document, lines: list[dict[str, Any]]) -> dict[str, Any]:
    form = FORMS[rule.target]
    model: dict[str, Any] = {"FID": 0, **{section: {} for section in form.sections}, form.entry: lines}
    for key in DATED:
        if known := form.fields.get(key.lower()):
            _put(model if not known.part else model[known.part], known, today())
    for key, value in _head(rule, bill):
        known = form.fields[key.lower()]
        _put(model[known.part] if known.part else model, known, value)
    return model


def _head(rule: Rule, bill: Document) -> list[tuple[str, Any]]:
    """Keys of the target's head and sections, each with what it gets of the source."""
    fields = FORMS[rule.source].fields
    found = list(rule.constants.items())
    for key, targets in rule.head.items():
        part = fields[key.lower()].part
        value = (bill.content[part] if part else bill.content).get(key)
        found += [(target, value) for target in targets.split() if value]
    return found


def _line(rule: Rule, bill: Document, row: Mapping[str, Any], quantity: Decimal) -> dict[str, Any]:
    form = FORMS[rule.target]
    line: dict[str, Any] = {form.quantity: str(quantity)}
    own = {"form": rule.source, "number": bill.number, "row": row["FEntryID"]}
    values = {key: row.get(key) for key in rule.row} | own
    for key, targets in {**rule.row, **rule.named}.items():
        for target in targets.split():
            _put(line, form.fields[target.lower()], values[key])
    if "fdeliverydate" in form.fields:
        line["FDeliveryDate"] = today()
    return line | {form.links: [_link(rule, bill, row, quantity)]}


def _link(rule: Rule, bill: Document, row: Mapping[str, Any], quantity: Decimal) -> dict[str, Any]:
    links = FORMS[rule.target].links
    return {
        f"{links}_FRuleId": rule.rule_id,
        f"{links}_FSTableName": FORMS[rule.source].table,
        f"{links}_FSBillId": str(bill.serial),
        f"{links}_FSId": str(row["FEntryID"]),
        f"{links}_FBaseUnitQty": str(quantity),
    }


def _put(into: dict[str, Any], field: Field, value: Any) -> None:
    into[field.key] = {"FNumber": value} if field.reference else value
