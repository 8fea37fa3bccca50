"""Notices in the database: put there with what they tell of, told once on each channel, tried until told or given up.

A process that dies while it sends leaves its notice in `sending`; once that is due it is sent again. A robot may show
it twice then, except DingTalk's, which knows it by its key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Row, func, or_, select, update

from hub import clock, logs, metrics
from hub.database import in_seconds, insert_into, is_postgres, now, reading, writing
from hub.errors import BadInput
from hub.groups import Notify
from hub.night_tables import notices
from hub.notify.answers import Next, Outcome, Refused, Sent, State, Unknown, Wait, judge, settled
from hub.notify.card import Card, restored, stored
from hub.notify.robots import CHANNELS, call_of, configured, waits_for_another
from hub.notify.sending import post

WINDOW_SECONDS = 60
MOST_LISTED = 100
ABANDONED_SECONDS = 600
"""A notice for which there is no robot is given up once nobody has taken it for so long after it was due."""

TO_BE_SENT = (State.WAITING, State.SENDING, State.MUTED)

_LONGEST_KEY = 128
_NO_ROBOT = "its robot was taken away: no HUB_NOTIFY__<CHANNEL>__URL is set any more"
# Longer than a call may take; see `sending.post`.
_LEASE_TIMEOUTS = 6
# Numbers that no other lock of the hub has; one claims at a time on each channel, so that the count is right.
_CLAIM_LOCKS = dict(zip(CHANNELS, (0x0A0D18, 0x0A0D19), strict=True))
_OUTCOMES: dict[type[Outcome], str] = {Sent: "sent", Wait: "put_off", Unknown: "unknown", Refused: "refused"}

_log = logs.get("notify")


@dataclass(frozen=True, slots=True)
class Notice:
    """A card as it is stored, for one channel, claimed for its `attempt`-th call."""

    key: str
    channel: str
    card: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Told:
    """What became of one call."""

    key: str
    channel: str
    outcome: str
    said: str | None


def announce(connection: Connection, key: str, card: Card, policy: Notify) -> bool:
    """Have people told, once the caller's transaction commits. False, and nothing changes, where the key was used."""
    if len(key) > _LONGEST_KEY:
        raise BadInput(f"key of a notice: {len(key)} characters are too long; at most {_LONGEST_KEY}")
    channels = sorted(configured(policy))
    if not channels or connection.execute(select(notices.c.key).where(notices.c.key == key)).first():
        return False
    common = {"key": key, "card": stored(card), "attempt": 0, "due_at": now(), "recorded_at": now()}
    rows = [common | {"channel": channel, "state": _first_state(channel, policy)} for channel in channels]
    inserted = connection.execute(insert_into(connection, notices).values(rows).on_conflict_do_nothing())
    return inserted.rowcount > 0


def renew(connection: Connection, earlier: str, key: str, card: Card, policy: Notify) -> bool:
    """Have people told this in the place of `earlier`, or, where a robot was called with that, as a new notice.

    True where it is a new one.
    """
    before = _locked(connection, earlier)
    if before and not any(row.attempt or row.state not in (State.WAITING, State.HELD) for row in before):
        connection.execute(update(notices).where(notices.c.key == earlier).values(card=stored(card)))
        return False
    is_new = announce(connection, key, card, policy)
    for row in before:
        if is_new and row.attempt and row.state in (State.WAITING, State.MUTED):
            _take_over(connection, row, key)
    return is_new


def deliver(engine: Engine, policy: Notify, deadline: float) -> list[Told]:
    """Send what is due, one notice of each channel in turn, until nothing is or `clock.monotonic()` is the deadline."""
    told: list[Told] = []
    _give_up(engine, policy)
    while clock.monotonic() < deadline:
        turn = [done for channel in configured(policy) if (done := _turn(engine, policy, channel))]
        if not turn:
            break
        told += turn
    return told


def listed(connection: Connection, limit: int, state: str | None = None) -> list[dict[str, Any]]:
    """Notices, the newest first, each with its title."""
    query = select(notices).order_by(notices.c.recorded_at.desc(), notices.c.key, notices.c.channel).limit(limit)
    rows = connection.execute(query.where(notices.c.state == state) if state else query).mappings()
    columns = ("key", "channel", "state", "attempt", "recorded_at", "sent_at", "due_at", "said")
    return [{name: row[name] for name in columns} | {"title": restored(row["card"]).title} for row in rows]


def again(connection: Connection) -> int:
    """Let what was given up be tried anew, on each channel that failed; how many there are."""
    failed = update(notices).where(notices.c.state == State.FAILED)
    return connection.execute(failed.values(state=State.WAITING, attempt=0, due_at=now())).rowcount


def _take_over(connection: Connection, earlier: Row[Any], key: str) -> None:
    """What was put off is not shown after what was said in its place: that waits where it waited, and as long."""
    here = (*_is(key, earlier.channel), notices.c.state == State.WAITING)
    values = {"state": earlier.state, "due_at": earlier.due_at, "recorded_at": earlier.recorded_at}
    if connection.execute(update(notices).where(*here).values(values)).rowcount:
        connection.execute(update(notices).where(*_is(earlier.key, earlier.channel)).values(state=State.SPARED))


def _locked(connection: Connection, key: str) -> Sequence[Row[Any]]:
    """All rows of a key, locked by channel: no two processes wait for each other."""
    query = select(notices).where(notices.c.key == key).order_by(notices.c.channel)
    return connection.execute(query.with_for_update()).all()


def _first_state(channel: str, policy: Notify) -> State:
    return State.HELD if waits_for_another(channel, policy) else State.WAITING


def _turn(engine: Engine, policy: Notify, channel: str) -> Told | None:
    with writing(engine) as connection:
        notice = _claim(connection, channel, policy)
    if notice is None:
        return None
    outcome = _call(notice, policy)
    follows = settled(outcome, notice.attempt, policy.attempts)
    with writing(engine) as connection:
        recorded = _record(connection, notice, follows)
    if recorded:
        return _tell(notice, outcome, follows)
    return Told(notice.key, channel, "late", "another process had taken it over")


def _call(notice: Notice, policy: Notify) -> Outcome:
    try:
        call = call_of(restored(notice.card), notice.channel, notice.key, policy, clock.utcnow())
        return judge(notice.channel, post(call, policy.timeout_seconds))
    except Exception as error:  # noqa: BLE001 - whatever it is, the other notices are still to be told
        _log.error("notice.broken", key=notice.key, channel=notice.channel, error=logs.way(error))
        return Unknown(f"an error of ours: {type(error).__name__}")


def _tell(notice: Notice, outcome: Outcome, follows: Next) -> Told:
    given_up = follows.state == State.FAILED and not isinstance(outcome, Refused)
    told = Told(notice.key, notice.channel, "given_up" if given_up else _OUTCOMES[type(outcome)], follows.said)
    metrics.notices.labels(told.channel, told.outcome).inc()
    tell = _log.info if isinstance(outcome, Sent) else _log.warning
    tell("notice.called", key=told.key, channel=told.channel, outcome=told.outcome, said=told.said)
    return told


def _claim(connection: Connection, channel: str, policy: Notify) -> Notice | None:
    """The notice that waits longest, leased for one call; None where nothing is due or the robot must rest."""
    if is_postgres(connection):
        connection.execute(select(func.pg_advisory_xact_lock(_CLAIM_LOCKS[channel])))
    if _must_rest(connection, channel, getattr(policy, channel).per_minute):
        return None
    query = select(notices).where(*_due(channel, policy)).order_by(notices.c.due_at, notices.c.key).limit(1)
    row = connection.execute(query.with_for_update()).mappings().one_or_none()
    if row is None:
        return None
    attempt, lease = row["attempt"] + 1, in_seconds(_LEASE_TIMEOUTS * policy.timeout_seconds)
    claimed = update(notices).where(*_is(row["key"], channel))
    connection.execute(claimed.values(state=State.SENDING, attempt=attempt, due_at=lease, sent_at=now()))
    return Notice(row["key"], channel, row["card"], attempt)


def _due(channel: str, policy: Notify) -> list[ColumnElement[bool]]:
    open_ = [State.WAITING, State.MUTED, State.SENDING]
    if not waits_for_another(channel, policy):
        # What was held back before the settings changed.
        open_.append(State.HELD)
    lives = or_(notices.c.state != State.SENDING, notices.c.attempt < policy.attempts)
    return [notices.c.channel == channel, notices.c.state.in_(open_), notices.c.due_at <= now(), lives]


def _must_rest(connection: Connection, channel: str, per_minute: int) -> bool:
    # All attempts of a notice that was sent just now count as just now: more than there were, and never less.
    recent = notices.c.sent_at > in_seconds(-WINDOW_SECONDS)
    calls = select(func.coalesce(func.sum(notices.c.attempt), 0)).where(notices.c.channel == channel, recent)
    muted = select(notices.c.key).where(
        notices.c.channel == channel, notices.c.state == State.MUTED, notices.c.due_at > now()
    )
    return connection.execute(calls).scalar_one() >= per_minute or connection.execute(muted).first() is not None


def _give_up(engine: Engine, policy: Notify) -> None:
    """Let go of what nobody will send: whoever sends it dies of it each time, or its robot was taken away."""
    there = notices.c.channel.in_(configured(policy))
    crashed = there & (notices.c.state == State.SENDING) & (notices.c.due_at <= now())
    # Another process may have settings with a robot: it had time enough.
    gone = ~there & notices.c.state.in_(TO_BE_SENT) & (notices.c.due_at <= in_seconds(-ABANDONED_SECONDS))
    query = select(notices).where(or_(crashed & (notices.c.attempt >= policy.attempts), gone))
    with reading(engine) as connection:
        found = connection.execute(query.order_by(notices.c.key, notices.c.channel)).mappings().all()
    for row in found:
        is_there = row["channel"] in configured(policy)
        said = f"given up after {row['attempt']} calls: whoever sent it died" if is_there else _NO_ROBOT
        notice = Notice(row["key"], row["channel"], row["card"], row["attempt"])
        with writing(engine) as connection:
            _record(connection, notice, Next(State.FAILED, said=said), State(row["state"]))


def _record(connection: Connection, notice: Notice, follows: Next, was: State = State.SENDING) -> bool:
    """Write down how the notice stands; False where another process has claimed it meanwhile."""
    _locked(connection, notice.key)
    mine = (*_is(notice.key, notice.channel), notices.c.state == was, notices.c.attempt == notice.attempt)
    values = {"state": follows.state, "due_at": in_seconds(follows.after_seconds), "said": follows.said}
    if connection.execute(update(notices).where(*mine).values(values)).rowcount == 0:
        return False
    others = update(notices).where(notices.c.key == notice.key, notices.c.state == State.HELD)
    if follows.state == State.SENT:
        connection.execute(others.values(state=State.SPARED))
    elif follows.state == State.FAILED:
        connection.execute(others.values(state=State.WAITING, due_at=now()))
    return True


def _is(key: str, channel: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return notices.c.key == key, notices.c.channel == channel
