"""Who writes orders: the hub itself, or a company's own OMS through `oms_outbox`. Never both."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import Connection, Engine

from hub.errors import WrittenElsewhere


class Writer(StrEnum):
    """The single writer of orders, as `HUB_OMS__WRITER` names it."""

    HUB = "hub"
    OWN = "own"


_OPTION = "hub_writer"
_SENTENCES = {
    Writer.OWN: "orders are written by the company's own OMS (HUB_OMS__WRITER=own): make the change there, "
    "and it comes here as a row of oms_outbox",
    Writer.HUB: "orders are written by the hub (HUB_OMS__WRITER=hub): rows of oms_outbox are left alone",
}


def appoint(engine: Engine, writer: Writer) -> None:
    """Let everything that goes through this engine know who writes orders."""
    engine.update_execution_options(**{_OPTION: writer})


def check(place: Engine | Connection, by: Writer) -> None:
    """WrittenElsewhere, before anything is written, unless orders are written by this one."""
    appointed = Writer(place.get_execution_options().get(_OPTION, Writer.HUB))
    if appointed is not by:
        raise WrittenElsewhere(_SENTENCES[appointed])
