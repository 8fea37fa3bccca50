"""`hub dead-letters`: bytes that no consumer could take."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from sqlalchemy import Engine

from hub import config, wiring
from hub.audit.verbs import Operator
from hub.bus.topology import queue_of
from hub.cli.options import Limit, MaybeReason, Reason
from hub.cli.output import AsJson, By, Output, Yes, print_json, print_rows, print_table, who
from hub.database import reading
from hub.errors import BadInput, Refused
from hub.operations import dead_letters
from hub.operations.dead_letters import Filter

app = typer.Typer(
    name="dead-letters", help="Bytes that are no event, or were delivered too often.", no_args_is_help=True
)

Numbers = Annotated[list[int], typer.Argument(help="Numbers of dead letters.", metavar="NUMBER")]
MaybeNumbers = Annotated[list[int] | None, typer.Argument(help="Numbers of dead letters.", metavar="NUMBER")]
_COLUMNS = ("id", "queue", "reason", "seen", "recorded_at", "detail")


@app.command("list")
def list_(
    queue: Annotated[str | None, typer.Option(help="Only of this queue.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only with this reason.")] = None,
    settled: Annotated[bool, typer.Option("--all", help="Settled ones too.")] = False,
    limit: Limit = 100,
    output: Output = "table",
) -> None:
    """Dead letters that nobody has settled, the newest first."""
    chosen = Filter(queue, reason, None if settled else dead_letters.OPEN)
    with wiring.hub_engine(config.load(), "dead-letters") as engine, reading(engine) as connection:
        rows = dead_letters.listed(connection, chosen, limit)
    print_rows(output, rows, (*_COLUMNS, "state") if settled else _COLUMNS)


@app.command()
def show(
    number: Annotated[int, typer.Argument(help="Number of a dead letter, as the list shows it.", metavar="NUMBER")],
    body: Annotated[bool, typer.Option("--body", help="Show the bytes; this leaves a row in the audit.")] = False,
    json_: AsJson = False,
    by: By = None,
) -> None:
    """One dead letter with its headers."""
    with wiring.hub_engine(config.load(), "dead-letters") as engine:
        facts = dead_letters.show(engine, Operator(who(by), "operator"), number, body)
    if json_:
        print_json(facts)
    else:
        print_table(["what", "value"], [(name.replace("_", " "), value) for name, value in facts.items()])


@app.command()
def requeue(
    numbers: MaybeNumbers = None,
    reason: Annotated[str | None, typer.Option(help="All open ones with this reason instead.")] = None,
    why: MaybeReason = None,
    yes: Yes = False,
    by: By = None,
) -> None:
    """Give events that can be read now to the ledgers of their systems. Needs --yes where more than one is meant."""
    settings = config.load()
    operator = Operator(who(by), "operator")
    systems = _systems(settings)
    with wiring.hub_engine(settings, "dead-letters") as engine:
        with reading(engine) as connection:
            chosen = Filter(reason=reason, ids=tuple(numbers) if numbers else None)
            found = dead_letters.listed(connection, chosen, 10_000)
        if _only_shown(numbers, reason, found, yes):
            return
        refused = [said for each in found if (said := _given(engine, operator, each, systems, why))]
    if refused:
        raise Refused("; ".join(refused))


@app.command()
def discard(numbers: Numbers, why: Reason, by: By = None) -> None:
    """Settle dead letters that nobody needs."""
    with wiring.hub_engine(config.load(), "dead-letters") as engine:
        done = dead_letters.discard(engine, Operator(who(by), "operator"), list(dict.fromkeys(numbers)), why)
    typer.echo(f"discarded: {', '.join(map(str, done))}")


def _systems(settings: config.Settings) -> dict[str, str]:
    queues = {name: queue_of(name, settings.bus.prefix) for name in config.SYSTEMS}
    return {of: name for name, queue in queues.items() for of in (queue.name, queue.dead)}


def _given(
    engine: Engine, by: Operator, letter: dict[str, Any], systems: dict[str, str], why: str | None
) -> str | None:
    """Give one to its system; the reason where that cannot be."""
    try:
        system = _system_of(letter, systems)
        event = dead_letters.requeue(engine, by, letter["id"], system, why)
    except Refused as error:
        return str(error)
    typer.echo(f"{letter['id']}: {event.subject} version {event.order.version} was given to {system}")
    return None


def _system_of(letter: dict[str, Any], systems: dict[str, str]) -> str:
    queue = letter["queue"]
    if queue not in systems:
        raise Refused(f"dead letter {letter['id']} is of {queue}, which is no system's queue: look at HUB_BUS__PREFIX")
    return systems[queue]


def _only_shown(numbers: list[int] | None, reason: str | None, found: list[dict[str, Any]], yes: bool) -> bool:
    if (not numbers) == (reason is None):
        raise BadInput("NUMBER or --reason: say which dead letters, by one of them; see hub dead-letters list")
    if missing := sorted(set(numbers or ()) - {each["id"] for each in found}):
        raise BadInput(f"NUMBER: not open: {', '.join(map(str, missing))}; see hub dead-letters list")
    if yes or len(numbers or ()) == 1:
        return False
    then = "; add --yes to do it" if found else ""
    typer.echo(f"{len(found)} dead letters would be given to their ledgers{then}")
    return True
