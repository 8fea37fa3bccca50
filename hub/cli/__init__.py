"""The command `hub`: one file a group of subcommands, each a few lines over what does the work."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from hub import __version__, groups, logs
from hub.cli import (
    audit,
    bulk,
    calls,
    configuration,
    daemons,
    db,
    dead_letters,
    demo,
    doctor,
    drill,
    events,
    findings,
    intake,
    maintenance,
    month,
    nightly,
    notify,
    orders,
    outbox,
    parked,
    reconcile,
    reissue,
    simulate,
    status,
    subscription_runs,
    subscription_watch,
    subscriptions,
    systems,
    tokens,
    topology,
    verify,
)
from hub.errors import HubError

app = typer.Typer(
    name="hub",
    help="Keep CRM, Kingdee, WMS and ERP equal to the orders of the OMS: each effect once, never backwards.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
)

for more in (nightly, month, findings):
    reconcile.app.registered_commands += more.app.registered_commands
subscriptions.app.registered_commands += subscription_watch.app.registered_commands
subscriptions.app.registered_commands += subscription_runs.app.registered_commands
orders.app.registered_commands += reissue.app.registered_commands
for group in (
    orders,
    outbox,
    parked,
    dead_letters,
    bulk,
    systems,
    calls,
    subscriptions,
    reconcile,
    notify,
    audit,
    tokens,
    db,
    configuration,
    topology,
    events,
    maintenance,
    subscriptions,
    intake,
    simulate,
):
    app.add_typer(group.app)
for commands in (daemons, status, demo, doctor, drill, verify):
    app.registered_commands += commands.app.registered_commands
app.registered_commands += bulk.replay_app.registered_commands


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """Run the command line; an error of ours is one line on stderr and its exit code."""
    logs.configure(groups.Log(format="console"), "hub")
    try:
        app()
    except HubError as error:
        typer.echo(f"hub: {error}", err=True)
        sys.exit(error.exit_code)
