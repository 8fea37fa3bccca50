"""How a cause stands and what people are to be told of it now. Pure: every decision is made here.

A cause is told when it begins, again where it has doubled or something fires that was not told, and when it is over.
It is over once it was calm for a while; the while doubles each time it comes back: one that flaps is told ever less.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from hub.groups import Alerts
from hub.notify.alerts.cause import Heard, Said

LONGEST_CALM_SECONDS = 1800
REMEMBERED_SECONDS = 3600
"""One that comes back within this time after it was over has come back; later it is a new one."""

_MOST_DOUBLINGS = 16


class State(StrEnum):
    """How a cause stands."""

    FIRING = "firing"
    CALM = "calm"
    """Nothing fires; people are told once that has lasted."""
    OVER = "over"


class Tell(StrEnum):
    """What people are told."""

    FIRST = "first"
    MORE = "more"
    OVER = "over"
    SILENT = "silent"
    """Alertmanager has said nothing for so long that nobody knows how it stands."""


@dataclass(frozen=True)
class Standing:
    """One cause. A round is everything from its first card to the one that says it is over."""

    key: str
    name: str
    severity: str
    state: State
    firing: int
    most: int
    """How many fired at once, at most, in this round."""
    round: int
    returns: int
    cards: int
    """How many this round has so far."""
    told_firing: int
    marks: frozenset[str]
    told_marks: frozenset[str]
    """Those that fire and that a card has told of."""
    since: datetime
    until: datetime | None
    heard_at: datetime
    told_at: datetime | None
    due_at: datetime | None
    closed_at: datetime | None
    said: Said


def after(before: Standing | None, heard: Heard, moment: datetime) -> Standing | None:
    """How a cause stands after Alertmanager spoke of it; None where it began and ended unheard."""
    if heard.firing:
        return _fires(before, heard, moment)
    if before is None or before.state != State.FIRING:
        return before and replace(before, heard_at=moment)
    # Nobody trusts another machine's clock further than between beginning and now.
    until = max(before.since, min(heard.until or moment, moment))
    return replace(before, state=State.CALM, firing=0, until=until, heard_at=moment, due_at=None)


def decide(standing: Standing, moment: datetime, terms: Alerts) -> tuple[Tell | None, Standing]:
    """What is to be told now, and how the cause stands then; `due_at` says when to look again without a word."""
    if standing.state == State.OVER:
        return None, replace(standing, due_at=None)
    if standing.state == State.CALM:
        return _calm(standing, moment, terms)
    if standing.cards == 0:
        return Tell.FIRST, _told(standing, moment, terms)
    silent_at = standing.heard_at + timedelta(seconds=terms.silent_seconds)
    if moment >= silent_at:
        return Tell.SILENT, _closed(standing, moment, until=None)
    return _perhaps_more(standing, moment, terms)


def calm_seconds(returns: int, terms: Alerts) -> float:
    """For how long a cause that came back so often must be calm before it is over."""
    longest = max(LONGEST_CALM_SECONDS, terms.calm_seconds)
    return float(min(longest, terms.calm_seconds * 2.0 ** min(returns, _MOST_DOUBLINGS)))


def _fires(before: Standing | None, heard: Heard, moment: datetime) -> Standing:
    if before is None or before.state == State.OVER:
        return _begun(before, heard, moment)
    return replace(
        before,
        name=heard.name,
        severity=heard.severity,
        state=State.FIRING,
        firing=heard.firing,
        most=max(before.most, heard.firing),
        # What has ended and fires again is new; where all of it had, the whole cause has come back.
        told_firing=min(before.told_firing, heard.firing),
        marks=heard.marks,
        told_marks=before.told_marks & heard.marks,
        returns=before.returns + (before.state == State.CALM),
        until=None,
        heard_at=moment,
        said=heard.said,
    )


def _begun(before: Standing | None, heard: Heard, moment: datetime) -> Standing:
    return Standing(
        key=heard.key,
        name=heard.name,
        severity=heard.severity,
        state=State.FIRING,
        firing=heard.firing,
        most=heard.firing,
        round=before.round + 1 if before else 1,
        returns=before.returns + 1 if before and _is_remembered(before, moment) else 0,
        cards=0,
        told_firing=0,
        marks=heard.marks,
        told_marks=frozenset(),
        since=min(heard.since, moment),
        until=None,
        heard_at=moment,
        told_at=None,
        due_at=None,
        closed_at=None,
        said=heard.said,
    )


def _is_remembered(before: Standing, moment: datetime) -> bool:
    return before.closed_at is not None and (moment - before.closed_at).total_seconds() < REMEMBERED_SECONDS


def _calm(standing: Standing, moment: datetime, terms: Alerts) -> tuple[Tell | None, Standing]:
    if standing.due_at is None:
        over_at = moment + timedelta(seconds=calm_seconds(standing.returns, terms))
        return None, replace(standing, due_at=over_at)
    if moment < standing.due_at:
        return None, standing
    return Tell.OVER, _closed(standing, moment, standing.until)


def _perhaps_more(standing: Standing, moment: datetime, terms: Alerts) -> tuple[Tell | None, Standing]:
    silent_at = standing.heard_at + timedelta(seconds=terms.silent_seconds)
    if not _matters(standing) or standing.told_at is None:
        return None, replace(standing, due_at=silent_at)
    renew_at = standing.told_at + timedelta(seconds=terms.renew_seconds)
    if moment < renew_at:
        return None, replace(standing, due_at=min(renew_at, silent_at))
    return Tell.MORE, _told(standing, moment, terms)


def _matters(standing: Standing) -> bool:
    return standing.firing >= 2 * standing.told_firing or not standing.marks <= standing.told_marks


def _told(standing: Standing, moment: datetime, terms: Alerts) -> Standing:
    return replace(
        standing,
        cards=standing.cards + 1,
        told_firing=standing.firing,
        told_marks=standing.marks,
        told_at=moment,
        due_at=standing.heard_at + timedelta(seconds=terms.silent_seconds),
    )


def _closed(standing: Standing, moment: datetime, until: datetime | None) -> Standing:
    return replace(
        standing,
        state=State.OVER,
        firing=0,
        until=until,
        cards=standing.cards + 1,
        told_at=moment,
        due_at=None,
        closed_at=moment,
    )
