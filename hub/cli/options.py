"""Options that several verbs share, and how their values become ours."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, overload
from zoneinfo import ZoneInfo

import typer
from pydantic import TypeAdapter, ValidationError

from hub import clock, config
from hub.errors import BadInput
from hub.schemas.text import Code, storable

_AROUND = timedelta(days=1)


def _said(why: str | None) -> str | None:
    if why is None:
        return None
    try:
        if storable(why).strip():
            return why
    except ValueError as error:
        raise BadInput(f"--why: {error}") from error
    raise BadInput("--why: say why; it is kept in the audit")


SystemName = Annotated[str, typer.Option("--system", help=f"One of {', '.join(config.SYSTEMS)}.")]
AnySystem = Annotated[
    str | None, typer.Option("--system", help=f"One of {', '.join(config.SYSTEMS)}; all unless given.")
]
Orders = Annotated[list[str], typer.Argument(help="Order numbers.", metavar="ORDER")]
MaybeOrders = Annotated[list[str] | None, typer.Argument(help="Order numbers.", metavar="ORDER")]
OneSystem = Annotated[str, typer.Argument(help=f"One of {', '.join(config.SYSTEMS)}.", metavar="SYSTEM")]
Reason = Annotated[str, typer.Option("--why", "--reason", help="Why, for the audit.", callback=_said)]
MaybeReason = Annotated[str | None, typer.Option("--why", help="Why, for the audit.", callback=_said)]
Since = Annotated[
    str | None, typer.Option(help="Since a moment such as 2026-11-23T08:00, in HUB_TZ unless it has an offset.")
]
Until = Annotated[str | None, typer.Option(help="Before such a moment.")]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="Most rows to show.")]
Rate = Annotated[
    float | None, typer.Option(min=0.01, help="Most orders a second. Default: as fast as the system takes them.")
]

_AGO = re.compile("(?P<number>[0-9]{1,5})(?P<unit>[smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_NUMBER: TypeAdapter[str] = TypeAdapter(Code)


def known_system(name: str, given: str = "--system") -> str:
    """The name itself; BadInput where there is no such system. `given` is how it was typed."""
    if name not in config.SYSTEMS:
        raise BadInput(f"{given}: there is no {name}; known are {', '.join(config.SYSTEMS)}")
    return name


def order_numbers(given: str, numbers: Sequence[str]) -> list[str]:
    """Each number once; BadInput where one is none. `given` is how they were typed."""
    for number in numbers:
        try:
            _NUMBER.validate_python(number)
        except ValidationError as error:
            where = "see hub parked list or hub reconcile list"
            raise BadInput(f"{given}: {number[:40]!r} is no order number; {where}") from error
    return list(dict.fromkeys(numbers))


@overload
def ago(name: str, text: str, settings: config.Settings) -> datetime: ...


@overload
def ago(name: str, text: str | None, settings: config.Settings) -> datetime | None: ...


def ago(name: str, text: str | None, settings: config.Settings) -> datetime | None:
    """A moment as `moment` reads it, or so long ago: `30m`, `2h`, `7d`."""
    found = _AGO.fullmatch(text or "")
    if found is None:
        return moment(name, text, settings)
    return clock.utcnow() - timedelta(**{_UNITS[found["unit"]]: int(found["number"])})


@overload
def moment(name: str, text: str, settings: config.Settings) -> datetime: ...


@overload
def moment(name: str, text: str | None, settings: config.Settings) -> datetime | None: ...


def moment(name: str, text: str | None, settings: config.Settings) -> datetime | None:
    """A moment as it was typed; BadInput where it is none."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
        there = (found if found.tzinfo else found.replace(tzinfo=ZoneInfo(settings.tz))).astimezone(UTC)
        # What is looked for a little before and after it has to be a moment too.
        _ = there - _AROUND, there + _AROUND
    except (ValueError, OverflowError) as error:
        raise BadInput(f"--{name}: {text[:40]!r} is no moment; write one such as 2026-11-23T08:00") from error
    return there
