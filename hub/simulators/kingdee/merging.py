"""A bill and the model that was sent for it, put together: what may change, which rows stay, what the server fills in.

Keys that the form does not have are passed over, as the server does; they cannot be queried either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from hub.simulators.kingdee.books import Books
from hub.simulators.kingdee.forms import Field, Form
from hub.simulators.kingdee.results import NO_DATA, NO_SUCH_FIELD, Refused, flag, listed
from hub.simulators.kingdee.values import amount, kept

_BY_SERVER = {
    *("fdocumentstatus", "fcancelstatus", "fclosestatus", "fcreatedate", "fmodifydate", "fapprovedate"),
    *("fmrpclosestatus", "fmrpterminatestatus", "fmrpfreezestatus"),
    *("fallamount", "fbillallamount", "fallamountfor", "fallamountfor_d"),
}


@dataclass(frozen=True)
class How:
    """What `data` says beside the model."""

    only: frozenset[str] = frozenset()
    """Keys in lower case that may change; all where there are none."""
    drops_rows: bool = True
    verifies: bool = False
    is_draft: bool = False

    @classmethod
    def of(cls, data: Mapping[str, Any], is_draft: bool) -> How:
        """Read from the call's data."""
        only = frozenset(str(key).lower() for key in listed(data.get("NeedUpDateFields")))
        drops = flag(data.get("IsDeleteEntry"), True)
        return cls(only, drops, flag(data.get("IsVerifyBaseDataField"), False), is_draft)

    def changes(self, field: Field) -> bool:
        """Whether a field takes what was sent."""
        return field.key.lower() not in _BY_SERVER and (not self.only or field.key.lower() in self.only)

    def leaves(self, entry: str) -> bool:
        """Whether the rows of an entry stay as they are."""
        return bool(self.only) and entry.lower() not in self.only


@dataclass(frozen=True)
class Change:
    """What was sent for a bill of a form, keys in lower case, and what it does to the bill's content."""

    books: Books
    form: Form
    how: How
    sent: Mapping[str, Any]

    def put_into(self, content: dict[str, Any]) -> None:
        """Change the content in place. Refused: a value is none of its kind, or a row is not there."""
        self._take("", content, self.sent)
        for section in self.form.sections:
            self._take(section, content[section], lowered(self.sent.get(section.lower())))
        for entry in self.form.rows:
            if not self.how.leaves(entry):
                content[entry] = self._rows(entry, content[entry])
        _fill(self.form, content)
        _reckon(self.form, content)

    def _take(self, part: str, into: dict[str, Any], sent: Mapping[str, Any]) -> None:
        for field in self.form.of(part):
            if field.key.lower() in sent and self.how.changes(field):
                into[field.key] = self._known(field, kept(field, sent[field.key.lower()]))

    def _known(self, field: Field, value: Any) -> Any:
        if not field.reference or value not in self.books.unknown.get(field.key.lower(), ()):
            return value
        if self.how.verifies:
            raise Refused(NO_SUCH_FIELD, f"字段“{field.key}”的值“{value}”不存在", field.key)
        # Unless asked to verify, the server leaves such a field empty and says so only where it is mandatory.
        return ""

    def _rows(self, entry: str, old: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The rows that stay, then the new ones; a row is known by its FEntryID."""
        sent = self.sent.get(entry.lower())
        given = [lowered(each) for each in sent] if isinstance(sent, list) else []
        named = {int(each.get("fentryid") or 0) for each in given}
        mine = {row["FEntryID"]: row for row in old}
        if strange := named - set(mine) - {0}:
            raise Refused(NO_DATA, f"分录内码“{min(strange)}”没有匹配的数据", "FEntryID")
        rows = [row for row in old if row["FEntryID"] in named or not self.how.drops_rows]
        return rows + [row for each in given if (row := self._row(entry, mine, each))["FEntryID"] == 0]

    def _row(self, entry: str, mine: Mapping[int, dict[str, Any]], sent: Mapping[str, Any]) -> dict[str, Any]:
        row = mine.get(int(sent.get("fentryid") or 0))
        if row is None:
            # Of a new row everything is taken.
            row, change = {"FEntryID": 0}, replace(self, how=replace(self.how, only=frozenset()))
            change._take(entry, row, sent)  # noqa: SLF001 - its own
        else:
            self._take(entry, row, sent)
        if entry == self.form.entry and self.form.links.lower() in sent:
            row[self.form.links] = sent[self.form.links.lower()]
        return row


def places(content: dict[str, Any], part: str) -> list[dict[str, Any]]:
    """Where the fields of a part are: the head, a section, or every row of an entry."""
    found = content[part] if part else content
    return found if isinstance(found, list) else [found]


def lowered(given: object) -> dict[str, Any]:
    """An object with its keys in lower case; a section is now and then sent as a list of one."""
    found = given[0] if isinstance(given, list) and given else given
    return {key.lower(): value for key, value in found.items()} if isinstance(found, dict) else {}


def _fill(form: Form, content: dict[str, Any]) -> None:
    for key, value in form.filled.items():
        for place in places(content, form.fields[key.lower()].part):
            place[key] = place.get(key) or value


def _reckon(form: Form, content: dict[str, Any]) -> None:
    for row in content[form.entry]:
        row[form.amount] = amount(row.get(form.quantity), row.get(form.tax_price), row.get("FDiscountRate"))
    total = sum((Decimal(row[form.amount]) for row in content[form.entry]), Decimal(0))
    for key in ("FBillAllAmount", "FALLAMOUNTFOR"):
        if known := form.fields.get(key.lower()):
            places(content, known.part)[0][key] = str(total)
