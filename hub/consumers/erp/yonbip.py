"""用友 YonBIP: a paid order is a sales order that is saved, submitted and audited.

What lacks is found by asking: an order is looked up by its number, and only the steps that are missing are taken. A
cancelled order is taken back and deleted while no goods have left for it; afterwards it is the business of people. An
intercepted order stays as it is, since it may be released; so does a refunded one, because this interface does not
tell whether its goods have left, and money is settled by people with a return. Neither is made for that alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import Any, TypeVar

from hub import clock
from hub.calls.client import About, Call, Client
from hub.consumers.in_turn import in_turn
from hub.consumers.over_http import OverHttp, about, asking, chosen_batches, reading_of
from hub.consumers.system import Receipt, Result, Shown, Wanted
from hub.consumers.token import Token
from hub.errors import OutcomeUnknown, Rejected, SystemFailure
from hub.interfaces import erp, map_file
from hub.interfaces.yonbip_map import FieldMap
from hub.schemas.facts import OrderFacts
from hub.schemas.order import Order, Status
from hub.sides import EVERYTHING, Chosen
from hub.vendors import yonbip
from hub.vendors.answers import Answer
from hub.vendors.json_body import encoded, text
from hub.vendors.yonbip_orders import bill, is_as_wanted, order_facts, shown_number, shown_version

_ORDERS = "/yonbip/sd/voucherorder"
_TOKEN = "/open-auth/selfAppAuth/base/v1/getAccessToken"  # noqa: S105 - a path
_IN_FORCE = {Status.PAID, Status.PICKING, Status.SHIPPED, Status.COMPLETED}

Found = TypeVar("Found")
_Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Document:
    """A sales order as it was read: its head with each of its lines."""

    rows: _Rows
    version: int

    @property
    def head(self) -> dict[str, Any]:
        """Any row has it."""
        return self.rows[0]

    @property
    def id(self) -> str:
        """Its number in YonBIP."""
        return text(self.head.get("id"))

    @property
    def in_force(self) -> bool:
        """Whether it is audited."""
        return yonbip.is_audited(self.head)

    @property
    def shown(self) -> int:
        """The version that it shows in force."""
        return self.version if self.in_force else 0


class Yonbip(OverHttp):
    """The ERP; many threads may use it at once."""

    def __init__(self, settings: erp.Yonbip, client: Client) -> None:
        super().__init__("erp", client)
        self._settings = settings
        self._fields = map_file.load(settings.field_map, FieldMap, "HUB_SYSTEMS__ERP__YONBIP__FIELD_MAP")
        self._token = Token(self._fetched)

    def apply(self, wanted: Sequence[Wanted], until: float = math.inf) -> list[Result]:
        """One after the other; an order that is in force and stays so costs no call."""
        return in_turn(wanted, partial(self._bring, until=until), until)

    def look(self, order_numbers: Sequence[str], until: float = math.inf) -> list[Shown | SystemFailure]:
        """One query each. What is not audited yet is not shown."""
        return in_turn(order_numbers, partial(self._look, until=until), until)

    def facts(self, chosen: Chosen = EVERYTHING) -> Iterator[OrderFacts]:
        """Pages of rows behind the last number, or a query for each of the numbers that were chosen.

        Of all orders only those that bear a version: the others are people's own.
        """
        with reading_of(self.name):
            for rows in self._documents(chosen):
                yield order_facts(rows, self._fields)

    def ping(self) -> None:
        """A list of one order that cannot be there."""
        with reading_of(self.name):
            self._rows(("eq", "-"))

    def _bring(self, item: Wanted, until: float) -> Receipt:
        order = item.order
        if order.status is Status.PENDING_PAYMENT or _stays(item):
            return Receipt(order.version, item.known_version, heard=False)
        found = self._find(order.order_no, until)
        if found and found.version > order.version:
            return Receipt(found.version, found.shown, found.id)
        if order.status is Status.CANCELLED:
            return self._taken_back(item, found, until)
        if order.status in _IN_FORCE:
            return self._put_in_force(item, found, until)
        return Receipt(order.version, found.shown if found else 0, found.id if found and found.in_force else None)

    def _put_in_force(self, item: Wanted, found: Document | None, until: float) -> Receipt:
        replaced = "" if found else item.external_ref or ""
        if found and item.rewrite and not is_as_wanted(found.rows, item.order, self._fields):
            self._remove(item, found, until)
            replaced, found = found.id, None
        document = found or self._save(item, replaced, until)
        if not document.in_force:
            self._audit(item, document, until)
        return Receipt(item.order.version, found.shown if found else 0, document.id)

    def _taken_back(self, item: Wanted, found: Document | None, until: float) -> Receipt:
        if found:
            self._remove(item, found, until)
        return Receipt(item.order.version, found.shown if found else 0)

    def _remove(self, item: Wanted, found: Document, until: float) -> None:
        if yonbip.is_under_way(found.head):
            raise Rejected(f"goods have left for sales order {found.id}: settle it in YonBIP with a return")
        if not yonbip.is_open(found.head):
            self._do(item, "batchunaudit", [{"id": found.id}], until)
        self._do(item, "delete", {"id": [found.id]}, until)

    def _save(self, item: Wanted, replaced: str, until: float) -> Document:
        order = item.order
        key = yonbip.resubmit_key(order.order_no, order.version, replaced)
        body = {"data": bill(order, self._fields, key)}
        try:
            saved = self._called("singleSave", encoded(body), yonbip.read_saved, until, [about(item)])
        except yonbip.Repeated as repeated:
            return self._saved_before(order, repeated, until)
        if (number := shown_number(saved, self._fields)) != order.order_no:
            field = self._fields.number_field
            raise Rejected(f"sales order {saved['id']} got {number!r}: allow numbers of our own in YonBIP", field)
        return Document([saved], order.version)

    def _saved_before(self, order: Order, repeated: SystemFailure, until: float) -> Document:
        found = self._find(order.order_no, until)
        if found is None:
            raise OutcomeUnknown(f"saved before and not to be found: {repeated}") from repeated
        return found

    def _audit(self, item: Wanted, document: Document, until: float) -> None:
        refused: Rejected | None = None
        if yonbip.is_open(document.head):
            try:
                self._do(item, "batchsubmit", [{"id": document.id}], until)
            except Rejected as failure:
                # An order that was submitted already looks open where no approval is set up.
                refused = failure
        try:
            self._do(item, "batchaudit", [{"id": document.id}], until)
        except Rejected as failure:
            raise refused or failure from failure

    def _do(self, item: Wanted, step: str, data: object, until: float) -> None:
        self._called(step, encoded({"data": data}), yonbip.read_done, until, [about(item)])

    def _look(self, order_no: str, until: float) -> Shown:
        found = self._find(order_no, until)
        return Shown(found.shown, found.id) if found else Shown(0)

    def _find(self, order_no: str, until: float) -> Document | None:
        rows = [row for page in self._pages(("eq", order_no), until) for row in page]
        rows = [row for row in rows if shown_number(row, self._fields) == order_no]
        if len(ids := sorted({text(row.get("id")) for row in rows})) > 1:
            raise Rejected(f"sales orders {' and '.join(ids)} have the same number: delete one in YonBIP")
        return Document(rows, shown_version(rows[0], self._fields)) if rows else None

    def _documents(self, chosen: Chosen) -> Iterator[_Rows]:
        numbers = chosen_batches(chosen, 1)
        if numbers is None:
            yield from self._all()
            return
        for (number,) in numbers:
            if found := self._find(number, math.inf):
                yield found.rows

    def _all(self) -> Iterator[_Rows]:
        """Each query goes on behind the last whole order: what comes or goes meanwhile moves no page."""
        behind: tuple[str, str] | None = None
        while True:
            rows, is_last = self._whole_orders(behind)
            for _, document in groupby(rows, key=lambda row: shown_number(row, self._fields)):
                if shown_version((found := list(document))[0], self._fields):
                    yield found
            if is_last:
                return
            behind = ("gt", shown_number(rows[-1], self._fields))

    def _whole_orders(self, behind: tuple[str, str] | None) -> tuple[_Rows, bool]:
        """Rows of at least one whole order, and whether there are no more behind them."""
        rows: _Rows = []
        for page in self._pages(behind, math.inf):
            rows += page
            last = shown_number(rows[-1], self._fields) if rows else ""
            if len(page) == yonbip.PAGE and shown_number(rows[0], self._fields) != last:
                return [row for row in rows if shown_number(row, self._fields) != last], False
        return rows, True

    def _pages(self, condition: tuple[str, str] | None, until: float) -> Iterator[_Rows]:
        page, rows = 1, self._rows(condition, 1, until)
        yield rows
        while len(rows) == yonbip.PAGE:
            page += 1
            rows = self._rows(condition, page, until)
            yield rows

    def _rows(self, condition: tuple[str, str] | None, page: int = 1, until: float = math.inf) -> _Rows:
        body = yonbip.listing(self._fields.number_field, condition, page)
        with asking():
            return self._called("list", body, yonbip.read_list, until)

    def _called(
        self, step: str, body: bytes, read: Callable[[Answer], Found], until: float, concerned: Sequence[About] = ()
    ) -> Found:
        headers = {"Content-Type": "application/json"}
        call = Call(step, f"{self._settings.url}{_ORDERS}/{step}", body, headers, about=concerned)
        return self._token.used(
            lambda token: self.client.send(replace(call, params={"access_token": token}), read, until)
        )

    def _fetched(self, _refused: str | None) -> str:
        milliseconds = int(clock.utcnow().timestamp() * 1000)
        secret = self._settings.app_secret.get_secret_value()
        query = yonbip.token_query(self._settings.app_key, secret, milliseconds)
        call = Call("token", f"{self._settings.token_url}{_TOKEN}", params=query, method="GET")
        return self.client.send(call, yonbip.read_token)


def _stays(item: Wanted) -> bool:
    """Whether an order is known to be in force and remains so: its own number is only told of one that is.

    Who is asked for a version that was brought before is told that it is lost, and knows nothing.
    """
    sure = item.external_ref is not None and item.is_next and not item.rewrite
    return sure and item.order.status is not Status.CANCELLED
