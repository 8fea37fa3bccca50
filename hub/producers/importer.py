"""Order histories from a file into the OMS: JSON Lines, plain or gzipped, safe to run twice and to resume.

A line holds an order as its shop knows it and the statuses it went through (docs/import-format.md). An order that is
here already gets only the steps it lacks; a bad line goes to the rejects and costs no other line anything.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Annotated, TextIO

from pydantic import AwareDatetime, BeforeValidator, Field, ValidationError
from sqlalchemy import Connection, Engine

from hub.database import writing
from hub.errors import NotFound, Refused
from hub.oms import orders
from hub.oms.orders import Act
from hub.schemas.facts import lines_hash
from hub.schemas.lifecycle import TRANSITIONS, Role
from hub.schemas.money import fen_from_yuan
from hub.schemas.order import Change, NewOrder, Order, Strict
from hub.schemas.registry import describe

LINES_PER_TRANSACTION = 50
LONGEST_LINE = 1024 * 1024
ACTOR = "import"

_VERBS = {row.change: row.verb for row in TRANSITIONS}


def _fen(value: object) -> object:
    return fen_from_yuan(value) if isinstance(value, str) else value


class ImportedLine(Strict):
    """A position; `unit_price` is decimal text in yuan."""

    sku: str
    name: str
    quantity: int
    unit_price: Annotated[int, BeforeValidator(_fen)]


class ImportedOrder(Strict):
    """One line of the file."""

    channel_order_no: str
    channel: str
    shop: str = "main"
    customer_id: str
    vip: bool = False
    lines: list[ImportedLine]
    history: Annotated[list[tuple[Change, AwareDatetime]], Field(min_length=1, max_length=100)]

    def order(self) -> NewOrder:
        """The order without what happened to it."""
        return NewOrder.model_validate(self.model_dump(exclude={"history"}))


@dataclass(frozen=True)
class Reject:
    """A line that was not taken, and why."""

    line: int
    reason: str
    text: str


@dataclass
class Tally:
    """What an import has done so far."""

    lines: int = 0
    orders_created: int = 0
    versions_written: int = 0
    unchanged: int = 0
    rejects: list[Reject] = field(default_factory=list)


def import_file(engine: Engine, path: Path, rejects: TextIO, progress: Callable[[Tally], object]) -> Tally:
    """Replay a file into the OMS, some lines in each transaction. NotFound where the file cannot be read.

    Each reject is written as it is found, one JSON object a line with `line`, `reason` and the text itself.
    """
    tally = Tally()
    numbered = enumerate(_lines(path), start=1)
    while batch := list(islice(numbered, LINES_PER_TRANSACTION)):
        with writing(engine) as connection:
            found = [reject for number, text in batch if (reject := _take(connection, number, text, tally))]
        for reject in found:
            rejects.write(json.dumps(vars(reject), ensure_ascii=False) + "\n")
        tally.rejects += found
        tally.lines += len(batch)
        progress(tally)
    return tally


def _lines(path: Path) -> Iterator[str]:
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8", errors="surrogateescape") as file:
            yield from (line.rstrip("\n") for line in file)
    except (OSError, EOFError) as error:
        raise NotFound(f"{path}: cannot be read: {error}") from error


def _take(connection: Connection, number: int, text: str, tally: Tally) -> Reject | None:
    try:
        imported = _parsed(text)
        with connection.begin_nested():
            _replay(connection, imported, tally)
    except ValidationError as error:
        return _reject(number, describe(error), text)
    except (Refused, ValueError) as error:
        return _reject(number, str(error), text)
    return None


def _reject(number: int, reason: str, text: str) -> Reject:
    return Reject(number, reason, text.encode(errors="surrogateescape").decode(errors="replace"))


def _parsed(text: str) -> ImportedOrder:
    if len(text) > LONGEST_LINE:
        raise ValueError(f"line of {len(text)} characters is over the limit of {LONGEST_LINE}")
    return ImportedOrder.model_validate_json(text.encode(errors="surrogateescape"))


def _replay(connection: Connection, imported: ImportedOrder, tally: Tally) -> None:
    new = imported.order()
    known = orders.find(connection, new.channel, new.shop, new.channel_order_no)
    steps = list(imported.history)
    if known is None:
        order = _created(connection, new, steps)
        written = 1
    else:
        orders.lock(connection, known)
        order = _same(orders.load(connection, known), new)
        _agree(steps, [step.change for step in orders.history(connection, known)], known)
        written = 0
    for change, moment in steps[order.version :]:
        order = orders.advance(connection, order, _VERBS[change], _act(moment))
        written += 1
    tally.orders_created += known is None
    tally.versions_written += written
    tally.unchanged += written == 0


def _created(connection: Connection, new: NewOrder, steps: list[tuple[Change, AwareDatetime]]) -> Order:
    first, moment = steps[0]
    if first is not Change.CREATED:
        raise ValueError(f"history.0: begins with {first}, must begin with created")
    return orders.create(connection, new, _act(moment))


def _same(order: Order, new: NewOrder) -> Order:
    if order.customer_id != new.customer_id or lines_hash(order.lines) != lines_hash(new.lines):
        raise Refused(
            f"channel_order_no: {new.channel_order_no} is order {order.order_no} with other customer or lines"
        )
    return order


def _agree(steps: Iterable[tuple[Change, AwareDatetime]], here: list[str], order_no: str) -> None:
    for position, ((change, _), ours) in enumerate(zip(steps, here, strict=False)):
        if change != ours:
            raise Refused(f"history.{position}: the file says {change}, order {order_no} was {ours} at that version")


def _act(moment: AwareDatetime) -> Act:
    return Act(ACTOR, Role.ADMIN, reason="imported", occurred_at=moment)
