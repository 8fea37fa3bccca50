"""`hub notify`: group robots of DingTalk and WeCom, and what they were told."""

from __future__ import annotations

from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import typer
from sqlalchemy import Connection

from hub import clock, config, wiring
from hub.audit import verbs as audit
from hub.audit.verbs import Operator
from hub.cli.options import Limit
from hub.cli.output import By, Output, print_rows, who
from hub.database import reading, writing
from hub.errors import BadInput, DependencyDown, WrongConfiguration
from hub.groups import Notify
from hub.notify import queue, words
from hub.notify.alerts import store as alerts
from hub.notify.answers import Outcome, Refused, Sent, State, judge
from hub.notify.card import Card
from hub.notify.robots import call_of, configured
from hub.notify.sending import post
from hub.notify.voice import Voice

app = typer.Typer(name="notify", help="Tell people by group robots of DingTalk and WeCom.", no_args_is_help=True)

Channel = Annotated[Literal["dingtalk", "wecom"] | None, typer.Option(help="Only this robot.")]
Locale = Annotated[Literal["en", "zh"] | None, typer.Option(help="Language of the card. Default: HUB_LOCALE.")]
_NONE = "no robot is configured: set HUB_NOTIFY__DINGTALK__URL or HUB_NOTIFY__WECOM__URL (or …__URL_FILE)"
_LISTED = ("key", "channel", "state", "attempt", "recorded_at", "sent_at", "said")
_ALERTS = ("name", "systems", "severity", "state", "firing", "since", "title")
_SENT = ("key", "channel", "outcome", "said")


@app.command("test")
def try_out(channel: Channel = None, locale: Locale = None) -> None:
    """Send a test card now. Ends with 69 where a robot does not answer, with 78 where one will not have it."""
    settings = config.load()
    channels = [channel] if channel else _robots(settings.notify)
    if channel and channel not in configured(settings.notify):
        raise WrongConfiguration(f"{channel} has no robot: set HUB_NOTIFY__{channel.upper()}__URL")
    card = words.trial_card(locale or settings.locale, clock.utcnow().astimezone(ZoneInfo(settings.tz)))
    outcomes = [_tried(each, card, settings.notify) for each in channels]
    if any(isinstance(each, Refused) for each in outcomes):
        raise WrongConfiguration("a robot will not have our messages: see above")
    if not all(isinstance(each, Sent) for each in outcomes):
        raise DependencyDown("a robot gave no clear answer: see above")


@app.command("list")
def list_(
    state: Annotated[str | None, typer.Option(help=f"Only {', '.join(State)}.")] = None,
    limit: Limit = queue.MOST_LISTED,
    output: Output = "table",
) -> None:
    """What people were told, what waits and what failed, the newest first."""
    if state is not None and state not in list(State):
        raise BadInput(f"--state: notices are {', '.join(State)}, not {state[:40]!r}")
    with wiring.hub_engine(config.load(), "notify") as engine, reading(engine) as connection:
        rows = queue.listed(connection, limit, state)
    print_rows(output, rows, _LISTED)


@app.command("alerts")
def alerts_(
    everything: Annotated[bool, typer.Option("--all", help="Also what is over.")] = False,
    limit: Limit = queue.MOST_LISTED,
    output: Output = "table",
) -> None:
    """Causes of alerts that are open: what Alertmanager said of each, and what people were told."""
    settings = config.load()
    voice = Voice(settings.locale, settings.tz)
    with wiring.hub_engine(settings, "notify") as engine, reading(engine) as connection:
        rows = alerts.listed(connection, voice, limit, everything=everything)
    print_rows(output, rows, _ALERTS)


@app.command()
def send(
    failed: Annotated[bool, typer.Option("--failed", help="What was given up too, as if for the first time.")] = False,
    seconds: Annotated[float, typer.Option(min=1, help="Begin no call after so many seconds.")] = 60,
    output: Output = "table",
    by: By = None,
) -> None:
    """Send what is due. Safe beside others who do; ends with 69 where a robot did not take a notice."""
    settings = config.load()
    _robots(settings.notify)
    with wiring.hub_engine(settings, "notify") as engine:
        if failed:
            with writing(engine) as connection:
                _try_again(connection, Operator(who(by), "operator"))
        told = queue.deliver(engine, settings.notify, clock.monotonic() + seconds)
    print_rows(output, [{name: getattr(each, name) for name in _SENT} for each in told], _SENT)
    if any(each.outcome != "sent" for each in told):
        raise DependencyDown("not everything was taken; see hub notify list")


def _robots(policy: Notify) -> list[str]:
    if found := list(configured(policy)):
        return found
    raise WrongConfiguration(_NONE)


def _tried(channel: str, card: Card, policy: Notify) -> Outcome:
    call = call_of(card, channel, str(clock.uuid7()), policy, clock.utcnow())
    outcome = judge(channel, post(call, policy.timeout_seconds))
    typer.echo(f"{channel}: {'sent' if isinstance(outcome, Sent) else outcome.reason}")
    return outcome


def _try_again(connection: Connection, by: Operator) -> None:
    if number := queue.again(connection):
        audit.record(connection, by, "notify.again", f"{number} notices")
