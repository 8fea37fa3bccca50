"""The bills of one request: found by number or inner id, and what others have taken of their lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from hub.simulators.kingdee.forms import FORMS, VERSION, Form
from hub.simulators.kingdee.results import NO_DATA, WRONG_PARAMETER, Refused, listed
from hub.simulators.kingdee.rules import RULES
from hub.simulators.store import Document, Request


@dataclass(frozen=True)
class Books:
    """A transaction, and the numbers of base data that nobody knows, by the key of their field in lower case."""

    request: Request
    unknown: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def asked_for(self, form: Form, data: Mapping[str, Any]) -> Iterator[tuple[int, Document | Refused]]:
        """The bills that `Numbers` or `Ids` name, each with its place. Refused: neither is given."""
        if numbers := [str(number) for number in listed(data.get("Numbers"))]:
            found = {document.number: document for document in self.request.numbered(form.form_id, numbers)}
            for place, number in enumerate(numbers):
                yield place, found.get(number) or _nothing(form, number)
            return
        serials = listed(data.get("Ids"))
        if not serials:
            raise Refused(WRONG_PARAMETER, "编码值或内码值必须传其一")
        for place, serial in enumerate(serials):
            yield place, self.at(form, serial) or _nothing(form, serial)

    def at(self, form: Form, serial: object) -> Document | None:
        """The bill with this inner id."""
        text = str(serial)
        return self.request.at(form.form_id, int(text)) if text.isdecimal() else None

    def effect(self, effect: str, document: Document) -> None:
        """Count what happened to a bill, at the version that it carries."""
        self.request.effect(effect, document, document.content.get(VERSION) or None)

    def taken(self, target: str, row_id: int, but: int = 0) -> Decimal:
        """How much of a line bills of the target form have, those that are cancelled left out and one more."""
        form = FORMS[target]
        bills = self.request.named(target, [row_name(row_id)])
        return sum(
            (
                Decimal(row.get(form.quantity) or 0)
                for bill in bills
                if bill.serial != but and bill.content["FCancelStatus"] == "A"
                for row in bill.content[form.entry]
                if row_id in sources(form, row)
            ),
            Decimal(0),
        )

    def is_pushed(self, form: Form, document: Document) -> bool:
        """Whether a bill was made of it that still counts."""
        targets = {rule.target for rule in RULES if rule.source == form.form_id}
        rows = [row["FEntryID"] for row in document.content[form.entry]]
        return any(self.taken(target, row_id) for target in targets for row_id in rows)


def row_name(row_id: int) -> str:
    """The name by which bills are found that have taken of a line."""
    return f"row:{row_id}"


def sources(form: Form, row: Mapping[str, Any]) -> list[int]:
    """The lines that a line was made of."""
    return [int(link_value(link, "FSId") or 0) for link in row.get(form.links) or ()]


def link_value(link: Mapping[str, Any], ending: str) -> Any:
    """A value of a link, whose keys begin with the link's own name."""
    return next((value for key, value in link.items() if key.lower().endswith(f"_link_{ending.lower()}")), None)


def names(form: Form, content: Mapping[str, Any]) -> Iterable[str]:
    """What a bill is found by beside its number."""
    rows = content[form.entry]
    for place in (content, *rows):
        yield from (place[key] for key in form.orders if place.get(key))
    for row in rows:
        yield from (row_name(row_id) for row_id in sources(form, row))


def _nothing(form: Form, asked: object) -> Refused:
    return Refused(NO_DATA, f"{form.title}“{asked}”没有匹配的数据")
