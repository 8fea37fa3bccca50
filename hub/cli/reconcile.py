"""`hub reconcile`: whether every system shows what the OMS has."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any

import typer

from hub import assembly, clock, config, wiring
from hub.cli.options import Since, moment, order_numbers
from hub.cli.output import AsJson, print_json, print_table
from hub.reconcile import rules, rules_file
from hub.reconcile.check import Verdict
from hub.reconcile.check import check as compare_with
from hub.reconcile.compare import Difference
from hub.reconcile.reading import Scope, asked_of
from hub.schemas.money import yuan_from_fen

app = typer.Typer(name="reconcile", help="Compare the OMS with the systems.", no_args_is_help=True)

DIFFERENCES = 3

_LINES_SHOWN = 20


@app.command()
def check(
    system: Annotated[list[str] | None, typer.Option(help="All unless named; may be given several times.")] = None,
    orders: Annotated[
        list[str] | None, typer.Option("--orders", help="This order only; may be given several times.")
    ] = None,
    since: Since = None,
    json_: AsJson = False,
    detailed_exitcode: Annotated[bool, typer.Option("--detailed-exitcode", help="End with 3 on differences.")] = False,
) -> None:
    """Compare every system's own database with the OMS, order by order, as both are at this moment."""
    settings = config.load()
    numbers = tuple(order_numbers("--orders", orders)) if orders else None
    scope = Scope(numbers, moment("since", since, settings))
    verdicts = _verdicts(settings, system or config.SYSTEMS, scope)
    if json_:
        print_json({each.system: _facts(each) for each in verdicts})
    else:
        _print(verdicts)
    if detailed_exitcode and not all(each.equal for each in verdicts):
        raise typer.Exit(DIFFERENCES)


def _verdicts(settings: config.Settings, names: Sequence[str], scope: Scope) -> list[Verdict]:
    known = rules_file.load(settings.reconcile.rules, settings.interfaces)
    since = clock.utcnow() - timedelta(days=settings.reconcile.ask_days)
    with ExitStack() as stack:
        systems = [stack.enter_context(closing(assembly.system_of(settings, name))) for name in names]
        engine = stack.enter_context(wiring.hub_engine(settings, "reconcile"))
        return [compare_with(engine, each, known.of(each.name), asked_of(each, scope, since)) for each in systems]


def _day(verdict: Verdict) -> str:
    return f"{verdict.coverage.asked_since:%Y-%m-%dT%H:%M:%SZ}"


def _facts(verdict: Verdict) -> dict[str, Any]:
    return {
        "system": verdict.system,
        "compared": verdict.compared,
        "different": verdict.different,
        "equal": verdict.equal,
        "differences": [_difference(each) for each in verdict.differences],
        "coverage": asdict(verdict.coverage),
    }


def _difference(difference: Difference) -> dict[str, Any]:
    shown = {"kind": difference.kind, "order_no": difference.order_no, "fields": difference.fields}
    more = {"unmapped": difference.unmapped, "other_no": difference.other_no}
    return shown | {key: value for key, value in more.items() if value}


def _print(verdicts: list[Verdict]) -> None:
    rows = [(each.system, each.compared, each.different, each.equal) for each in verdicts]
    print_table(["system", "orders compared", "different", "equal"], rows)
    for each in verdicts:
        if each.coverage.asked_since is not None:
            typer.echo(f"{each.system} lists no orders: asked only for those changed since {_day(each)}")
    found = [
        (verdict.system, each.kind, each.order_no, field[0], *(_for_people(field[0], side) for side in field[1:]))
        for verdict in verdicts
        for each in verdict.differences
        for field in each.fields or [("order_no", each.other_no or "—", each.order_no) if each.other_no else ("—",) * 3]
    ]
    if found:
        print_table(["system", "difference", "order", "field", "OMS", "system's"], found[:_LINES_SHOWN])


def _for_people(field: str, value: Any) -> Any:
    # Fen would be read as yuan.
    return yuan_from_fen(value) if isinstance(value, int) and field.rpartition(".")[2] in rules.AMOUNTS else value
