"""管家婆 (Grasp): an order is a trade that is pushed whole; pushed again, it takes the place of what was there.

Every status has a pair of numbers there, so an order is shown from its first version on: an intercepted one as one
whose buyer wants his money back, which keeps its goods in the warehouse. A batch is read before it is pushed, so that
nothing newer is overwritten and nothing is pushed twice.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from hub import clock
from hub.calls.client import About, Call, Client
from hub.consumers.in_turn import in_turn
from hub.consumers.over_http import OverHttp, about, asking, batches, chosen_batches, impersonal, reading_of
from hub.consumers.system import Receipt, Result, Shown, Wanted
from hub.consumers.token import Token
from hub.errors import CredentialsRefused, Rejected, SystemFailure
from hub.interfaces import erp, map_file
from hub.interfaces.grasp_map import FieldMap
from hub.schemas.facts import OrderFacts
from hub.sides import EVERYTHING, Chosen
from hub.vendors import grasp
from hub.vendors.answers import Answer
from hub.vendors.grasp import PAGE, Keys, Pass
from hub.vendors.grasp_orders import order_facts, shown_version, trade
from hub.vendors.json_body import encoded, text

_TYPED = {"Content-Type": "application/x-www-form-urlencoded"}

Found = TypeVar("Found")
_Row = dict[str, Any]


class Grasp(OverHttp):
    """The ERP; many threads may use it at once."""

    def __init__(self, settings: erp.Grasp, client: Client) -> None:
        super().__init__("erp", client)
        self._settings = settings
        self._fields = map_file.load(settings.field_map, FieldMap, "HUB_SYSTEMS__ERP__GRASP__FIELD_MAP")
        secret, sign_key = settings.app_secret.get_secret_value(), settings.sign_key.get_secret_value()
        self._keys = Keys(settings.app_key, secret, sign_key, settings.shop_key)
        given, refresh = settings.token.get_secret_value(), settings.refresh_token.get_secret_value()
        self._token: Token[Pass] = Token(self._fetched, Pass(given, refresh) if given else None)

    def apply(self, wanted: Sequence[Wanted], until: float = math.inf) -> list[Result]:
        """One query and one push for a batch; where that is refused, each order is pushed alone."""
        return [result for batch in batches(wanted, PAGE) for result in self._applied(batch, until)]

    def look(self, order_numbers: Sequence[str], until: float = math.inf) -> list[Shown | SystemFailure]:
        """One query for every hundred orders."""
        return [shown for batch in batches(order_numbers, PAGE) for shown in self._looked(batch, until)]

    def facts(self, chosen: Chosen = EVERYTHING) -> Iterator[OrderFacts]:
        """Page by page behind the last number; of all trades only those that bear a version."""
        with reading_of(self.name):
            for row in self._rows(chosen):
                yield order_facts(row, self._fields)

    def ping(self) -> None:
        """A query for one order that cannot be there."""
        with reading_of(self.name):
            self._trades(["-"], math.inf)

    def _applied(self, wanted: Sequence[Wanted], until: float) -> list[Result]:
        try:
            shown = self._versions([item.order.order_no for item in wanted], until)
        except SystemFailure as failure:
            return [failure] * len(wanted)
        due = [item for item in wanted if item.order.version + item.rewrite > shown[item.order.order_no]]
        pushed = self._pushed(due, until) if due else {}
        return [impersonal(pushed.get(item.order.order_no) or _receipt(item, shown), item.order) for item in wanted]

    def _looked(self, numbers: Sequence[str], until: float) -> list[Shown | SystemFailure]:
        try:
            shown = self._versions(numbers, until)
        except SystemFailure as failure:
            return [failure] * len(numbers)
        return [Shown(shown[number]) for number in numbers]

    def _pushed(self, due: Sequence[Wanted], until: float) -> Mapping[str, SystemFailure]:
        """The orders that were not taken, and why."""
        try:
            return self._push(due, until)
        except Rejected as failure:
            if len(due) == 1:
                return {due[0].order.order_no: failure}
        except SystemFailure as failure:
            return {item.order.order_no: failure for item in due}
        results = in_turn([[item] for item in due], partial(self._pushed, until=until), until)
        return {
            number: failure for item, result in zip(due, results, strict=True) for number, failure in _of(item, result)
        }

    def _push(self, due: Sequence[Wanted], until: float) -> Mapping[str, Rejected]:
        receiver = self._settings.with_receiver
        trades = [trade(item.order, self._fields, with_receiver=receiver) for item in due]
        told = {"orders": encoded(trades).decode()}
        return self._called("uploadsaleorders", told, grasp.read_pushed, until, [about(item) for item in due])

    def _versions(self, numbers: Sequence[str], until: float) -> dict[str, int]:
        found = {text(row.get("tradeid")): shown_version(row) for row in self._trades(numbers, until)}
        return {number: found.get(number, 0) for number in numbers}

    def _rows(self, chosen: Chosen) -> Iterator[_Row]:
        numbers = chosen_batches(chosen, PAGE)
        if numbers is None:
            yield from self._all()
            return
        for batch in numbers:
            yield from sorted(self._trades(batch, math.inf), key=lambda row: text(row.get("tradeid")))

    def _all(self) -> Iterator[_Row]:
        rows = self._query({})
        while rows:
            yield from (row for row in rows if shown_version(row))
            if len(rows) < PAGE:
                return
            rows = self._query({self._fields.query.after: text(rows[-1].get("tradeid"))})

    def _trades(self, numbers: Sequence[str], until: float) -> list[_Row]:
        wanted = json.dumps(list(numbers), separators=(",", ":"))
        found = self._query({self._fields.query.numbers: wanted}, until)
        return [row for row in found if text(row.get("tradeid")) in set(numbers)]

    def _query(self, told: Mapping[str, str], until: float = math.inf) -> list[_Row]:
        asked = {"pagesize": str(PAGE), "pageno": "1", **told}
        with asking():
            return self._called("querysaleorder", asked, grasp.read_orders, until)

    def _called(
        self,
        step: str,
        told: Mapping[str, str],
        read: Callable[[Answer], Found],
        until: float,
        concerned: Sequence[About] = (),
    ) -> Found:
        method = f"{self._settings.prefix}.selfbuiltmall.{step}"

        def call(entry: Pass) -> Found:
            body = grasp.form(self._keys, entry.token, method, clock.utcnow(), told)
            url = f"{self._settings.url}/"
            return self.client.send(Call(step, url, body, _TYPED, form="urlencoded", about=concerned), read, until)

        return self._token.used(call)

    def _fetched(self, refused: Pass | None) -> Pass:
        refresh = refused.refresh if refused else self._settings.refresh_token.get_secret_value()
        code = self._settings.auth_code.get_secret_value()
        if refresh:
            return self._exchanged("refresh_token", refresh)
        if code:
            return self._exchanged("auth_token", code)
        raise CredentialsRefused("the token has run out; set refresh_token, or log in with a browser and set auth_code")

    def _exchanged(self, grant: str, param: str) -> Pass:
        body = grasp.token_form(self._keys, grant, param, clock.utcnow())
        call = Call("token", f"{self._settings.url}/token", body, _TYPED, form="urlencoded")
        found = self.client.send(call, partial(grasp.read_token, app_secret=self._keys.app_secret))
        return found if found.refresh else found._replace(refresh=param if grant == "refresh_token" else "")


def _receipt(item: Wanted, shown: Mapping[str, int]) -> Receipt:
    found = shown[item.order.order_no]
    return Receipt(max(item.order.version, found), found)


def _of(item: Wanted, result: Mapping[str, SystemFailure] | SystemFailure) -> Iterator[tuple[str, SystemFailure]]:
    if isinstance(result, SystemFailure):
        yield item.order.order_no, result
    else:
        yield from result.items()
