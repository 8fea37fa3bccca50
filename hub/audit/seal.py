"""Seals: everything up to a moment as one line, to be kept where nobody who can write the database can write.

A chain tells that a row was changed; whoever can change every row can also link a whole chain anew. The line of a seal
that is kept elsewhere does not change with it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Select, select

from hub.audit import verbs
from hub.audit.chain import START, link
from hub.database import by_code, in_seconds, insert_into, is_postgres, reading, writing
from hub.errors import BadInput, Refused
from hub.tables import order_history, seals

MARGIN_SECONDS = 300.0
"""Longer than any transaction of the hub lasts: limits on statements, locks and idle connections end one that hangs."""

_FIELDS = ("number", "cut", "versions", "window", "verbs", "verb")
_LINE = re.compile(r"orderhub-seal 1 ([1-9]\d{0,17}) (\S{1,40}) (\d{1,18}) (\d{1,18}) ([0-9a-f]{64})", re.ASCII)
_BATCH = 2000
_SEALS = select(seals.c.number, seals.c.cut, seals.c.versions, seals.c.verbs, seals.c.digest)


@dataclass(frozen=True)
class Seal:
    """All versions recorded up to the cut and all verbs up to a number, both counted from the beginning."""

    number: int
    cut: datetime
    versions: int
    verbs: int
    digest: str


@dataclass(frozen=True)
class Window:
    """The versions recorded between two cuts: how many, and one digest over their numbers and hashes."""

    versions: int
    digest: str


def seal(engine: Engine, margin_seconds: float = MARGIN_SECONDS) -> Seal | None:
    """Seal what was recorded since the last seal, also where nothing was; None where the last cut is not yet past.

    The cut lies `margin_seconds` before the database's present moment, so that no transaction that began before it is
    still open. It reads the window once and takes no lock that a writer of orders could wait for.
    """
    with reading(engine) as connection:
        before = newest(connection)
        cut = connection.execute(select(in_seconds(-margin_seconds))).scalar_one()
        if before and cut <= before.cut:
            return None
        found = window(connection, before.cut if before else None, cut)
        made = following(before, cut, found, verbs.head(connection))
    _keep(engine, made)
    return made


def newest(connection: Connection) -> Seal | None:
    """The last seal."""
    row = connection.execute(_SEALS.order_by(seals.c.number.desc()).limit(1)).mappings().one_or_none()
    return Seal(**row) if row else None


def every(connection: Connection) -> list[Seal]:
    """All seals in order: one a day is few."""
    return [Seal(**row) for row in connection.execute(_SEALS.order_by(seals.c.number)).mappings()]


def window(connection: Connection, after: datetime | None, cut: datetime) -> Window:
    """What was recorded after one moment, or ever, and up to another."""
    digest, versions = hashlib.sha256(), 0
    for each in streamed(connection, _recorded(connection, after, cut)):
        row = [each["order_no"], each["version"], each["hash"]]
        digest.update(json.dumps(row, ensure_ascii=False, separators=(",", ":"), default=str).encode())
        versions += 1
    return Window(versions, digest.hexdigest())


def following(before: Seal | None, cut: datetime, found: Window, verb: tuple[int, str]) -> Seal:
    """The seal after another: over that one's digest, the window, and number and hash of the last verb."""
    number, versions = (before.number, before.versions) if before else (0, 0)
    row = {"number": number + 1, "cut": cut, "versions": versions + found.versions, "window": found.digest}
    row |= {"verbs": verb[0], "verb": verb[1]}
    digest = link(before.digest if before else START, row, _FIELDS)
    return Seal(number + 1, cut, versions + found.versions, verb[0], digest)


def line_of(made: Seal) -> str:
    """A seal as the line to keep."""
    cut = made.cut.isoformat(timespec="microseconds")
    return f"orderhub-seal 1 {made.number} {cut} {made.versions} {made.verbs} {made.digest}"


def parse(line: str) -> Seal:
    """The seal of a line that was kept; BadInput where it is none."""
    found = _LINE.fullmatch(line.strip())
    cut = _moment(found[2]) if found else None
    if found is None or cut is None:
        raise BadInput("seal: this is not a line of `hub audit seal`; give it whole, as it was printed")
    return Seal(int(found[1]), cut, int(found[3]), int(found[4]), found[5])


def streamed(
    connection: Connection, query: Select[Any], counted: Callable[[int], object] = lambda _rows: None
) -> Iterator[dict[str, Any]]:
    """The rows of a query in constant memory; `counted` is told now and then how many they are so far."""
    rows = 0
    for batch in connection.execute(query.execution_options(yield_per=_BATCH)).mappings().partitions():
        yield from map(dict, batch)
        rows += len(batch)
        counted(rows)


def _recorded(connection: Connection, after: datetime | None, cut: datetime) -> Select[Any]:
    # Every database has to sort alike, or the same rows had two digests.
    number = by_code(is_postgres(connection), order_history.c.order_no)
    columns = (order_history.c.order_no, order_history.c.version, order_history.c.hash)
    query = select(*columns).where(order_history.c.recorded_at <= cut).order_by(number, order_history.c.version)
    return query if after is None else query.where(order_history.c.recorded_at > after)


def _keep(engine: Engine, made: Seal) -> None:
    with writing(engine) as connection:
        added = insert_into(connection, seals).values(asdict(made)).on_conflict_do_nothing()
        if connection.execute(added).rowcount == 0:
            raise Refused(f"somebody else made seal {made.number} at the same moment: theirs stands, not this one")


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None
