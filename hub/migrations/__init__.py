"""The hub's tables from one release to the next, up and down, on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Engine
from sqlalchemy.schema import CreateSchema

from hub.database import reading, writing
from hub.errors import BadInput, DependencyDown


def upgrade(engine: Engine, revision: str = "head", schema: str | None = None) -> None:
    """Bring the tables to a revision, the newest unless named; makes the schema first where one is named.

    Tables that a newer release has brought further are left as they are.
    """
    if revision == "head" and (current(engine) or "") > newest():
        return
    with writing(engine) as connection:
        if schema:
            connection.execute(CreateSchema(schema, if_not_exists=True))
        with _translated():
            command.upgrade(_config(connection), revision)


def downgrade(engine: Engine, revision: str) -> None:
    """Bring the tables back to an older revision; `base` takes everything away."""
    with writing(engine) as connection, _translated():
        command.downgrade(_config(connection), revision)


def current(engine: Engine) -> str | None:
    """The revision that the tables are at."""
    with reading(engine) as connection:
        return MigrationContext.configure(connection).get_current_revision()


def newest() -> str:
    """The revision that this release of the hub needs."""
    return str(ScriptDirectory.from_config(_config(None)).get_current_head())


def check(engine: Engine) -> None:
    """Raise DependencyDown unless this release can work on the tables: they are at its revision, or at a newer one.

    Within a thousand, revisions only add, so the release before works on beside the next one and after a rollback. One
    that takes something away begins the next thousand, and is for a release that has stopped to use it.
    """
    found, needed = current(engine), newest()
    if found is None or found < needed:
        raise DependencyDown(
            f"the hub's tables are at {found or 'nothing'}, this release needs {needed}: run hub db upgrade"
        )
    if found[:-3] != needed[:-3]:
        raise DependencyDown(
            f"the hub's tables are at {found}, made by a release that took away what this one needs ({needed}): "
            "run that release, or with it hub db downgrade"
        )


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except CommandError as error:
        raise BadInput(f"revision: {error}") from error


def _config(connection: object) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
