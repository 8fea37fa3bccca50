"""`hub reconcile list|show|accept|assign|heal`: findings, and what people do about them."""

from __future__ import annotations

import json
from datetime import date, datetime, time
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from hub import config, wiring
from hub.audit.verbs import Operator
from hub.cli.options import AnySystem, Limit, Reason, known_system
from hub.cli.output import AsJson, By, Output, Yes, print_json, print_rows, print_table, who
from hub.database import reading
from hub.errors import BadInput
from hub.reconcile import verbs
from hub.reconcile.causes import Cause
from hub.reconcile.compare import Kind
from hub.reconcile.findings import LIVING, State
from hub.reconcile.report.voice import Voice
from hub.reconcile.verbs import Filter

app = typer.Typer()

Key = Annotated[str, typer.Argument(help="Key of a finding, or the beginning of it.", metavar="FINDING")]
Keys = Annotated[list[str], typer.Argument(help="Keys of findings.", metavar="FINDING")]

_COLUMNS = ("key", "system", "order_no", "cause", "state", "nights", "owner")
_TOLD = ("key", "system", "order_no", "kind", "cause", "severity", "state", "owner", "amount", "currency", "nights")
_MOMENTS = ("first_seen_at", "last_seen_at", "due_at", "healed_at", "closed_at", "accepted_until")


@app.command("list")
def list_(  # noqa: PLR0913 - each is an option
    system: AnySystem = None,
    kind: Annotated[str | None, typer.Option(help=f"One of {', '.join(Kind)}.")] = None,
    cause: Annotated[str | None, typer.Option(help="A cause, such as changed_by_hand.")] = None,
    owner: Annotated[str | None, typer.Option(help="Whose they are.")] = None,
    order: Annotated[str | None, typer.Option(help="Order number.")] = None,
    state: Annotated[list[str] | None, typer.Option(help=f"{', '.join(State)}. Default: those that live.")] = None,
    limit: Limit = 100,
    output: Output = "table",
) -> None:
    """Differences that are known, the gravest first."""
    if system is not None:
        known_system(system)
    _check("--kind", kind, tuple(Kind))
    _check("--cause", cause, tuple(Cause))
    for each in state or []:
        _check("--state", each, tuple(State))
    chosen = Filter(system, kind, cause, owner, order, tuple(State(each) for each in state or LIVING))
    with wiring.hub_engine(config.load(), "reconcile") as engine, reading(engine) as connection:
        rows = verbs.listed(connection, chosen, limit)
    print_rows(output, [row | {"facts": json.loads(row["facts"])} for row in rows], _COLUMNS)


@app.command()
def show(key: Key, json_: AsJson = False) -> None:
    """All that is known of a finding: the fields that are apart, and what proves the cause."""
    settings = config.load()
    with wiring.hub_engine(settings, "reconcile") as engine:
        row = verbs.one(engine, key)
    facts = json.loads(row["facts"])
    if json_:
        print_json(row | {"facts": facts})
        return
    _print_finding(row, facts, Voice("en", settings.tz))


def _print_finding(row: dict[str, Any], facts: dict[str, Any], voice: Voice) -> None:
    currency = row["currency"]
    shown = row | {"amount": voice.value("total", str(row["amount"]), currency)}
    told = [(name.replace("_", " "), shown[name]) for name in (*_TOLD, *_MOMENTS) if shown[name] is not None]
    told += [(name, row[name]) for name in ("note", "accepted_by", "accepted_for") if row[name]]
    told += [(name.replace("_", " "), voice.evidence(name, value)) for name, value in facts["evidence"].items()]
    print_table(["what", "value"], told)
    if facts["fields"]:
        both = [
            (each["field"], *(voice.value(each["field"], each[side], currency) for side in ("oms", "system")))
            for each in facts["fields"]
        ]
        print_table(["field", "OMS", row["system"]], both)


@app.command()
def accept(
    key: Key,
    why: Reason,
    until: Annotated[str, typer.Option(help="Last day, such as 2026-12-31, in HUB_TZ.")],
    by: By = None,
) -> None:
    """Let a difference be until a day: it leaves the report's list of things to do, unless other fields differ."""
    settings = config.load()
    with wiring.hub_engine(settings, "reconcile") as engine:
        row = verbs.accept(engine, Operator(who(by), "operator"), key, why, _end_of(until, settings.tz))
    typer.echo(f"accepted until {until}: {_named(row)}")


@app.command()
def assign(
    key: Key,
    to: Annotated[str | None, typer.Option("--to", help="Who is to have it.")] = None,
    note: Annotated[str | None, typer.Option(help="What is to be known of it; no names, phones or addresses.")] = None,
    by: By = None,
) -> None:
    """Give a finding to somebody, or note something on it."""
    with wiring.hub_engine(config.load(), "reconcile") as engine:
        row = verbs.hand_over(engine, Operator(who(by), "operator"), key, to, note)
    typer.echo(f"{row['owner']} has {_named(row)}")


@app.command()
def heal(keys: Keys, why: Reason, yes: Yes = False, by: By = None) -> None:
    """Bring orders at a system to the OMS's present state, also where that never happens by itself."""
    with wiring.hub_engine(config.load(), "reconcile") as engine:
        if not yes:
            with reading(engine) as connection:
                rows = verbs.mendable(connection, keys)
            for row in rows:
                typer.echo(f"would be put right: {_named(row)}")
            typer.echo("add --yes to do it")
            return
        done = verbs.mend(engine, Operator(who(by), "operator"), keys, why)
    typer.echo(f"{len(done)} on the way: {', '.join(done)}; the next run proves it")


def _named(row: dict[str, Any]) -> str:
    return f"{row['key']} ({row['system']} {row['order_no']}: {row['kind']}, {row['cause']})"


def _check(option: str, given: str | None, known: tuple[str, ...]) -> None:
    if given is not None and given not in known:
        raise BadInput(f"{option}: there is no {given[:40]!r}; one of {', '.join(known)}")


def _end_of(given: str, tz: str) -> datetime:
    try:
        return datetime.combine(date.fromisoformat(given), time.max, ZoneInfo(tz))
    except ValueError as error:
        raise BadInput(f"--until: {given[:40]!r} is no day; write one such as 2026-12-31") from error
