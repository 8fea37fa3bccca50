"""The archive of published events, read backwards in pages. What is read once is kept for a while, for all queues."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import ColumnElement, Connection, func, select

from hub import clock
from hub.subscriptions.ages import Page, Row
from hub.tables import outbox_archive

SIZE = 4096
MOST_READ, MOST_KEPT = 256, 2048
KEEP_SECONDS = 600.0
_MOVING = 4
"""The newest pages: what is in them may still be on its way into the archive."""


class Archive:
    """Pages that were read before, by their number: the ids of an event divided by `SIZE`."""

    def __init__(self) -> None:
        self.kept: dict[int, tuple[float, Page]] = {}

    def walk(self, connection: Connection) -> Walk:
        """A look at the archive as it is in this transaction."""
        return Walk(self, connection)


class Walk:
    """All pages, the newest first, as often as one asks. At most `MOST_READ` are read; there it ends, for this time."""

    def __init__(self, archive: Archive, connection: Connection) -> None:
        self._archive = archive
        self._connection = connection
        self._read: dict[int, Page | None] = {}
        self._rows: dict[int, Sequence[Row]] = {}
        self._lower: dict[int, int | None] = {}
        self._newest = self._page_below(None)
        for number in sorted(archive.kept)[:-MOST_KEPT]:
            del archive.kept[number]

    def __iter__(self) -> Iterator[Page]:
        number = self._newest
        while number is not None:
            if len(self._read) >= MOST_READ and number not in self._read and number not in self._archive.kept:
                return
            page = self._page(number)
            if page is not None:
                yield page
            number = number - 1 if page is not None and number else self._below(number)

    def rows(self, page: Page) -> Sequence[Row]:
        """The events of a page, the newest first."""
        if page.number not in self._rows:
            columns = [outbox_archive.c[name] for name in Row.__dataclass_fields__]
            query = select(*columns).where(_in_page(page.number)).order_by(outbox_archive.c.id.desc())
            self._rows[page.number] = [Row(*row) for row in self._connection.execute(query)]
        return self._rows[page.number]

    def _kept(self, number: int) -> Page | None:
        """A page that was read lately, or that there is no time to read again."""
        read_at, page = self._archive.kept.get(number, (float("-inf"), None))
        lately = clock.monotonic() - read_at < KEEP_SECONDS
        return page if lately or len(self._read) >= MOST_READ else None

    def _below(self, number: int) -> int | None:
        """The next page with anything in it: ids may have holes of any size."""
        if number not in self._lower:
            self._lower[number] = self._page_below(number * SIZE)
        return self._lower[number]

    def _page_below(self, end: int | None) -> int | None:
        query = select(func.max(outbox_archive.c.id))
        newest = self._connection.execute(query if end is None else query.where(outbox_archive.c.id < end)).scalar()
        return None if newest is None else newest // SIZE

    def _page(self, number: int) -> Page | None:
        if number in self._read:
            return self._read[number]
        if (kept := self._kept(number)) is not None:
            return kept
        page = self._read[number] = _page(self._connection, number)
        if page is not None and self._newest is not None and number <= self._newest - _MOVING:
            self._archive.kept[number] = (clock.monotonic(), page)
        return page


def _page(connection: Connection, number: int) -> Page | None:
    moments = func.min(outbox_archive.c.published_at), func.max(outbox_archive.c.published_at)
    query = select(outbox_archive.c.routing_key, func.count(), *moments).where(_in_page(number))
    rows = connection.execute(query.group_by(outbox_archive.c.routing_key)).all()
    if not rows:
        return None
    counts = {key: found for key, found, _since, _until in rows}
    return Page(number, min(row[2] for row in rows), max(row[3] for row in rows), counts)


def _in_page(number: int) -> ColumnElement[bool]:
    return outbox_archive.c.id.between(number * SIZE, (number + 1) * SIZE - 1)
