"""Kingdee Cloud Galaxy (金蝶云星空) over its WebAPI, as the port wants it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from hub.calls.client import About, Client
from hub.consumers.kingdee import field_map, reading, rows
from hub.consumers.kingdee.bills import Bills
from hub.consumers.kingdee.run import Run
from hub.consumers.kingdee.session import access_of
from hub.consumers.kingdee.state import NOTHING, State, shown
from hub.consumers.over_http import OverHttp, reading_of
from hub.consumers.system import Result, Shown, Wanted
from hub.errors import DependencyDown, SystemFailure
from hub.interfaces.kingdee import WebApi
from hub.schemas.facts import OrderFacts
from hub.sides import EVERYTHING, Chosen, Numbers
from hub.vendors.kingdee.envelopes import Form, Query


class KingdeeWebApi(OverHttp):
    """One data centre. Raises WrongConfiguration where its field map cannot be read."""

    def __init__(self, settings: WebApi, client: Client) -> None:
        super().__init__("kingdee", client)
        self._settings = settings
        self._map = field_map.load(settings.field_map)
        self._bills = Bills(settings, client, access_of(settings, client))

    def apply(self, wanted: Sequence[Wanted], until: float = math.inf) -> list[Result]:
        """Bills are read where there may be any, and what lacks is done, as many orders in one call as may be."""
        return Run(self._bills, self._settings, self._map, until).bring(wanted)

    def look(self, order_numbers: Sequence[str], until: float = math.inf) -> list[Shown | SystemFailure]:
        """The version that audited bills bear; 0 where there is none, and where there is no field for it."""
        try:
            states = self._bills.states([About(number, 0) for number in order_numbers], until)
        except SystemFailure as failure:
            return [failure] * len(order_numbers)
        return [_shown(states.get(number, NOTHING)) for number in order_numbers]

    def facts(self, chosen: Chosen = EVERYTHING) -> Iterator[OrderFacts]:
        """Sales orders in the OMS's own words. Of people and shops nothing is read."""
        with reading_of(self.name):
            if isinstance(chosen, Numbers):
                yield from reading.some(self._bills, self._map, chosen.numbers)
            else:
                yield from reading.every(self._bills, self._map, self._settings.version_field, self._settings.listed)

    def ping(self) -> None:
        """A query that finds nothing, by whoever the hub is there, for what every other query asks for."""
        keys = rows.sale_keys(self._settings.version_field)
        try:
            self._bills.page(Query(Form.SALE, keys, "FBillNo = '-'", ("FBillNo",)), most=1)
        except SystemFailure as failure:
            raise DependencyDown(f"{self.name}: {failure}") from failure


def _shown(state: State) -> Shown:
    return Shown(shown(state), (state.sale.id or None) if state.sale else None)
