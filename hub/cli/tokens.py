"""`hub token`: who may call the OMS."""

from __future__ import annotations

from typing import Annotated

import typer

from hub import config, wiring
from hub.audit.verbs import Operator, record
from hub.cli.output import AsJson, By, print_json, print_table, who
from hub.database import reading, writing
from hub.oms import tokens
from hub.schemas.lifecycle import Role

app = typer.Typer(name="token", help="Who may call the OMS.", no_args_is_help=True)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Who will use it; shows in every history.")],
    role: Annotated[Role, typer.Option(help="What the caller may do.")],
    channel: Annotated[str, typer.Option(help="Only orders of this channel; * for all.")] = tokens.ANY_CHANNEL,
    by: By = None,
) -> None:
    """Make a token and print it once: only a hash is kept."""
    with wiring.hub_engine(config.load(), "token") as engine, writing(engine) as connection:
        token = tokens.add(connection, name, role, channel)
        given = {"role": str(role), "channel": channel}
        record(connection, Operator(who(by)), "token.add", name, details=given)
    typer.echo(token)


@app.command()
def revoke(name: str, by: By = None) -> None:
    """Take a token's rights away at once."""
    with wiring.hub_engine(config.load(), "token") as engine, writing(engine) as connection:
        tokens.revoke(connection, name)
        record(connection, Operator(who(by)), "token.revoke", name)
    typer.echo(f"{name} is revoked")


@app.command("list")
def list_(json_: AsJson = False) -> None:
    """Every token, without its secret."""
    with wiring.hub_engine(config.load(), "token") as engine, reading(engine) as connection:
        found = tokens.listed(connection)
    if json_:
        print_json(found)
    else:
        print_table(["name", "role", "channel", "made", "revoked"], [list(each.values()) for each in found])
