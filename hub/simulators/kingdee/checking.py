"""What the server checks before it keeps a bill: that it is whole, priced, and takes no more than is left."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hub.simulators.kingdee.books import Books, link_value
from hub.simulators.kingdee.forms import FORMS, SALE_ORDER, Form
from hub.simulators.kingdee.merging import places
from hub.simulators.kingdee.results import INVALID, NO_SUCH_FIELD, Refused
from hub.simulators.kingdee.rules import RULES
from hub.simulators.store import Document

NUMBER_LENGTH = 80


def check_number(content: dict[str, Any]) -> None:
    """Refused: the number is too long."""
    if len(content["FBillNo"]) > NUMBER_LENGTH:
        raise Refused(INVALID, f"字段“单据编号”长度超过{NUMBER_LENGTH}", "FBillNo")


def check(books: Books, form: Form, content: dict[str, Any], order: list[str], serial: int) -> None:
    """Refused: something is missing or wrong. `order` is that of the model's keys, `serial` the bill's own or 0."""
    if not content[form.entry]:
        raise Refused(INVALID, f"{form.title}至少要有一行分录", form.entry)
    for field in form.fields.values():
        if field.mandatory and not all(place.get(field.key) for place in places(content, field.part)):
            raise Refused(INVALID, f"字段“{field.key}”是必填项", field.key)
    if form is SALE_ORDER:
        _check_prices(form, content, [key.lower() for key in order])
    for row in content[form.entry]:
        for link in row.get(form.links) or ():
            _check_link(books, form, row, link, serial)


def _check_prices(form: Form, content: dict[str, Any], order: list[str]) -> None:
    """The server reads a model from its beginning: prices in front of what says how they are taxed count as none."""
    asked = [key for key in order if key in {"fsaleorderfinance", "fsaleorderentry"}]
    late = asked == ["fsaleorderentry", "fsaleorderfinance"]
    for row in content[form.entry]:
        price = Decimal(row.get("FTaxPrice") or row.get("FPrice") or 0)
        if not row.get("FIsFree") and (late or price <= 0):
            raise Refused(INVALID, "未免费的物料，含税单价不能小于等于0", "FTaxPrice")


def _check_link(books: Books, form: Form, row: dict[str, Any], link: dict[str, Any], serial: int) -> None:
    bill, line = _source(books, form, link)
    quantity = FORMS[bill.kind].quantity
    left = Decimal(line.get(quantity) or 0) - books.taken(form.form_id, line["FEntryID"], but=serial)
    if Decimal(row.get(form.quantity) or 0) > left:
        raise Refused(INVALID, f"超过源单“{bill.number}”的可下推数量，关联数量不足", form.quantity)


def _source(books: Books, form: Form, link: dict[str, Any]) -> tuple[Document, dict[str, Any]]:
    rule = next((rule for rule in RULES if rule.rule_id == link_value(link, "FRuleId")), None)
    if rule is not None and rule.target == form.form_id:
        bill = books.at(FORMS[rule.source], link_value(link, "FSBillId"))
        for line in bill.content[FORMS[rule.source].entry] if bill else ():
            if bill and str(line["FEntryID"]) == str(link_value(link, "FSId")):
                return bill, line
    raise Refused(NO_SUCH_FIELD, "关联关系的源单或源单分录不存在", form.links)
