"""A database in memory, on a clock of our own, whose process may die or lose it at any statement."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import cache
from typing import Any, Protocol

from sqlalchemy import create_engine, event
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import StaticPool

from hub import database, migrations
from hub.consumers import interface_tables


class Fate(Protocol):
    """Is told of every statement and commit, and may raise."""

    def at_statement(self, store: Store) -> None: ...

    def before_commit(self, store: Store) -> None: ...

    def after_commit(self, store: Store, changed: bool) -> None: ...

    def strftime(self, pattern: str, moment: str, seconds: str) -> str: ...


class Raw(sqlite3.Connection):
    """The one connection. It outlives every pool, and says so when it has committed."""

    committed: Callable[[], None] | None = None

    def commit(self) -> None:
        super().commit()
        if self.committed:
            self.committed()

    def close(self) -> None:
        if self.in_transaction:
            self.rollback()


class Store:
    """One database, empty again for each seed; its engine stays, and with it what it has compiled."""

    def __init__(self, make: Callable[[Any], None]) -> None:
        self.fate: Fate | None = None
        self.raw = self._opened()
        self.engine = create_engine("sqlite://", creator=lambda: self.raw, poolclass=StaticPool, hide_parameters=True)
        event.listen(self.engine, "connect", database._prepare_sqlite)
        event.listen(self.engine, "begin", database._begin_sqlite)
        make(self.engine)
        self._empty = self.raw.serialize()
        event.listen(self.engine, "before_cursor_execute", self._at_statement)
        event.listen(self.engine, "commit", self._before_commit)

    def begin(self, fate: Fate) -> None:
        """Empty tables, and somebody to decide what goes wrong."""
        self.end()
        self.raw = self._opened()
        self.raw.deserialize(self._empty)
        self.raw.create_function("strftime", -1, fate.strftime)
        self._changes = self.raw.total_changes
        self.fate = fate

    def end(self) -> None:
        """Nothing goes wrong any more, and nothing is kept."""
        self.fate = None
        self.engine.dispose()
        sqlite3.Connection.close(self.raw)

    def _opened(self) -> Raw:
        raw = sqlite3.connect(":memory:", factory=Raw, isolation_level=None)
        raw.committed = self._after_commit
        self._changes = 0
        return raw

    def rows(self, query: str, *values: object) -> list[Any]:
        """Rows, past everything that the hub has."""
        return self.raw.execute(query, values).fetchall()

    def _at_statement(self, *_: object) -> None:
        if self.fate:
            self.fate.at_statement(self)

    def _before_commit(self, _connection: object) -> None:
        if self.fate:
            self.fate.before_commit(self)

    def _after_commit(self) -> None:
        changed, self._changes = self.raw.total_changes != self._changes, self.raw.total_changes
        if self.fate:
            self.fate.after_commit(self, changed)


def broken(statement: str) -> OperationalError:
    """What SQLAlchemy says when the database does not answer."""
    return OperationalError(statement, None, lost())


def lost() -> sqlite3.OperationalError:
    """What the driver says when the database does not answer."""
    return sqlite3.OperationalError("disk I/O error")


@cache
def hub_store() -> Store:
    """The hub's own database."""
    return Store(migrations.upgrade)


@cache
def tables_store() -> Store:
    """The interface tables of a system."""
    return Store(interface_tables.metadata.create_all)
