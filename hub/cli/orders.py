"""`hub orders`: bring histories in, look an order up."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from sqlalchemy import Engine

from hub import assembly, clock, config, wiring
from hub.cli.daemons import arm_crash_point
from hub.cli.options import Limit, known_system
from hub.cli.output import AsJson, Output, print_json, print_rows, print_table
from hub.consumers import standings
from hub.database import reading
from hub.errors import BadInput, NotFound
from hub.oms import listing, orders
from hub.producers.importer import ShopKey, Tally, import_file
from hub.reconcile import rules_file
from hub.reconcile.check import lost_numbers
from hub.schemas.lifecycle import next_verbs
from hub.schemas.money import yuan_from_fen
from hub.schemas.order import Order, Status

app = typer.Typer(name="orders", help="Orders of the OMS.", no_args_is_help=True)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="JSON Lines, .jsonl or .jsonl.gz; see docs/import-format.md.")],
    rejects: Annotated[Path | None, typer.Option(help="Where bad lines go. Default: FILE.rejects.jsonl here.")] = None,
    numbers_from: Annotated[
        str | None,
        typer.Option(help="After a restore: give orders that the OMS lost the numbers that this system knows them by."),
    ] = None,
    json_: AsJson = False,
) -> None:
    """Replay order histories into the OMS. May be run again: an order gets only the steps it lacks.

    Ends with 65 when lines were rejected; the others are in.
    """
    settings = config.load()
    arm_crash_point(settings)
    refused = rejects or Path(f"{file.name.removesuffix('.gz').removesuffix('.jsonl')}.rejects.jsonl")
    _check_paths(file, refused)
    started = clock.monotonic()
    with (
        wiring.hub_engine(settings, "import") as engine,
        refused.open("w", encoding="utf-8") as out,
        _progress() as show,
    ):
        numbers = _known_numbers(engine, settings, numbers_from) if numbers_from else {}
        tally = import_file(engine, file, out, show, numbers)
    seconds = clock.monotonic() - started
    _print_tally(tally, seconds, json_)
    if tally.rejects:
        first = tally.rejects[0]
        raise BadInput(
            f"{len(tally.rejects)} lines were rejected, the first is line {first.line}: {first.reason}; see {refused}"
        )
    refused.unlink()


@app.command("list")
def list_(
    number: Annotated[str | None, typer.Option(help="The shop's number of the order.")] = None,
    channel: Annotated[str | None, typer.Option(help="Only orders of this channel.")] = None,
    status: Annotated[Status | None, typer.Option(help="Only orders that stand there.")] = None,
    limit: Limit = 20,
    output: Output = "table",
) -> None:
    """Orders, the newest first; by the shop's number, where that is all one has."""
    with wiring.hub_engine(config.load(), "list") as engine, reading(engine) as connection:
        found = listing.listed(connection, listing.Filter(number, channel, status), limit)
    if output == "table":
        print_table(["order", "channel", "shop's number", "status", "total"], map(_listed_cells, found))
    else:
        print_rows(output, found, listing.LISTED)


def _listed_cells(row: dict[str, Any]) -> list[Any]:
    total = f"{row['currency']} {yuan_from_fen(row['total'])}"
    return [row["order_no"], row["channel"], row["channel_order_no"], row["status"], total]


@app.command()
def show(order_no: str, json_: AsJson = False) -> None:
    """An order, its history, and where each system stands with it."""
    with wiring.hub_engine(config.load(), "show") as engine, reading(engine) as connection:
        order = orders.load(connection, order_no)
        history = [vars(step) for step in orders.history(connection, order_no)]
        systems = standings.entries(connection, order_no)
    if json_:
        facts = order.model_dump(mode="json", exclude_none=True)
        print_json({"order": facts, "history": history, "systems": systems, "next": next_verbs(order.status)})
        return
    _print_order(order)
    print_table(["version", "change", "when", "who", "role", "reason"], map(_step_cells, history))
    print_table(["system", "wanted", "applied", "parked", "last error"], [list(each.values())[:5] for each in systems])


def _known_numbers(engine: Engine, settings: config.Settings, name: str) -> dict[ShopKey, str]:
    """The numbers of orders that a system has and the OMS has not; BadInput where it cannot know them."""
    rules = rules_file.load(settings.reconcile.rules, settings.interfaces).of(known_system(name, "--numbers-from"))
    system = assembly.system_of(settings, name, engine)
    try:
        if not system.lists or not rules.keeps_shop_numbers:
            raise BadInput(
                f"--numbers-from: {name} cannot list its orders with the shops' numbers; name a system that can"
            )
        numbers = lost_numbers(engine, system, rules)
    finally:
        system.close()
    typer.echo(
        f"{name} knows {len(numbers):,} orders that the OMS has not; those in the file keep their number", err=True
    )
    return numbers


def _print_order(order: Order) -> None:
    facts = {
        "order": order.order_no,
        "channel": order.channel,
        "shop's number": order.channel_order_no,
        "status": order.status,
        "total": f"{order.currency} {yuan_from_fen(order.total)}",
        "next": ", ".join(next_verbs(order.status)),
    }
    print_table(list(facts), [list(facts.values())])


def _step_cells(step: dict[str, Any]) -> list[Any]:
    return [step[name] for name in ("version", "change", "occurred_at", "actor", "role", "reason")]


def _check_paths(file: Path, refused: Path) -> None:
    if not file.is_file():
        raise NotFound(f"{file}: there is no such file")
    if not os.access(refused.resolve().parent, os.W_OK):
        raise BadInput(f"--rejects: {refused} cannot be written; name another place")


@contextmanager
def _progress() -> Iterator[Callable[[Tally], object]]:
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading", total=None)
        yield lambda tally: bar.update(task, description=_sentence(tally))


def _sentence(tally: Tally) -> str:
    return f"{tally.lines:,} lines, {tally.versions_written:,} versions written, {len(tally.rejects):,} rejected"


def _print_tally(tally: Tally, seconds: float, as_json: bool) -> None:
    facts = {
        "lines": tally.lines,
        "orders_created": tally.orders_created,
        "versions_written": tally.versions_written,
        "unchanged": tally.unchanged,
        "rejected": len(tally.rejects),
        "seconds": round(seconds, 2),
    }
    if as_json:
        print_json(facts)
    else:
        print_table([name.replace("_", " ") for name in facts], [list(facts.values())])
