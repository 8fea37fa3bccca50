"""`hub topology`: exchanges, queues, bindings, policies, users and rights on the bus."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, Literal

import typer

from hub import config, wiring
from hub.bus import operator
from hub.bus import topology as plan
from hub.bus.port import Bus
from hub.bus.rabbit.inspection import Difference, Look, by_name, inspect
from hub.bus.rabbit.making import can_make, make
from hub.bus.rabbit.management import Management
from hub.cli.output import AsJson, print_json, print_table
from hub.errors import DependencyDown
from hub.subscriptions.broker import management_of

app = typer.Typer(name="topology", help="What the bus must have, and whether it has it.", no_args_is_help=True)

DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be made.")]


@app.command("apply")
def apply_(dry_run: DryRun = False, json_: AsJson = False) -> None:
    """Make what is not there. May be run again; never changes or deletes what is."""
    settings = config.load()
    with _both(settings) as (bus, broker):
        before = looked(settings, bus, broker)
        todo = [each for each in before.apart if can_make(each)]
        if not dry_run:
            make(bus, broker, wiring.topology_of(settings), before.apart)
        after = before if dry_run else looked(settings, bus, broker)
    done = "would be made" if dry_run else "made"
    if json_:
        print_json({done.replace(" ", "_"): [str(each) for each in todo], **_facts(after)})
    else:
        _say(todo, done, after)
    _end([each for each in after.apart if not (dry_run and can_make(each))])


@app.command()
def diff(json_: AsJson = False) -> None:
    """What the bus has otherwise than it should; ends with 69 when there is anything.

    With HUB_BUS__MANAGEMENT_URL bindings, arguments, policies, users and rights are compared too.
    """
    settings = config.load()
    with _both(settings) as (bus, broker):
        look = looked(settings, bus, broker)
    if json_:
        print_json(_facts(look))
    else:
        _print(look)
    _end(look.apart)


@app.command()
def render(
    users: Annotated[
        bool, typer.Option(help="With users and rights, for a new broker: an import resets passwords.")
    ] = True,
    shape: Annotated[
        Literal["definitions", "kubernetes"],
        typer.Option("--format", help="kubernetes: resources of RabbitMQ's Messaging Topology Operator."),
    ] = "definitions",
) -> None:
    """The RabbitMQ definitions file on stdout, for `rabbitmqctl import_definitions`."""
    make_text = plan.render if users else plan.render_queues
    made = make_text(wiring.topology_of(config.load()))
    typer.echo(made if shape == "definitions" else operator.render(json.loads(made)), nl=False)


def looked(settings: config.Settings, bus: Bus, broker: Management | None) -> Look:
    """What is apart on this bus, as far as anybody tells us."""
    wanted = wiring.topology_of(settings)
    if broker is not None:
        return inspect(broker, wanted)
    return by_name(bus, wanted, "" if settings.embedded_bus else "HUB_BUS__MANAGEMENT_URL is not set")


@contextmanager
def _both(settings: config.Settings) -> Iterator[tuple[Bus, Management | None]]:
    with wiring.bus_of(settings, "topology") as bus:
        if settings.embedded_bus:
            yield bus, None
            return
        with management_of(settings) as broker:
            yield bus, broker


def _say(todo: Sequence[Difference], done: str, after: Look) -> None:
    for each in todo:
        typer.echo(f"{done}: {each.kind} {each.name}" + (f" ({each.detail})" if each.detail else ""))
    if not todo:
        typer.echo("nothing was missing" if done == "made" else "nothing would be made")
    _print(Look([each for each in after.apart if not can_make(each)], after.unseen), quiet=True)


def _print(look: Look, *, quiet: bool = False) -> None:
    if look.apart:
        rows = [(each.what, each.kind, each.name, each.detail or None, each.mend) for each in look.apart]
        print_table(["", "kind", "name", "what is otherwise", "what to do"], rows)
    elif not quiet:
        typer.echo("nothing is missing")
    for each in look.unseen:
        typer.echo(f"not looked at: {each}")


def _facts(look: Look) -> dict[str, object]:
    return {"apart": [asdict(each) for each in look.apart], "not_looked_at": look.unseen}


def _end(apart: Sequence[Difference]) -> None:
    if not apart:
        return
    missing = [each for each in apart if each.what == "missing"]
    if len(missing) == len(apart):
        raise DependencyDown(f"{len(apart)} parts of the topology are missing: run hub topology apply")
    raise DependencyDown(f"{len(apart)} parts of the topology are otherwise than they should be")
