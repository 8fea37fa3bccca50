"""What a simulated system keeps: documents and the journal of effects, in an SQLite database of its own.

The journal is the judge of "each effect once": an effect is written in the transaction that changes the document,
so it counts what happened and not what was called.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub import clock
from hub.simulators.search import Search, indexed, order_by, where

_SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = OFF;
CREATE TABLE IF NOT EXISTS documents (
    serial INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    number TEXT NOT NULL,
    content TEXT NOT NULL,
    UNIQUE (kind, number)
);
CREATE TABLE IF NOT EXISTS names (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    serial INTEGER NOT NULL,
    PRIMARY KEY (kind, name, serial)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS names_of ON names (serial);
CREATE TABLE IF NOT EXISTS journal (
    serial INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    effect TEXT NOT NULL,
    kind TEXT NOT NULL,
    number TEXT NOT NULL,
    version INTEGER,
    repeats INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS journal_of ON journal (kind, number);
"""
_MOST_VALUES = 500
_MOST_INDEXES = 12


class Taken(Exception):
    """There is a document of this kind with this number already."""


@dataclass
class Document:
    """A document; what changes in `content` or `number` is kept by `Request.keep`."""

    serial: int
    kind: str
    number: str
    content: dict[str, Any]


class Store:
    """The database of one simulated system. One request at a time is at it, whatever thread it comes from."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.executescript(_SCHEMA)
        self._indexed: set[str] = set()

    @contextmanager
    def request(self) -> Iterator[Request]:
        """One transaction: documents and journal are committed together at its end, or nothing after an error."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield Request(self._connection, self._indexed)
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def by_hand(self, kind: str, where: Mapping[str, Any], changed: Mapping[str, Any] | None) -> None:
        """Do what somebody does behind everybody's back: change fields of documents, or with None delete them.

        `where` are fields, and `number`, that a document must have. It is no effect of a call, and not in the journal.
        LookupError where there is no such document.
        """
        with self.request() as request:
            meant = [
                each for each in request.all(kind) if where.items() <= (each.content | {"number": each.number}).items()
            ]
            if not meant:
                raise LookupError(f"there is no {kind} with {dict(where)}")
            for document in meant:
                request.change_by_hand(document, changed)

    def journal(self) -> list[dict[str, Any]]:
        """Every effect, the oldest first: serial, at, effect, kind, number, version, repeats."""
        with self._lock:
            found = self._connection.execute("SELECT * FROM journal ORDER BY serial")
            names = [column[0] for column in found.description]
            rows = [dict(zip(names, row, strict=True)) for row in found]
        return [row | {"repeats": bool(row["repeats"])} for row in rows]

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._connection.close()


class Request:
    """What may be done within one transaction."""

    def __init__(self, connection: sqlite3.Connection, indexed: set[str]) -> None:
        self._connection = connection
        self._indexed = indexed

    def create(self, kind: str, number: str, content: dict[str, Any], names: Iterable[str] = ()) -> Document:
        """A new document, which is found by `names` too; raises Taken where the number is."""
        try:
            made = self._connection.execute(
                "INSERT INTO documents (kind, number, content) VALUES (?, ?, ?)", (kind, number, _json(content))
            )
        except sqlite3.IntegrityError:
            raise Taken(number) from None
        document = Document(int(made.lastrowid or 0), kind, number, content)
        self._name(document, names)
        return document

    def keep(self, document: Document, names: Iterable[str] | None = None) -> None:
        """Write a changed document; its further names stay unless given. Raises Taken where its new number is."""
        try:
            self._connection.execute(
                "UPDATE documents SET number = ?, content = ? WHERE serial = ?",
                (document.number, _json(document.content), document.serial),
            )
        except sqlite3.IntegrityError:
            raise Taken(document.number) from None
        if names is not None:
            self._forget_names(document)
            self._name(document, names)

    def remove(self, document: Document) -> None:
        """Delete a document; its serial is never given again."""
        self._forget_names(document)
        self._connection.execute("DELETE FROM documents WHERE serial = ?", (document.serial,))

    def change_by_hand(self, document: Document, changed: Mapping[str, Any] | None) -> None:
        """Write other fields into a document, or with None delete it."""
        if changed is None:
            self.remove(document)
        else:
            document.content |= changed
            self.keep(document)

    def find(self, kind: str, number: str) -> Document | None:
        """The document with this number."""
        return next(iter(self._select("kind = ? AND number = ?", (kind, number))), None)

    def at(self, kind: str, serial: int) -> Document | None:
        """The document with this serial id."""
        return next(iter(self._select("kind = ? AND serial = ?", (kind, serial))), None)

    def numbered(self, kind: str, numbers: Iterable[str]) -> list[Document]:
        """Those with one of these numbers, by serial."""
        return self._by_values(kind, numbers, "number IN ({})")

    def named(self, kind: str, names: Iterable[str]) -> list[Document]:
        """Those with one of these further names, by serial."""
        return self._by_values(kind, names, "serial IN (SELECT serial FROM names WHERE kind = ?1 AND name IN ({}))")

    def all(self, kind: str) -> list[Document]:
        """Every document of a kind, by serial."""
        return self._select("kind = ?", (kind,))

    def search(self, search: Search) -> list[Document]:
        """Those that a search finds, sorted as it says; raises WrongField."""
        self._index(search)
        found = where(search)
        tail = f"{found.text} ORDER BY {order_by(search)} LIMIT ? OFFSET ?"
        return self._select(tail, (*found.bound, search.limit, search.offset), order="")

    def lengths(self, search: Search, field: str) -> list[int]:
        """Of each document that a search finds, sorted as it says, how long the list in a field is."""
        self._index(search)
        found, length = where(search), f"json_array_length(content, '$.{field}')"
        rows = self._connection.execute(
            f"SELECT {length} FROM documents WHERE {found.text} ORDER BY {order_by(search)}", found.bound
        )
        return [count or 0 for (count,) in rows]

    def count(self, search: Search) -> int:
        """How many a search finds, whatever its limit; raises WrongField."""
        self._index(search)
        found = where(search)
        counted = self._connection.execute(f"SELECT count(*) FROM documents WHERE {found.text}", found.bound)
        return int(counted.fetchone()[0])

    def effect(self, effect: str, document: Document, version: int | None = None) -> None:
        """Count a change that this transaction makes; `repeats` where the same one of that version is there already."""
        told = (effect, document.kind, document.number, version)
        repeats = self._connection.execute(
            "SELECT 1 FROM journal WHERE effect = ? AND kind = ? AND number = ? AND version IS ? LIMIT 1", told
        ).fetchone()
        self._connection.execute(
            "INSERT INTO journal (at, effect, kind, number, version, repeats) VALUES (?, ?, ?, ?, ?, ?)",
            (clock.utcnow().isoformat(), *told, repeats is not None),
        )

    def _by_values(self, kind: str, values: Iterable[str], condition: str) -> list[Document]:
        wanted = sorted(set(values))
        found: dict[int, Document] = {}
        for start in range(0, len(wanted), _MOST_VALUES):
            some = wanted[start : start + _MOST_VALUES]
            marks = ", ".join(f"?{place}" for place in range(2, len(some) + 2))
            rows = self._select(f"kind = ?1 AND {condition.format(marks)}", (kind, *some))
            found |= {document.serial: document for document in rows}
        return [found[serial] for serial in sorted(found)]

    def _index(self, search: Search) -> None:
        for name, place in indexed(search).items():
            if len(self._indexed) < _MOST_INDEXES and name not in self._indexed:
                self._connection.execute(f'CREATE INDEX IF NOT EXISTS "by_{name}" ON documents (kind, {place})')
                self._indexed.add(name)

    def _select(self, condition: str, values: tuple[object, ...], order: str = "ORDER BY serial") -> list[Document]:
        rows = self._connection.execute(
            f"SELECT serial, kind, number, content FROM documents WHERE {condition} {order}", values
        )
        return [Document(serial, kind, number, json.loads(content)) for serial, kind, number, content in rows]

    def _name(self, document: Document, names: Iterable[str]) -> None:
        rows = [(document.kind, name, document.serial) for name in names]
        self._connection.executemany("INSERT OR IGNORE INTO names (kind, name, serial) VALUES (?, ?, ?)", rows)

    def _forget_names(self, document: Document) -> None:
        self._connection.execute("DELETE FROM names WHERE serial = ?", (document.serial,))


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))
