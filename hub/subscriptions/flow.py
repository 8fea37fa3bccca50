"""To pause, to resume, to change topics: what a queue is bound to.

Each may be run again. A pause writes the gap before bindings go, and a return binds before it ends the gap: a gap is
never shorter than what is missing, and who is sent an event twice knows it by its version. Other topics are bound
before old ones are let go, so of a topic that stays nothing is missed.
"""

from __future__ import annotations

from dataclasses import replace

from hub.bus.rabbit.management import Binding
from hub.errors import BadInput
from hub.subscriptions import gaps, runs, store
from hub.subscriptions.broker import Bindings
from hub.subscriptions.desk import Desk
from hub.subscriptions.manage import known_contact
from hub.subscriptions.plan import plan_of
from hub.subscriptions.store import State, Subscription
from hub.subscriptions.topics import parsed


def pause(desk: Desk, name: str, reason: str, bindings: Bindings) -> bool:
    """No more events come, and a gap begins; what waits in the queue stays. False where it was paused before."""
    with desk.turn(name) as turn:
        found = desk.find(name)
        if fresh := found.state != State.PAUSED:
            with turn.recording("pause", name, reason=reason) as connection:
                store.change(connection, name, state=State.PAUSED)
                gaps.pause(connection, name)
        _rebind(desk, bindings, found, set())
    return fresh


def prepare(desk: Desk, name: str, bindings: Bindings) -> None:
    """Bind by a file that somebody has to import. Until they have, events are missed: the gap goes on."""
    with desk.turn(name):
        found = desk.find(name)
        _rebind(desk, bindings, found, events_of(desk, found))


def resume(desk: Desk, name: str, bindings: Bindings | None) -> bool:
    """Events come again, and the gap of the pause ends. False where it was not paused: then bindings are mended.

    Without bindings somebody has seen to them before, by the file that `prepare` wrote.
    """
    with desk.turn(name) as turn:
        found = desk.find(name)
        if bindings is not None:
            _rebind(desk, bindings, found, events_of(desk, found))
        if paused := found.state == State.PAUSED:
            with turn.recording("resume", name) as connection:
                store.change(connection, name, state=State.ACTIVE)
                gaps.resume(connection, name)
    return paused


def change(
    desk: Desk, name: str, bindings: Bindings, *, topics: str | None = None, contact: str | None = None
) -> Subscription:
    """Other topics, another contact; the subscription as it is then. A paused one is bound when it is resumed."""
    if topics is None and contact is None:
        raise BadInput("say what to change: --topics, --contact or both")
    with desk.turn(name) as turn:
        found = desk.find(name)
        wanted = replace(
            found,
            topics=found.topics if topics is None else parsed(topics),
            contact=found.contact if contact is None else known_contact(contact),
        )
        if topics is not None and found.state == State.ACTIVE:
            _rebind(desk, bindings, found, events_of(desk, wanted))
        with turn.recording("change", name, details=_changes(found, wanted)) as connection:
            if wanted.topics != found.topics:
                # It goes over the orders and events of topics that are not its own any more.
                runs.halt(connection, name, f"the topics of {name} were changed")
            store.change(connection, name, topics=",".join(wanted.topics), contact=wanted.contact)
    return wanted


def events_of(desk: Desk, subscription: Subscription) -> set[Binding]:
    """The bindings by which its events come."""
    return set(plan_of(subscription, desk.settings.bus).events)


def _rebind(desk: Desk, bindings: Bindings, found: Subscription, after: set[Binding]) -> None:
    """Bound to this alone, beside what was asked for it. What a verb that was killed left bound goes too."""
    before = events_of(desk, found)
    exchanges = {binding.exchange for binding in before}
    before |= {binding for binding in bindings.bindings(found.queue) if binding.exchange in exchanges}
    for binding in sorted(after):
        bindings.bind(found.queue, binding)
    for binding in sorted(before - after):
        bindings.unbind(found.queue, binding)


def _changes(found: Subscription, wanted: Subscription) -> dict[str, str]:
    # Whom to call is left out: the audit keeps for ever what it is told.
    topics = {"topics": ",".join(wanted.topics)} if wanted.topics != found.topics else {}
    return topics | ({"contact": "another"} if wanted.contact != found.contact else {})
