"""纷享销客 (Fxiaoke): an order is a record with its lines as details, made in one call.

Nothing is unique there, so an order is looked up by its number before it is made, and the ledger gives an order to
one worker at a time. Where the CRM has told the record's id and nothing is in doubt, the record is changed without a
query. Lines never change in the OMS; where somebody changed them in the CRM, a person has to put them right there.
"""

from __future__ import annotations

import math
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from hub.calls.client import About, Call, Client
from hub.consumers.in_turn import in_turn
from hub.consumers.over_http import OverHttp, about, asking, batches, chosen_batches, impersonal, reading_of
from hub.consumers.system import Receipt, Result, Shown, Wanted
from hub.consumers.token import Token
from hub.errors import Rejected, SystemFailure
from hub.interfaces import crm, map_file
from hub.interfaces.fxiaoke_map import FieldMap
from hub.schemas.facts import LineFacts, OrderFacts
from hub.sides import EVERYTHING, Chosen
from hub.vendors import fxiaoke
from hub.vendors.answers import Answer
from hub.vendors.fxiaoke import MOST_ROWS, Pass, condition
from hub.vendors.fxiaoke_orders import few_enough, line_facts, line_records, order_facts, order_record, shown_version
from hub.vendors.json_body import text

_AT_ONCE = MOST_ROWS // 2
"""Orders in one query, so that those with two records are seen."""

Found = TypeVar("Found")
_Rows = list[dict[str, Any]]


class Fxiaoke(OverHttp):
    """The CRM; many threads may use it at once, each with orders of its own."""

    def __init__(self, settings: crm.Fxiaoke, client: Client) -> None:
        super().__init__("crm", client)
        self._settings = settings
        self._fields = map_file.load(settings.field_map, FieldMap, "HUB_SYSTEMS__CRM__FXIAOKE__FIELD_MAP")
        self._token: Token[Pass] = Token(self._fetched)

    def apply(self, wanted: Sequence[Wanted], until: float = math.inf) -> list[Result]:
        """One query for those whose record is not known for sure, then a call each."""
        unsure = [item.order.order_no for item in wanted if not _is_sure(item)]
        try:
            records = self._records(unsure, until)
        except SystemFailure as failure:
            return [failure] * len(wanted)
        results = in_turn(wanted, partial(self._bring, records=records, until=until), until)
        return [impersonal(result, item.order) for item, result in zip(wanted, results, strict=True)]

    def look(self, order_numbers: Sequence[str], until: float = math.inf) -> list[Shown | SystemFailure]:
        """One query for every fifty orders. An order with two records is Rejected, which names them."""
        try:
            records = self._records(order_numbers, until)
        except SystemFailure as failure:
            return [failure] * len(order_numbers)
        return in_turn(order_numbers, lambda number: self._shown(records[number]))

    def facts(self, chosen: Chosen = EVERYTHING) -> Iterator[OrderFacts]:
        """Page by page behind the last order number, and the lines of each page."""
        with reading_of(self.name):
            for page in self._pages(chosen):
                lines = self._lines_of(page)
                for row in page:
                    yield order_facts(row, lines[text(row.get("_id"))], self._fields)

    def ping(self) -> None:
        """A query for one order that cannot be there."""
        with reading_of(self.name):
            self._records(["-"], math.inf)

    def _bring(self, item: Wanted, records: Mapping[str, _Rows], until: float) -> Receipt:
        if not _is_sure(item):
            return self._compared(item, records[item.order.order_no], until)
        try:
            return self._update(item, item.external_ref or "", item.known_version, until)
        except Rejected:
            # Perhaps the record is not there any more.
            return self._compared(item, self._records([item.order.order_no], until)[item.order.order_no], until)

    def _compared(self, item: Wanted, rows: _Rows, until: float) -> Receipt:
        shown, order = self._shown(rows), item.order
        if shown.external_ref is None:
            return Receipt(order.version, 0, self._create(item, until))
        if order.version + item.rewrite <= shown.version:
            return Receipt(shown.version, shown.version, shown.external_ref)
        receipt = self._update(item, shown.external_ref, shown.version, until)
        if item.rewrite:
            self._check_lines(item, rows, until)
        return receipt

    def _shown(self, rows: _Rows) -> Shown:
        if len(rows) > 1:
            ids = " and ".join(sorted(text(row.get("_id")) for row in rows))
            raise Rejected(f"records {ids} are of the same order: make one of them void", self._fields.order.order_no)
        return Shown(shown_version(rows[0], self._fields), text(rows[0].get("_id"))) if rows else Shown(0)

    def _create(self, item: Wanted, until: float) -> str:
        kinds = self._fields.order.object, self._fields.line.object
        fields = {**self._fields.order.constants, **self._record(item)}
        body = fxiaoke.creating(kinds[0], fields, kinds[1], line_records(item.order, self._fields))
        return self._called(kinds[0], "create", body, fxiaoke.read_created, until, [about(item)])

    def _update(self, item: Wanted, record: str, found: int, until: float) -> Receipt:
        kind = self._fields.order.object
        body = fxiaoke.updating(kind, record, self._record(item))
        self._called(kind, "update", body, fxiaoke.read_done, until, [about(item)])
        return Receipt(item.order.version, found, record)

    def _record(self, item: Wanted) -> dict[str, object]:
        return order_record(item.order, self._fields, with_receiver=self._settings.with_receiver)

    def _check_lines(self, item: Wanted, rows: _Rows, until: float) -> None:
        (lines,) = (self._lines_of(rows, until)[text(row.get("_id"))] for row in rows)
        ours = tuple(LineFacts(*(getattr(line, name) for name in LineFacts._fields)) for line in item.order.lines)
        if line_facts(lines, self._fields) != ours:
            raise Rejected(
                f"lines of record {rows[0].get('_id')} were changed in the CRM: put them right there", "lines"
            )

    def _records(self, numbers: Sequence[str], until: float) -> dict[str, _Rows]:
        """The records of each order: none, one, or too many."""
        names = self._fields.order
        found: dict[str, _Rows] = {number: [] for number in numbers}
        for batch in batches(sorted(found), _AT_ONCE):
            filters = [condition(names.order_no, "IN", *batch)]
            for row in self._query(names.object, filters, [names.order_no], [], until=until):
                found.setdefault(text(row.get(names.order_no)), []).append(row)
        return found

    def _pages(self, chosen: Chosen) -> Iterator[_Rows]:
        numbers = chosen_batches(chosen, _AT_ONCE)
        if numbers is None:
            yield from self._all()
            return
        for batch in numbers:
            found = self._records(batch, math.inf)
            yield [row for number in batch for row in found[number]]

    def _all(self) -> Iterator[_Rows]:
        """Each query goes on behind the last number: records that come or go meanwhile move no page."""
        names = self._fields.order
        behind = condition(names.order_no, "ISN")
        while page := self._query(names.object, [behind], [names.order_no], []):
            yield page
            if len(page) < MOST_ROWS:
                return
            behind = condition(names.order_no, "GT", text(page[-1].get(names.order_no)))

    def _lines_of(self, heads: _Rows, until: float = math.inf) -> dict[str, _Rows]:
        names = self._fields.line
        found: dict[str, _Rows] = defaultdict(list)
        for group in few_enough(heads, self._fields):
            filters = [condition(names.order, "IN", *group)]
            for offset in range(0, fxiaoke.DEEPEST + 1, MOST_ROWS):
                page = self._query(names.object, filters, [names.order, "_id"], [], offset, until)
                for row in page:
                    found[text(row.get(names.order))].append(row)
                if len(page) < MOST_ROWS:
                    break
        return found

    def _query(  # noqa: PLR0913 - the parts of a query
        self,
        kind: str,
        filters: Sequence[Mapping[str, object]],
        order_by: Sequence[str],
        fields: Sequence[str],
        offset: int = 0,
        until: float = math.inf,
    ) -> _Rows:
        body = fxiaoke.querying(kind, filters, order_by, fields, offset)
        with asking():
            return self._called(kind, "query", body, fxiaoke.read_rows, until)

    def _called(  # noqa: PLR0913 - the parts of a call
        self,
        kind: str,
        step: str,
        body: bytes,
        read: Callable[[Answer], Found],
        until: float,
        concerned: Sequence[About] = (),
    ) -> Found:
        call = self._call(step, fxiaoke.path(kind, step), body, concerned)
        return self._token.used(lambda entry: self.client.send(self._let_in(call, entry), read, until))

    def _let_in(self, call: Call, entry: Pass) -> Call:
        headers = {**call.headers, **fxiaoke.headers(entry, self._settings.user_id)}
        return replace(call, headers=headers, params={"thirdTraceId": str(uuid.uuid4())})

    def _call(self, step: str, path: str, body: bytes, concerned: Sequence[About] = ()) -> Call:
        headers = {"Content-Type": "application/json"}
        traced = {"thirdTraceId": str(uuid.uuid4())}
        return Call(step, f"{self._settings.url}{path}", body, headers, traced, about=concerned)

    def _fetched(self, _refused: Pass | None) -> Pass:
        given = self._settings
        secrets = given.app_secret.get_secret_value(), given.permanent_code.get_secret_value()
        body = fxiaoke.token_body(given.app_id, *secrets)
        return self.client.send(self._call("token", "/oauth2.0/token", body), fxiaoke.read_pass)


def _is_sure(item: Wanted) -> bool:
    return item.external_ref is not None and item.is_next and not item.rewrite
