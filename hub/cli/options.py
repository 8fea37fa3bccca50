"""Options that several verbs share, and how their values become ours."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from hub import config
from hub.errors import BadInput

SystemName = Annotated[str, typer.Option("--system", help=f"One of {', '.join(config.SYSTEMS)}.")]
AnySystem = Annotated[
    str | None, typer.Option("--system", help=f"One of {', '.join(config.SYSTEMS)}; all unless given.")
]
Orders = Annotated[list[str] | None, typer.Argument(help="Order numbers.", metavar="[ORDER]...")]
Reason = Annotated[str, typer.Option("--why", "--reason", help="Why, for the audit.")]
MaybeReason = Annotated[str | None, typer.Option("--why", help="Why, for the audit.")]
Since = Annotated[
    str | None, typer.Option(help="A moment such as 2026-11-23T08:00, in HUB_TZ unless it has an offset.")
]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="Most rows to show.")]
Rate = Annotated[
    float | None, typer.Option(min=0.01, help="Most orders a second. Default: as fast as the system takes them.")
]


def known_system(name: str) -> str:
    """The name itself; BadInput where there is no such system."""
    if name not in config.SYSTEMS:
        raise BadInput(f"--system: there is no {name}; known are {', '.join(config.SYSTEMS)}")
    return name


def moment(name: str, text: str | None, settings: config.Settings) -> datetime | None:
    """A moment as it was typed; BadInput where it is none."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadInput(f"--{name}: {text[:40]!r} is no moment; write one such as 2026-11-23T08:00") from error
    return found if found.tzinfo else found.replace(tzinfo=ZoneInfo(settings.tz))
