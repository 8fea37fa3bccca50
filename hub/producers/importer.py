"""Order histories from a file into the OMS: JSON Lines, plain or gzipped, safe to run twice and to resume.

A line holds an order as its shop knows it and the statuses it went through (docs/import-format.md). An order that is
here already gets only the steps it lacks; a bad line goes to the rejects and costs no other line anything.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, TextIO

from pydantic import BeforeValidator, Field, ValidationError
from sqlalchemy import Connection, Engine
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from hub.database import writing
from hub.errors import DependencyDown, NotAllowed, NotFound, NotPrepared, Refused
from hub.oms import orders, writer
from hub.oms.orders import Act, Changed
from hub.oms.writer import Writer
from hub.schemas.facts import lines_hash
from hub.schemas.json_text import refuse_ambiguous
from hub.schemas.lifecycle import TRANSITIONS, Role
from hub.schemas.money import fen_from_yuan
from hub.schemas.order import Change, NewOrder, Order, Receiver, Strict
from hub.schemas.registry import describe
from hub.schemas.text import Moment

LINES_PER_TRANSACTION = 50
LONGEST_LINE = 1024 * 1024
PATIENCE_SECONDS = 120
"""How long one transaction is tried again while others keep the database to themselves or it restarts."""
ACTOR = "import"

ShopKey = tuple[str, str, str]
"""How a shop knows an order: channel, shop, number there."""

_FIELD = re.compile(r"([a-z_]+(?:\.[a-z_0-9]+)*): ")
_VERBS = {row.change: row.verb for row in TRANSITIONS}

_NONE: Mapping[ShopKey, str] = MappingProxyType({})


def _fen(value: object) -> int:
    if not isinstance(value, str):
        raise ValueError('must be decimal text in yuan, such as "168.00"')  # noqa: TRY004 - pydantic names the field for this
    return fen_from_yuan(value)


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
    warehouse: str | None = None
    receiver: Receiver | None = None
    lines: list[ImportedLine]
    history: Annotated[list[tuple[Change, Moment]], Field(min_length=1, max_length=100)]

    def order(self) -> NewOrder:
        """The order without what happened to it."""
        return NewOrder.model_validate(self.model_dump(exclude={"history"}))


@dataclass(frozen=True)
class Numbered:
    """A line that could be read."""

    line: int
    text: str
    new: NewOrder
    history: list[tuple[Change, Moment]]

    @property
    def key(self) -> ShopKey:
        """How its shop knows it."""
        return self.new.channel, self.new.shop, self.new.channel_order_no


@dataclass(frozen=True)
class Reject:
    """A line that was not taken, the first field that stands against it, and why. `body` is the line as a whole."""

    line: int
    field: str
    reason: str
    text: str


@dataclass
class Replayed:
    """What one transaction did."""

    orders_created: int = 0
    versions_written: int = 0
    unchanged: int = 0
    rejects: list[Reject] = field(default_factory=list)


@dataclass
class Tally(Replayed):
    """What an import has done so far."""

    lines: int = 0

    def count(self, done: Replayed) -> None:
        """One transaction more; its rejects are counted with those of its lines."""
        self.orders_created += done.orders_created
        self.versions_written += done.versions_written
        self.unchanged += done.unchanged


def import_file(
    engine: Engine,
    path: Path,
    rejects: TextIO,
    progress: Callable[[Tally], object],
    numbers: Mapping[ShopKey, str] = _NONE,
) -> Tally:
    """Replay a file into the OMS, some lines in each transaction. NotFound where the file cannot be read.

    An order that is new gets the number that `numbers` has for it, where it was known before and was lost.

    DependencyDown where the database takes nothing for two minutes; what was committed until then stays.
    WrittenElsewhere where orders have another writer.

    Each reject is written as it is found, one JSON object a line with `line`, `field`, `reason` and the `text` itself.
    """
    writer.check(engine, Writer.HUB)
    tally = Tally()
    numbered = enumerate(_lines(path), start=1)
    while batch := list(islice(numbered, LINES_PER_TRANSACTION)):
        found = _take(engine, batch, tally, numbers)
        rejects.writelines(json.dumps(vars(reject), ensure_ascii=False) + "\n" for reject in found)
        tally.rejects += found
        tally.lines += len(batch)
        progress(tally)
    return tally


def _lines(path: Path) -> Iterator[str]:
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8", errors="surrogateescape") as file:
            yield from (line.rstrip("\n") for line in file)
    except (OSError, EOFError, zlib.error) as error:
        raise NotFound(f"{path}: cannot be read: {error}") from error


def _take(engine: Engine, batch: list[tuple[int, str]], tally: Tally, numbers: Mapping[ShopKey, str]) -> list[Reject]:
    parsed, rejects = _parse_all(batch)
    again = Retrying(
        retry=retry_if_exception(_may_pass),
        stop=stop_after_delay(PATIENCE_SECONDS),
        wait=wait_random_exponential(0.05, 2),
        reraise=True,
    )
    for group in _without_repeats(parsed):
        # Nothing of a transaction that failed is there, and what was committed is found unchanged.
        replayed = again(_replayed, engine, group, numbers)
        tally.count(replayed)
        rejects += replayed.rejects
    return rejects


def _may_pass(error: BaseException) -> bool:
    """A database that is locked by others or restarts; one that lacks tables or rights stays as it is."""
    return isinstance(error, DependencyDown) and not isinstance(error, (NotPrepared, NotAllowed))


def _parse_all(batch: list[tuple[int, str]]) -> tuple[list[Numbered], list[Reject]]:
    parsed, rejects = [], []
    for number, text in batch:
        try:
            imported = _parsed(text)
            parsed.append(Numbered(number, text, imported.order(), imported.history))
        except ValidationError as error:
            rejects.append(_reject(number, describe(error), text))
        except ValueError as error:
            rejects.append(_reject(number, str(error), text))
    return parsed, rejects


def _without_repeats(parsed: list[Numbered]) -> Iterator[list[Numbered]]:
    """Groups in which no order stands twice: the second line of an order must find the first one written."""
    group: dict[ShopKey, Numbered] = {}
    for each in parsed:
        if each.key in group:
            yield list(group.values())
            group = {}
        group[each.key] = each
    yield list(group.values())


def _reject(number: int, reason: str, text: str) -> Reject:
    named = _FIELD.match(reason)
    return Reject(
        number, named[1] if named else "body", reason, text.encode(errors="surrogateescape").decode(errors="replace")
    )


def _parsed(text: str) -> ImportedOrder:
    if len(text) > LONGEST_LINE:
        raise ValueError(f"line of {len(text)} characters is over the limit of {LONGEST_LINE}")
    body = text.encode(errors="surrogateescape")
    imported = ImportedOrder.model_validate_json(body)
    refuse_ambiguous(body)
    return imported


def _replayed(engine: Engine, group: list[Numbered], numbers: Mapping[ShopKey, str]) -> Replayed:
    with writing(engine) as connection:
        return _replay(connection, group, numbers)


def _replay(connection: Connection, group: list[Numbered], numbers: Mapping[ShopKey, str]) -> Replayed:
    changes, done = [], Replayed()
    for each in group:
        try:
            steps = _lacking(connection, each, numbers.get(each.key))
        except (Refused, ValueError) as error:
            done.rejects.append(_reject(each.line, str(error), each.text))
            continue
        changes += steps
        done.unchanged += not steps
        done.orders_created += bool(steps) and steps[0].previous is None
    orders.write(connection, changes)
    done.versions_written = len(changes)
    return done


def _lacking(connection: Connection, each: Numbered, number: str | None) -> list[Changed]:
    known = orders.find(connection, *each.key)
    if known is None:
        created = _created(each, number)
        return [created, *_steps(created.order, each, 1)]
    return list(_steps(*_present(connection, known, each)))


def _steps(order: Order, each: Numbered, taken: int) -> Iterator[Changed]:
    """What the file says of an order after the first so many changes."""
    for position in range(taken, len(each.history)):
        changed = _step(order, each, position)
        order = changed.order
        yield changed


def _step(order: Order, each: Numbered, position: int) -> Changed:
    change, moment = each.history[position]
    try:
        return orders.following(order, _VERBS[change], _act(moment))
    except Refused as error:
        raise Refused(f"history.{position}: {error}") from error


def _created(each: Numbered, number: str | None) -> Changed:
    change, moment = each.history[0]
    if change is not Change.CREATED:
        raise ValueError(f"history.0: begins with {change}, must begin with created")
    return orders.first(each.new, _act(moment), number)


def _present(connection: Connection, order_no: str, each: Numbered) -> tuple[Order, Numbered, int]:
    orders.lock(connection, order_no)
    order = _same(orders.load(connection, order_no), each.new)
    here = [step.change for step in orders.real_steps(orders.history(connection, order_no))]
    _agree(each.history, here, order_no)
    return order, each, len(here)


def _same(order: Order, new: NewOrder) -> Order:
    if order.customer_id != new.customer_id or lines_hash(order.lines) != lines_hash(new.lines):
        raise Refused(
            f"channel_order_no: {new.channel_order_no} is order {order.order_no} with other customer or lines"
        )
    return order


def _agree(steps: Iterable[tuple[Change, Moment]], here: list[str], order_no: str) -> None:
    for position, ((change, _), ours) in enumerate(zip(steps, here, strict=False)):
        if change != ours:
            raise Refused(f"history.{position}: the file says {change}, order {order_no} was {ours} then")


def _act(moment: Moment) -> Act:
    return Act(ACTOR, Role.ADMIN, reason="imported", occurred_at=moment)
