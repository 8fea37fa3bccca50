"""Engines and transactions on PostgreSQL and SQLite, and the few SQL words that the two spell differently."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    DateTime,
    Engine,
    String,
    Table,
    collate,
    create_engine,
    event,
    literal,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

from hub import groups
from hub.errors import DependencyDown, NotAllowed, NotPrepared

Row = Mapping[str, Any]

_NO_TABLE = ("42P01", "3F000")
_NO_RIGHT = "42501"
# A server that takes no writes, as a standby after a failover.
_TAKES_NO_WRITES = "25006"
_READ_ONLY = "hub_read_only"
_RELAXED = "hub_relaxed"
RELAXED = "SET LOCAL synchronous_commit = off; "
_SQLITE_DOWN = re.compile("locked|unable to open|disk|full|readonly|malformed")
_TEXT_TIME = "%Y-%m-%dT%H:%M:%f000+00:00"


class UtcTime(TypeDecorator[datetime]):
    """An aware moment: `timestamptz` in PostgreSQL, sortable ISO text in SQLite, which has no such type."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Any) -> TypeEngine[Any]:
        """Text of fixed width where there is no type for moments."""
        kind: TypeEngine[Any] = dialect.type_descriptor(
            String(32) if dialect.name == "sqlite" else DateTime(timezone=True)
        )
        return kind

    def process_bind_param(self, value: datetime | None, dialect: Any) -> Any:
        """The moment as the store keeps it; PostgreSQL does not read every offset that there may be."""
        if value is None:
            return None
        return stored_text(value) if dialect.name == "sqlite" else value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: Any) -> datetime | None:  # noqa: ARG002 - signature of SQLAlchemy
        """The moment in UTC."""
        if value is None:
            return None
        return (datetime.fromisoformat(value) if isinstance(value, str) else value).astimezone(UTC)


class Moment(FunctionElement[datetime]):
    """The database's own clock, some seconds from now: leases never trust the clock of a host."""

    type = UtcTime()
    inherit_cache = True
    name = "moment"


@compiles(Moment, "postgresql")
def _postgres_moment(element: Moment, compiler: Any, **options: Any) -> str:
    return f"(clock_timestamp() + make_interval(secs => {compiler.process(element.clauses, **options)}))"


@compiles(Moment, "sqlite")
def _sqlite_moment(element: Moment, compiler: Any, **options: Any) -> str:
    return f"strftime('{_TEXT_TIME}', 'now', {compiler.process(element.clauses, **options)} || ' seconds')".replace(
        "%",
        "%%" if compiler.preparer._double_percents else "%",  # noqa: SLF001 - the compiler offers no public word for it
    )


def in_seconds(seconds: float | ColumnElement[float]) -> Moment:
    """The database's moment `seconds` from now, a number or a column of numbers; negative is past."""
    return Moment(literal(float(seconds)) if isinstance(seconds, (int, float)) else seconds)


def now() -> Moment:
    """The database's present moment."""
    return in_seconds(0)


def present(connection: Connection) -> datetime:
    """The present moment by the database's clock."""
    return connection.execute(select(now())).scalar_one()


def open_engine(database: groups.Database, role: str) -> Engine:
    """An engine for this database; connections show as `hub-<role>`. Nothing connects yet."""
    url = make_url(database.url.get_secret_value() if database.url else "")
    if url.get_backend_name() == "sqlite":
        return _sqlite(url, database)
    return _postgres(url.set(drivername="postgresql+psycopg2"), database, role)


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One write transaction, committed at the end. SQLite takes its write lock at once, so no upgrade can fail."""
    with _translated(), engine.begin() as connection:
        yield connection


def relaxed(engine: Engine) -> Engine:
    """The same database for `writing` that does not wait for the disk.

    What was written is there once this process is dead, and may not be once the machine is. On PostgreSQL each string
    of statements is a transaction of its own, in a single round trip, and begins with `RELAXED`.
    """
    return engine.execution_options(
        **{_RELAXED: True} | ({"isolation_level": "AUTOCOMMIT"} if is_postgres(engine) else {})
    )


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One read transaction that blocks no writer."""
    with _translated(), engine.execution_options(**{_READ_ONLY: True}).begin() as connection:
        yield connection


def is_postgres(engine: Engine | Connection) -> bool:
    """Whether PostgreSQL is behind it."""
    return engine.dialect.name == "postgresql"


def by_code(postgres: bool, column: ColumnElement[Any]) -> ColumnElement[Any]:
    """A column that is sorted and compared as Python would, whatever language the database sorts by."""
    return collate(column, "C") if postgres else column


def insert_into(connection: Connection, table: Table) -> Any:
    """The dialect's INSERT that knows ON CONFLICT."""
    return insert_of(is_postgres(connection), table)


def insert_of(postgres: bool, table: Table) -> Any:
    """The same where no connection is at hand."""
    return (postgresql if postgres else sqlite).insert(table)


def translate(error: DBAPIError) -> Exception:
    """A lost, locked or refusing database as DependencyDown; any other error as it is."""
    said = (str(error.orig).strip() or "no answer").splitlines()[0]
    code = getattr(error.orig, "pgcode", None)
    if code in _NO_TABLE or said.startswith("no such table"):
        return NotPrepared(f"database: {said}: run hub db upgrade")
    if code == _NO_RIGHT:
        return NotAllowed(f"database: {said}")
    lost = code == _TAKES_NO_WRITES or error.connection_invalidated or isinstance(error, OperationalError)
    if not lost or (isinstance(error.orig, sqlite3.Error) and not _SQLITE_DOWN.search(said)):
        return error
    return DependencyDown(f"database: {said}")


def was_cut(error: DependencyDown) -> bool:
    """Whether a connection had ended since it was used last: the next one is new."""
    return isinstance(error.__cause__, DBAPIError) and error.__cause__.connection_invalidated


def ping(engine: Engine) -> None:
    """One round trip; raises DependencyDown."""
    with reading(engine) as connection:
        connection.execute(select(1))


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise translate(error) from error
    except PoolTimeout as error:
        raise DependencyDown("database: every connection is in use; raise HUB_DB__POOL_SIZE or wait") from error


def stored_text(moment: datetime) -> str:
    """The moment as SQLite keeps it: sortable text."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _sqlite(url: URL, database: groups.Database) -> Engine:
    engine = create_engine(
        url, pool_size=database.pool_size, connect_args={"timeout": database.lock_seconds}, hide_parameters=True
    )
    if url.database:
        _make_folder(Path(url.database).parent)
        event.listen(engine, "do_connect", _make_private)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DependencyDown(
            f"{folder} cannot be made: {error.strerror}; mount or make it, "
            "or name another folder in HUB_DATA_DIR (where a URL is set, in the URL)"
        ) from error


def _make_private(dialect: Any, record: Any, arguments: list[Any], options: Any) -> None:  # noqa: ARG001 - of SQLAlchemy
    """Make a database that is not there yet for its owner alone: it will hold names and addresses.

    SQLite gives its journals the permissions of the database.
    """
    place = Path(arguments[0])
    # What cannot be made is said by SQLite, in its own words.
    with suppress(OSError):
        place.touch(mode=0o600)


def _prepare_sqlite(connection: Any, record: Any) -> None:  # noqa: ARG001 - signature of SQLAlchemy
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    if not options.get(_READ_ONLY, False):
        # Of the connection, which the next transaction may have as another left it.
        connection.exec_driver_sql(f"PRAGMA synchronous={'NORMAL' if options.get(_RELAXED, False) else 'FULL'}")
    connection.exec_driver_sql("BEGIN" if options.get(_READ_ONLY, False) else "BEGIN IMMEDIATE")


def _postgres(url: URL, database: groups.Database, role: str) -> Engine:
    limits = {
        "statement_timeout": int(database.statement_seconds * 1000),
        "lock_timeout": int(database.lock_seconds * 1000),
        "idle_in_transaction_session_timeout": 60_000,
    }
    if database.schema_name:
        limits["search_path"] = database.schema_name  # type: ignore[assignment]
    connect_args = {
        "application_name": f"hub-{role}",
        "connect_timeout": 5,
        "keepalives_idle": 15,
        "tcp_user_timeout": 30_000,
        "options": " ".join(f"-c {name}={value}" for name, value in limits.items()),
    }
    # Who answers people asks first whether a connection is still there; whoever tries again anyway finds out by itself.
    waits = {"pool_size": database.pool_size, "pool_timeout": database.lock_seconds, "pool_pre_ping": role == "api"}
    return create_engine(url, connect_args=connect_args, hide_parameters=True, **waits)
