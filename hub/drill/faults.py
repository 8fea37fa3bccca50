"""The faults of a drill: what each does to a scene. `inject` hurts, heals, and says what happened."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sqlalchemy import select, text

from hub import wiring
from hub.bus.port import Message
from hub.config import SYSTEMS
from hub.consumers import gate
from hub.database import is_postgres, reading, writing
from hub.drill.proxy import FaultProxy
from hub.drill.scene import LEASE_SECONDS, Scene, Told, told
from hub.errors import HubError
from hub.operations import runs
from hub.stage.deployment import down, wait_until
from hub.tables import outbox_archive

SHORT_SECONDS = 5.0
LONGEST_STOP_SECONDS = 10.0
RELAYS = ("relay", "relay-2")
CONSUMERS = ("consume-wms", "consume-wms-2")
KILLED = -9

Inject = Callable[[Scene], Told]


@dataclass(frozen=True)
class Fault:
    """A fault by its name. `needs` is the server that it hurts the way to, empty where none is needed."""

    name: str
    inject: Inject
    needs: str = ""


def catalogue() -> Iterator[Fault]:
    """Every fault there is, in the order of a drill."""
    yield from _crashes()
    yield Fault("power cut", _power_cut)
    yield Fault("stop", _stop)
    yield Fault("frozen relay", lambda scene: _frozen(scene, RELAYS))
    yield Fault("frozen consumer", lambda scene: _frozen(scene, CONSUMERS))
    yield Fault("system down", _system_down)
    yield Fault("hub database locked", _database_locked)
    yield Fault("poisoned bytes", _poisoned)
    yield Fault("old events again", _again)
    yield from _cut_ways("bus", "RabbitMQ")
    yield from _cut_ways("db", "PostgreSQL")


def _crashes() -> Iterator[Fault]:
    yield Fault("crash orders.written", lambda scene: scene.crash(["api"], "orders.written"))
    for label in ("relay.claimed", "relay.published", "relay.settled"):
        yield _crash(RELAYS, label)
    for label in ("receive.received", "receive.kept", "receive.settled"):
        yield _crash(CONSUMERS, label)
    for label in ("work.claimed", "tables.written", "work.applied", "work.recorded"):
        yield _crash(CONSUMERS, label)
    yield Fault("crash work.looked", lambda scene: scene.crash(CONSUMERS, "work.applied", "work.looked"))
    yield Fault("crash bulk.released", _crashed_replay)
    yield Fault("crash maintenance.deleted", _crashed_maintenance)


def _crash(names: tuple[str, ...], label: str) -> Fault:
    return Fault(f"crash {label}", lambda scene: scene.crash(names, label))


def _crashed_replay(scene: Scene) -> Told:
    code = scene.command("replay", "--system", "erp", "--all", "--yes", crash_at="bulk.released:2")
    with reading(scene.stage.engine) as connection:
        run = runs.listed(connection, 1)[0]
    if code != KILLED or scene.command("bulk", "resume", str(run.id)):
        raise HubError(f"replay ended with {code}, or its second half failed")
    return told("replay", orders=run.orders)


def _crashed_maintenance(scene: Scene) -> Told:
    code = scene.command("maintenance", "run", crash_at="maintenance.deleted")
    if code != KILLED or scene.command("maintenance", "run"):
        raise HubError(f"maintenance ended with {code}, or its second run failed")
    return told("maintenance")


def _power_cut(scene: Scene) -> Told:
    names = [part.name for part in scene.stage.supervisor.parts]
    scene.kill(*names)
    return told("power", count=len(names))


def _stop(scene: Scene) -> Told:
    names = ("api", *RELAYS, *CONSUMERS, "consume-kingdee")
    took = {name: scene.terminated(name) for name in names}
    slowest = max(took, key=lambda name: took[name])
    if took[slowest] > LONGEST_STOP_SECONDS:
        raise HubError(f"{slowest} took {took[slowest]:.1f} s to end")
    return told("stop", count=len(names), seconds=took[slowest])


def _frozen(scene: Scene, names: tuple[str, ...]) -> Told:
    for name in names:
        scene.freeze(name, LEASE_SECONDS + 2)
    return told("frozen", names=", ".join(names), seconds=LEASE_SECONDS + 2)


def _system_down(scene: Scene) -> Told:
    with down(scene.stage.settings.system("wms")):
        wait_until(lambda: _breaker_is_open(scene), "the breaker of wms did not open")
        time.sleep(SHORT_SECONDS)
    return told("down", seconds=SHORT_SECONDS)


def _breaker_is_open(scene: Scene) -> bool:
    with reading(scene.stage.engine) as connection:
        return gate.present(connection, "wms").cause is not None


def _database_locked(scene: Scene) -> Told:
    with writing(scene.stage.engine) as connection:
        if is_postgres(connection):
            connection.execute(text("LOCK TABLE outbox, ledger, leases IN ACCESS EXCLUSIVE MODE"))
        # Shorter than an idle transaction may last, longer than any statement waits.
        time.sleep(SHORT_SECONDS)
    return told("locked", seconds=SHORT_SECONDS)


def _poisoned(scene: Scene) -> Told:
    bodies = [os.urandom(200), b"\xff\xfe{}", b"[" * 100_000, f"{random.random()} is no event".encode()]  # noqa: S311
    messages = [Message(f"poison-{index}-{time.time_ns()}", "order.paid.jd", body) for index, body in enumerate(bodies)]
    _publish(scene, messages)
    scene.dead_letters += len(bodies) * len(SYSTEMS)
    return told("poisoned", count=len(bodies), systems=len(SYSTEMS))


def _again(scene: Scene) -> Told:
    columns = outbox_archive.c.event_id, outbox_archive.c.routing_key, outbox_archive.c.body
    with reading(scene.stage.engine) as connection:
        rows = connection.execute(select(*columns).order_by(outbox_archive.c.id).limit(200)).all()
    messages = [Message(row.event_id, row.routing_key, row.body.encode()) for row in rows]
    random.shuffle(messages)
    _publish(scene, messages)
    return told("again", count=len(messages))


def _publish(scene: Scene, messages: list[Message]) -> None:
    with wiring.bus_of(scene.stage.settings, "drill") as bus:
        publisher = bus.publisher()
        publisher.publish(messages)
        publisher.close()


def _cut_ways(which: str, server: str) -> Iterator[Fault]:
    yield Fault(f"{which} connections reset", lambda scene: _reset(scene, which), server)
    yield Fault(f"{which} refuses", lambda scene: _refused(scene, which), server)
    yield Fault(f"{which} hangs", lambda scene: _hung(scene, which), server)
    yield Fault(f"{which} answers are cut", lambda scene: _cut(scene, which), server)


def _way(scene: Scene, which: str) -> FaultProxy:
    proxy = scene.db if which == "db" else scene.bus
    assert proxy is not None  # noqa: S101 - a fault that needs a server is not run without
    return proxy


def _reset(scene: Scene, which: str) -> Told:
    for _ in range(3):
        _way(scene, which).reset()
        time.sleep(0.5)
    return told("reset")


def _refused(scene: Scene, which: str) -> Told:
    proxy = _way(scene, which)
    proxy.refuse()
    proxy.reset()
    time.sleep(SHORT_SECONDS)
    proxy.heal()
    return told("refused", seconds=SHORT_SECONDS)


def _hung(scene: Scene, which: str) -> Told:
    proxy = _way(scene, which)
    proxy.up.hang()
    proxy.down.hang()
    time.sleep(2 * SHORT_SECONDS)
    proxy.heal()
    return told("hung", seconds=2 * SHORT_SECONDS)


def _cut(scene: Scene, which: str) -> Told:
    for size in (1, 100, 5000):
        _way(scene, which).down.cut_after(size)
        time.sleep(1)
    return told("cut")
