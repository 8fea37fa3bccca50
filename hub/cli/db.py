"""`hub db`: the hub's own tables."""

from __future__ import annotations

from typing import Annotated

import typer

from hub import config, migrations, wiring
from hub.migrations.roles import statements as role_statements

app = typer.Typer(name="db", help="The hub's own tables.", no_args_is_help=True)


@app.command()
def upgrade(revision: Annotated[str, typer.Argument(help="The newest unless named.")] = "head") -> None:
    """Bring the tables to a revision; nothing happens where they are at it."""
    settings = config.load()
    with wiring.hub_engine(settings, "upgrade") as engine:
        wiring.upgrade(engine, settings, revision)
        typer.echo(f"tables are at revision {migrations.current(engine)}")


@app.command()
def downgrade(
    revision: Annotated[str, typer.Argument(help="An older revision, or base for none.")],
    yes: Annotated[bool, typer.Option("--yes", help="Really do it: columns and tables of newer revisions go.")] = False,
) -> None:
    """Bring the tables back to an older revision. Data of newer tables is lost."""
    with wiring.hub_engine(config.load(), "upgrade") as engine:
        if not yes:
            typer.echo(f"would go from {migrations.current(engine)} to {revision}; add --yes to do it")
            return
        migrations.downgrade(engine, revision)
        typer.echo(f"tables are at revision {migrations.current(engine) or 'base'}")


@app.command()
def roles(
    schema: Annotated[str | None, typer.Option(help="Default: HUB_DB__SCHEMA_NAME, else public.")] = None,
    prefix: Annotated[str, typer.Option(help="What the names of the roles begin with.")] = "hub_",
) -> None:
    """The SQL for PostgreSQL roles of least rights on stdout: only the OMS may write orders."""
    chosen = schema or config.load().db.schema_name or "public"
    typer.echo("\n".join(role_statements(chosen, prefix)))


@app.command()
def current() -> None:
    """The revision the tables are at, and the one this release needs."""
    with wiring.hub_engine(config.load(), "upgrade") as engine:
        typer.echo(f"at {migrations.current(engine) or 'nothing'}, needed {migrations.newest()}")
