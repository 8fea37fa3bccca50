"""Queries and their pages. A query keeps the records that it found, also while others write."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from hub.simulators.crm_rest import objects
from hub.simulators.crm_rest.answers import Refusal, said_with
from hub.simulators.crm_rest.soql import Malformed, parse
from hub.simulators.search import Search
from hub.simulators.store import Document, Store
from hub.simulators.web import Answer

PAGE = 2000
_MOST_QUERIES = 16


@dataclass(frozen=True, slots=True)
class _Found:
    """What a query found."""

    fields: tuple[str, ...]
    kind: str
    serials: list[int]


class Queries:
    """The queries that are being read, the newest of them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._found: OrderedDict[str, _Found] = OrderedDict()

    def first(self, text: str, version: str) -> Answer:
        """The first page of a query; raises a Refusal."""
        try:
            query = parse(text)
        except Malformed as error:
            raise Refusal(400, "MALFORMED_QUERY", str(error)) from None
        limit = -1 if query.limit is None else query.limit
        search = Search(query.kind, query.conditions, query.sortings, limit, columns=objects.COLUMNS)
        with self._store.request() as request:
            records = request.search(search)
        found = _Found(query.fields, query.kind, [record.serial for record in records])
        return _page(records[:PAGE], found, self._remember(found), PAGE, version)

    def further(self, cursor: str, offset: int, version: str) -> Answer:
        """A further page; raises a Refusal."""
        with self._lock:
            found = self._found.get(cursor)
        if found is None:
            raise Refusal(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        serials = found.serials[offset : offset + PAGE]
        with self._store.request() as request:
            records = [record for serial in serials if (record := request.at(found.kind, serial))]
        return _page(records, found, cursor, offset + PAGE, version)

    def _remember(self, found: _Found) -> str:
        cursor = uuid4().hex
        if len(found.serials) <= PAGE:
            return cursor
        with self._lock:
            self._found[cursor] = found
            if len(self._found) > _MOST_QUERIES:
                self._found.popitem(last=False)
        return cursor


def _page(records: list[Document], found: _Found, cursor: str, end: int, version: str) -> Answer:
    done = end >= len(found.serials)
    content: dict[str, Any] = {
        "totalSize": len(found.serials),
        "done": done,
        "records": [objects.shown(record, found.fields, version) for record in records],
    }
    url = f"/services/data/{version}/query/{cursor}-{end}"
    return said_with(content if done else content | {"nextRecordsUrl": url})
