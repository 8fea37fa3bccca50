"""`hub calls`: what was sent to the systems and what they answered."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Annotated, Any
from xml.etree.ElementTree import indent

import typer
from defusedxml import ElementTree

from hub import clock, config, wiring
from hub.calls import listing
from hub.calls.listing import Filter
from hub.calls.record import OUTCOMES
from hub.cli.options import Limit, ago, order_numbers
from hub.cli.output import AsJson, Output, print_json, print_rows, print_table, visible
from hub.database import reading
from hub.errors import BadInput, NotFound

app = typer.Typer(
    name="calls", help="Requests to the systems and their answers, without personal data.", no_args_is_help=True
)

# What a line of 80 columns has room for; the rest is in JSON and CSV, and in `show`.
_COLUMNS = ("recorded_at", "id", "system", "step", "outcome", "said")
_USUALLY = timedelta(days=1)
# The first 12 digits are the moment; 16 are enough to tell one call from the others of its millisecond.
_SHORT_ID = 16
_ID = re.compile(f"[0-9a-f]{{{_SHORT_ID},32}}")


@app.command("list")
def list_(  # noqa: PLR0913 - each is an option
    order: Annotated[str | None, typer.Option(help="Order number.")] = None,
    system: Annotated[str | None, typer.Option(help="System, or the channel of calls that came in.")] = None,
    step: Annotated[str | None, typer.Option(help="What the call does, in the word of the interface.")] = None,
    outcome: Annotated[str | None, typer.Option(help=f"One of {', '.join(OUTCOMES)}.")] = None,
    since: Annotated[
        str | None, typer.Option(help="2h, 30m, 7d or a moment. Default: a day; with --order as far as there are any.")
    ] = None,
    limit: Limit = 100,
    output: Output = "table",
) -> None:
    """Calls, the newest first. One that stays `sent` was cut off: nobody knows what became of it."""
    chosen = _filter(config.load(), order, system, step, outcome, since)
    with wiring.hub_engine(config.load(), "calls") as engine, reading(engine) as connection:
        rows = listing.listed(connection, chosen, limit)
    if not rows and output == "table":
        typer.echo(_nothing(chosen))
        return
    columns = _COLUMNS if order is None else (*_COLUMNS[:3], "version", *_COLUMNS[3:])
    print_rows(output, rows if output != "table" else [{**row, "id": row["id"][:_SHORT_ID]} for row in rows], columns)


@app.command()
def show(
    call: Annotated[
        str, typer.Argument(help="Id of a call, or how it begins, as hub calls list shows it.", metavar="ID")
    ],
    json_: AsJson = False,
) -> None:
    """One call: its masked request and answer, the orders it was about, what came of it."""
    if not _ID.fullmatch(call):
        raise BadInput(f"ID: {call[:40]!r} is no id of a call; see hub calls list")
    with wiring.hub_engine(config.load(), "calls") as engine, reading(engine) as connection:
        found = listing.entry(connection, call)
    if found is None:
        raise NotFound(f"there is no call {call}; records leave after HUB_RETENTION__CALLS_DAYS")
    if json_:
        print_json(found)
        return
    _print(found)


def _filter(settings: config.Settings, *given: str | None) -> Filter:
    order, system, step, outcome, since = given
    if outcome is not None and outcome not in OUTCOMES:
        raise BadInput(f"--outcome: calls end as {', '.join(OUTCOMES)}, not {outcome[:40]!r}")
    if order is not None:
        order_numbers("--order", [order])
    begin = ago("since", since, settings)
    if begin is None and order is None:
        begin = clock.utcnow() - _USUALLY
    return Filter(order, system, step, outcome, begin)


def _nothing(chosen: Filter) -> str:
    about = f" about order {chosen.order_no}" if chosen.order_no else ""
    return f"no call{about} is recorded" + (" since then" if chosen.since else "")


def _print(found: dict[str, Any]) -> None:
    texts = {"request": found.pop("request"), "answer": found.pop("answer")}
    orders = found.pop("orders")
    print_table(["what", "value"], [(name.replace("_", " "), value) for name, value in found.items()])
    if orders:
        print_table(["order no", "version"], orders)
    for name, text in texts.items():
        typer.echo(f"{name}:\n{_pretty(text)}\n" if text else f"{name}: none is recorded\n")


def _pretty(text: str) -> str:
    head, _, body = text.partition("\n\n")
    return visible(f"{head}\n\n{_indented(body)}".strip())


def _indented(body: str) -> str:
    try:
        if body.startswith("<"):
            root = ElementTree.fromstring(body, forbid_dtd=True)
            indent(root)
            return str(ElementTree.tostring(root, encoding="unicode"))
        return json.dumps(json.loads(body), ensure_ascii=False, indent=2)
    except (ValueError, SyntaxError, RecursionError):
        return body
