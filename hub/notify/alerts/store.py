"""Causes in the database: what Alertmanager says is committed together with the notice that follows from it.

Any number of processes may take and look after them: each cause is one locked row.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, replace
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Connection, Engine, select, update

from hub import logs
from hub.daemon import Loop
from hub.database import in_seconds, insert_into, now, present, reading, writing
from hub.errors import DependencyDown, HubError
from hub.groups import Notify
from hub.night_tables import alert_causes
from hub.notify import queue
from hub.notify.alerts.cause import Said, heard
from hub.notify.alerts.standing import Standing, State, Tell, after, decide
from hub.notify.alerts.words import card_of, title_of
from hub.notify.robots import configured
from hub.notify.voice import Voice
from hub.vendors.alertmanager import Webhook

_MOST_AT_ONCE = 100
_REST_SECONDS = 2.0
_BROKEN_SECONDS = 60.0
_SAID = TypeAdapter(Said)
_MARKS = ("marks", "told_marks")

_log = logs.get("notify")


@dataclass(frozen=True)
class Tellers:
    """Whom to tell, and in which language."""

    policy: Notify
    voice: Voice


def take(engine: Engine, tellers: Tellers, group: Webhook) -> None:
    """Keep what Alertmanager says, with the notice of it; said again, it changes nothing. Raises DependencyDown."""
    if not configured(tellers.policy):
        raise DependencyDown("no robot is configured: set HUB_NOTIFY__DINGTALK__URL or HUB_NOTIFY__WECOM__URL")
    spoken = heard(group)
    with writing(engine) as connection:
        if new := after(None, spoken, present(connection)):
            _insert(connection, new)
        before = _locked(connection, spoken.key)
        # Whoever waited for the lock must not go back in time.
        standing = after(before, spoken, present(connection))
        if standing is not None:
            _settle(connection, standing, tellers)


def look_after(engine: Engine, tellers: Tellers) -> bool:
    """Tell what has become due though nobody spoke of it; false where there was nothing."""
    query = select(alert_causes.c.key).where(alert_causes.c.due_at <= now()).order_by(alert_causes.c.due_at)
    with reading(engine) as connection:
        due = connection.execute(query.limit(_MOST_AT_ONCE)).scalars().all()
    for key in due:
        try:
            with writing(engine) as connection:
                if standing := _locked(connection, key):
                    _settle(connection, standing, tellers)
        except HubError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the other causes are still to be told
            _log.error("alert.broken", key=key, error=logs.way(error))
            _put_off(engine, key)
    return bool(due)


def watching(engine: Engine, tellers: Tellers, stop: threading.Event) -> Loop:
    """Looks after causes again and again, where there is a robot."""

    def look() -> bool:
        return bool(configured(tellers.policy)) and look_after(engine, tellers)

    return Loop("alerts", look, lambda _turns: stop.wait(_REST_SECONDS))


def listed(connection: Connection, voice: Voice, limit: int, *, everything: bool = False) -> list[dict[str, Any]]:
    """Causes that are not over, or all, the newest first, each with its title."""
    query = select(alert_causes).order_by(alert_causes.c.since.desc(), alert_causes.c.key).limit(limit)
    rows = connection.execute(query if everything else query.where(alert_causes.c.state != State.OVER)).mappings()
    columns = ("key", "name", "severity", "state", "firing", "most", "returns", "cards", "since", "until", "heard_at")
    found = [(row, _restored(row)) for row in rows]
    return [
        {name: row[name] for name in columns}
        | {"systems": ",".join(each.said.systems), "owner": each.said.owner, "title": title_of(each, voice)}
        for row, each in found
    ]


def _settle(connection: Connection, standing: Standing, tellers: Tellers) -> None:
    tell, settled = decide(standing, present(connection), tellers.policy.alerts)
    if tell is not None:
        settled = _tell(connection, tell, settled, tellers)
    row = _row(settled)
    connection.execute(update(alert_causes).where(alert_causes.c.key == settled.key).values(row))


def _tell(connection: Connection, tell: Tell, settled: Standing, tellers: Tellers) -> Standing:
    """Have people told; a card that nobody was shown yet is brought up to date and stays one card."""
    cards = settled.cards
    earlier, key = (f"alert/{settled.key}/{settled.round}/{each}" for each in (cards - 1, cards))
    card = card_of(tell, settled, tellers.voice, tellers.policy.alerts.docs_url)
    is_new = queue.renew(connection, earlier, key, card, tellers.policy)
    _log.warning("alert.told", what=str(tell), name=settled.name, key=key if is_new else earlier)
    return settled if is_new else replace(settled, cards=cards - 1)


def _put_off(engine: Engine, key: str) -> None:
    with writing(engine) as connection:
        later = update(alert_causes).where(alert_causes.c.key == key).values(due_at=in_seconds(_BROKEN_SECONDS))
        connection.execute(later)


def _insert(connection: Connection, standing: Standing) -> None:
    connection.execute(insert_into(connection, alert_causes).values(_row(standing)).on_conflict_do_nothing())


def _locked(connection: Connection, key: str) -> Standing | None:
    query = select(alert_causes).where(alert_causes.c.key == key).with_for_update()
    row = connection.execute(query).mappings().one_or_none()
    return _restored(row) if row else None


def _row(standing: Standing) -> dict[str, Any]:
    plain = {column.name: getattr(standing, column.name) for column in alert_causes.c}
    marks = {name: json.dumps(sorted(plain[name])) for name in _MARKS}
    return plain | marks | {"said": _SAID.dump_json(standing.said).decode()}


def _restored(row: Any) -> Standing:
    marks = {name: frozenset(json.loads(row[name])) for name in _MARKS}
    return Standing(**{**row, **marks, "state": State(row["state"]), "said": _SAID.validate_json(row["said"])})
