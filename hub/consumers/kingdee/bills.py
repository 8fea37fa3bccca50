"""Calls about bills: what is there is read, and steps are carried out, each in one call for as many bills as it may."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from hub.calls.client import About, Call, Client
from hub.consumers.kingdee import rows
from hub.consumers.kingdee.plan import Act, Step
from hub.consumers.kingdee.rows import Sale
from hub.consumers.kingdee.session import Access
from hub.consumers.kingdee.state import Bill, State
from hub.consumers.over_http import batches
from hub.errors import CredentialsRefused, Rejected
from hub.interfaces.kingdee import WebApi
from hub.vendors.answers import Answer
from hub.vendors.kingdee import answers, envelopes
from hub.vendors.kingdee.answers import Row, SessionLost, Word
from hub.vendors.kingdee.envelopes import Form, Query, Service, among

T = TypeVar("T")

_AT_ONCE = 100
_JSON = {"Content-Type": "application/json; charset=utf-8"}
_MOVES = {
    Act.SUBMIT: Service.SUBMIT,
    Act.AUDIT: Service.AUDIT,
    Act.UNAUDIT: Service.UNAUDIT,
    Act.UNASSIGN: Service.UNASSIGN,
}
_OPERATIONS = {Act.CANCEL: "Cancel", Act.FREEZE: "YLFreeze", Act.UNFREEZE: "YLUnFreeze"}
_NEGATIVE_STOCK = "STK_InvCheckResult"


class Bills:
    """The bills of one data centre, for many threads at once."""

    def __init__(self, settings: WebApi, client: Client, access: Access) -> None:
        self._settings = settings
        self._client = client
        self._access = access
        self.page_rows = settings.page_rows
        self._rules = {
            Form.OUTSTOCK: (Form.SALE, settings.outstock_rule),
            Form.RECEIVABLE: (Form.OUTSTOCK, settings.receivable_rule),
            Form.RETURN: (Form.OUTSTOCK, settings.return_rule),
        }

    def states(self, orders: Sequence[About], until: float = math.inf) -> dict[str, State]:
        """What is there of each of these orders that is there at all."""
        found: dict[str, Sale] = {}
        keys = rows.sale_keys(self._settings.version_field)
        for some in batches(orders, _AT_ONCE):
            where = among("FBillNo", [order.order_no for order in some])
            query = Query(Form.SALE, keys, where, ("FBillNo", rows.ENTRY))
            found |= rows.sales(keys, self.rows(query, until, some))
        return self.joined(found, until, orders)

    def joined(
        self, found: Mapping[str, Sale], until: float = math.inf, about: Sequence[About] = ()
    ) -> dict[str, State]:
        """Sales orders with all that was pushed from them."""
        outstocks = self._pushed(Form.OUTSTOCK, [*found], until, about)
        numbers = [bill.number for bill in outstocks]
        receivables = self._pushed(Form.RECEIVABLE, numbers, until, about)
        returns = self._pushed(Form.RETURN, numbers, until, about)
        return {number: _state(sale, outstocks, receivables, returns) for number, sale in found.items()}

    def rows(self, query: Query, until: float = math.inf, about: Sequence[About] = ()) -> Iterator[Row]:
        """All rows of a query, page by page."""
        start = 0
        while True:
            page = self.page(query, start, until, about)
            yield from page
            start += len(page)
            if len(page) < self.page_rows:
                return

    def page(
        self,
        query: Query,
        start: int = 0,
        until: float = math.inf,
        about: Sequence[About] = (),
        most: int | None = None,
    ) -> list[Row]:
        """Rows of a query from a place on. A session that is lost is begun again once, for nothing is changed here."""
        body = envelopes.query_body(query, start, most or self.page_rows)
        for last in (False, True):
            try:
                return self._send(Service.QUERY, Service.QUERY, body, about, answers.rows, until)
            except SessionLost as error:
                if last:
                    raise CredentialsRefused("Kingdee forgets every session at once") from error
            except Rejected as error:
                # What a query names is a setting and never an order: nothing can pass until it is mended.
                raise CredentialsRefused(
                    f"Kingdee will not be asked for {query.form}: {error.field or ''} {error}"
                ) from error
        raise AssertionError

    def carry_out(
        self, steps: Sequence[Step], models: Sequence[Any], about: Sequence[About], until: float
    ) -> list[Word]:
        """One call for steps that are one act on one form; what Kingdee says of each.

        `models` are the bodies of what is created or rewritten. Raises what is said of the whole call, and SessionLost.
        """
        first = steps[0]
        if first.act is Act.PUSH:
            return [self._push(first, about, until)]
        if first.act in {Act.CREATE, Act.REWRITE, Act.MARK}:
            return self._save(steps, models, about, until)
        numbers = [step.number for step in steps]
        service = _MOVES.get(first.act, Service.OPERATE)
        operation = _OPERATIONS.get(first.act, "")
        flags = _NEGATIVE_STOCK if self._is_negative(first) else ""
        body = envelopes.numbers_body(first.form, numbers, operation, flags)
        said = operation or str(service)
        return self._send(service, f"{first.form}.{said}", body, about, answers.words(len(steps)), until)

    def _save(self, steps: Sequence[Step], models: Sequence[Any], about: Sequence[About], until: float) -> list[Word]:
        form, act, field = steps[0].form, steps[0].act, self._settings.version_field
        marked = act is Act.MARK
        given = [{"FID": _id(step.id), field: step.version} for step in steps] if marked else models
        body = envelopes.save_body(form, given, [field] if marked else ())
        service = Service.SAVE if len(steps) == 1 else Service.BATCH_SAVE
        return self._send(service, f"{form}.{service}", body, about, answers.words(len(steps)), until)

    def _push(self, step: Step, about: Sequence[About], until: float) -> Word:
        # One bill a call: a conversion may make one bill of several that have the same customer.
        source, rule = self._rules[step.form]
        body = envelopes.push_body(source, step.number, rule)
        return self._send(Service.PUSH, f"{source}.Push.{step.form}", body, about, answers.pushed, until)

    def _pushed(self, form: Form, sources: Sequence[str], until: float, about: Sequence[About]) -> list[Bill]:
        keys, named = rows.pushed_keys(form, self._settings.version_field), rows.SOURCES[form]
        found: list[Bill] = []
        for some in batches(sources, _AT_ONCE):
            query = Query(form, keys, among(named, some), ("FBillNo",))
            found += rows.pushed(keys, self.rows(query, until, about), form)
        return found

    def _send(  # noqa: PLR0913 - a call and how it is read
        self,
        service: Service,
        step: str,
        body: bytes,
        about: Sequence[About],
        read: Callable[[Answer], T],
        until: float,
    ) -> T:
        url = envelopes.service_url(str(self._settings.url), service)
        headers = self._access.headers(url, until)
        try:
            return self._client.send(Call(step, url, body, {**_JSON, **headers}, about=about), read, until)
        except SessionLost:
            self._access.lost(headers)
            raise

    def _is_negative(self, step: Step) -> bool:
        return self._settings.negative_stock and step.form is Form.OUTSTOCK and step.act is Act.AUDIT


def _state(sale: Sale, outstocks: Sequence[Bill], receivables: Sequence[Bill], returns: Sequence[Bill]) -> State:
    bill, content = sale
    left = _from((bill.number,), outstocks)
    numbers = tuple(each.number for each in left)
    return State(bill, content, left, _from(numbers, receivables), _from(numbers, returns))


def _from(sources: Sequence[str], bills: Sequence[Bill]) -> tuple[Bill, ...]:
    return tuple(bill for bill in bills if set(bill.sources) & set(sources))


def _id(text: str) -> int | str:
    return int(text) if text.isdecimal() else text
