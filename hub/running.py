"""The daemons of the hub: each is put together from what `wiring` makes, and runs until it is told to stop."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

from prometheus_client import REGISTRY
from sqlalchemy import Connection, Engine

from hub import clock, config, groups, metrics, migrations, systemd
from hub.assembly import check_name, system_of
from hub.bus.rabbit.bus import RabbitBus
from hub.bus.topology import outside, queue_of
from hub.consumers import crew
from hub.consumers.canaries import Lookout
from hub.consumers.handover import Handover
from hub.consumers.receiver import Drain, Receiver
from hub.consumers.worker import set_gauges
from hub.daemon import STALE_SECONDS, Loop, Vitals, beside, run_loops, stop_on_signals
from hub.errors import WrongConfiguration
from hub.exposition import Gather, exposed
from hub.notify import exposition as telling
from hub.notify import queue
from hub.notify.alerts import store as alerts
from hub.notify.alerts.store import Tellers
from hub.notify.refused_rows import refused_card
from hub.notify.voice import Voice
from hub.oms import canary
from hub.oms.intake import Refusal
from hub.oms.wakeup import FIRST_PAUSE, Wakeup
from hub.oms.writer import Writer
from hub.operations import exposition as upkeep
from hub.probes import Probes
from hub.producers.intake import Intake, Tell
from hub.producers.relay import GAUGES_EVERY_SECONDS, Relay
from hub.reconcile import exposition as comparison
from hub.subscriptions.alarms import Terms
from hub.subscriptions.asking import asking
from hub.subscriptions.looking import Looker, Policy
from hub.subscriptions.watch import Watch
from hub.wiring import bus_of, check_bus, hub_engine, topology_of

_TELL_SECONDS, _REST_SECONDS = 5.0, 2.0
_LOOK_SECONDS = 300.0
"""A look at many subscriptions asks for each of them and reads pages of the archive."""
_RELAY_THREADS = 4
"""A relay publishes, is woken, is probed and tells how it stands."""
_OTHER_THREADS = 4
"""A consumer receives, drains, is probed and tells how it stands beside its work."""


def run_api(settings: config.Settings) -> None:
    """Serve the OMS interface until told to stop."""
    # FastAPI takes a quarter of a second to import, which no other command should wait for.
    from hub.producers.api.app import build  # noqa: PLC0415
    from hub.producers.api.server import serve  # noqa: PLC0415

    stop, vitals = threading.Event(), Vitals(patience_of(settings))
    vitals.expect(["serve"])
    metrics.prepare_api()
    metrics.prepare_notices()
    _tell_build(settings)
    tellers = Tellers(settings.notify, Voice(settings.locale, settings.tz))
    # Requests that have every connection must not look like a database that is down.
    with (
        hub_engine(settings, "api", _OTHER_THREADS) as engine,
        hub_engine(settings, "metrics") as apart,
        exposed(REGISTRY, apart, gathers(settings)),
    ):
        vitals.checks = {"database": lambda: migrations.check(engine)}
        app = build(engine, settings, vitals, partial(alerts.take, engine, tellers))
        stop_on_signals(stop)
        # Who takes alerts tells of them: no other process need be there.
        telling_too = [alerts.watching(engine, tellers, stop), _telling(engine, settings, stop)]
        # Whether the interface lives does not depend on the database, as these do.
        with (
            beside([*canary.loops(engine, settings.oms.canary_seconds, stop), *telling_too], stop, Vitals()),
            systemd.reported(vitals.health, stop),
        ):
            serve(app, settings.api, stop, lambda: _served(vitals))


def gathers(settings: config.Settings) -> list[Gather]:
    """What the OMS interface shows of the database, each in a transaction of its own."""
    queues = topology_of(settings).queues
    systems = {name: queue.reader for queue in queues for name in (queue.name, queue.dead)}
    return [
        partial(upkeep.of_dead_letters, systems=systems),
        telling.gauges,
        upkeep.of_upkeep,
        partial(comparison.gauges, systems=config.SYSTEMS),
    ]


def run_relay(settings: config.Settings) -> None:
    """Be a relay until told to stop."""
    stop, vitals = threading.Event(), Vitals(patience_of(settings, settings.relay.lease_seconds))
    with ExitStack() as stack:
        engine = stack.enter_context(hub_engine(settings, "relay", _RELAY_THREADS))
        bus = stack.enter_context(bus_of(settings, "relay"))
        wakeup = Wakeup(engine, settings.relay.poll_seconds)
        queues = [queue.name for queue in topology_of(settings).queues]
        relay = Relay(engine, bus, settings.relay, queues, settings.bus.prefix)
        stack.callback(wakeup.close)
        stack.callback(relay.close)
        vitals.checks = {"database": lambda: migrations.check(engine), "bus": lambda: check_bus(bus, settings)}
        stack.enter_context(_probes("hub-relay", vitals, settings))
        stop_on_signals(stop)
        gauges = Loop("gauges", relay.set_gauges, lambda _turns: stop.wait(GAUGES_EVERY_SECONDS))
        run_loops([Loop("relay", relay.step, wakeup.wait), gauges], stop, vitals)


def run_consumer(settings: config.Settings, name: str) -> None:
    """Be the consumer of a system until told to stop."""
    check_name(name)
    stop, policy = threading.Event(), settings.consumer_of(name)
    vitals = Vitals(patience_of(settings, policy.lease_seconds))
    with ExitStack() as stack:
        engine = stack.enter_context(hub_engine(settings, name, policy.workers + _OTHER_THREADS))
        bus = stack.enter_context(bus_of(settings, name))
        system = system_of(settings, name, engine)
        stack.callback(system.close)
        queue = queue_of(name, settings.bus.prefix)
        # Several workers share what is in the ledger, each what it can carry.
        handover = Handover(name, engine, policy) if policy.workers == 1 else None
        receiver = Receiver(name, queue.name, engine, bus, policy, handover)
        drain = Drain(name, queue.dead, engine, bus, policy)
        lookout = Lookout(name, engine, policy.settle_seconds, receiver.canary_arrived)
        stack.callback(receiver.close)
        stack.callback(drain.close)
        if handover:
            stack.callback(handover.close)
        vitals.checks = {
            "database": lambda: migrations.check(engine),
            "bus": lambda: check_bus(bus, settings),
            "system": system.ping,
        }
        stack.enter_context(_probes("hub-consume", vitals, settings))
        stop_on_signals(stop)
        loops = [
            Loop("receive", receiver.step, lambda _turns: None),
            Loop("drain", drain.step, lambda _turns: None),
            Loop("gauges", partial(set_gauges, engine, name), lambda _turns: stop.wait(GAUGES_EVERY_SECONDS)),
            *crew.loops(system, engine, policy, stop, lambda: _sleep(receiver, handover, policy), lookout, handover),
        ]
        run_loops(loops, stop, vitals)


def run_watch(settings: config.Settings) -> None:
    """Look after all subscriptions until told to stop; WrongConfiguration where the bus is not RabbitMQ."""
    if settings.embedded_bus:
        raise WrongConfiguration(
            "the embedded bus is a file of this machine and has no subscriptions: "
            "HUB_BUS__URL must name a RabbitMQ broker"
        )
    stop, there = threading.Event(), outside(settings.bus.prefix)
    vitals = Vitals(patience_of(settings, _LOOK_SECONDS))
    with ExitStack() as stack:
        engine = stack.enter_context(hub_engine(settings, "watch", _OTHER_THREADS))
        bus = stack.enter_context(RabbitBus(settings, "watch"))
        voice = Voice(settings.locale, settings.tz)
        terms = Terms(settings.subscriptions.behind_seconds, settings.retention.archive_days, voice, settings.notify)
        policy = Policy(settings.subscriptions.look_seconds, terms)
        ask = stack.enter_context(asking(settings, bus))
        watch = Watch(engine, bus, there.dropped_queue, Looker(engine, there.dropped_queue, ask, policy))
        stack.callback(watch.close)
        vitals.checks = {"database": lambda: migrations.check(engine), "bus": lambda: check_bus(bus, settings)}
        stack.enter_context(_probes("hub-subscription-watch", vitals, settings))
        stop_on_signals(stop)
        watching = Loop("watch", watch.step, lambda _turns: stop.wait(watch.rest_seconds))
        run_loops([watching, _telling(engine, settings, stop)], stop, vitals)


def run_intake(settings: config.Settings) -> None:
    """Take the rows of the company's own OMS until told to stop."""
    if Writer(settings.oms.writer) is not Writer.OWN:
        raise WrongConfiguration("HUB_OMS__WRITER must be own where the company's own OMS writes orders; it is hub")
    stop, vitals = threading.Event(), Vitals(patience_of(settings))
    with ExitStack() as stack:
        engine = stack.enter_context(hub_engine(settings, "intake"))
        intake = Intake(engine, settings.oms, told_by_card(settings))
        vitals.checks = {"database": lambda: migrations.check(engine)}
        stack.enter_context(_probes("hub-intake", vitals, settings))
        stop_on_signals(stop)
        loops = [
            Loop("intake", intake.step, lambda turns: stop.wait(_pause(turns, settings.oms.poll_seconds))),
            Loop("gauges", intake.set_gauges, lambda _turns: stop.wait(intake.gauges_rest_seconds)),
            *canary.loops(engine, settings.oms.canary_seconds, stop),
        ]
        run_loops([*loops, _telling(engine, settings, stop)], stop, vitals)


def told_by_card(settings: config.Settings) -> Tell:
    """Refused rows as cards, of each reason one an hour at most: who looks then sees all of them."""

    def tell(connection: Connection, refusals: Sequence[Refusal]) -> None:
        by_reason: dict[str, list[tuple[str, int, str]]] = defaultdict(list)
        for each in refusals:
            by_reason[each.reason].append((each.order_no, each.version, each.detail))
        for reason, refused in by_reason.items():
            key = f"intake/{reason}/{clock.utcnow():%Y-%m-%dT%H}"
            queue.announce(connection, key, refused_card(settings.locale, reason, refused), settings.notify)

    return tell


def _probes(process: str, vitals: Vitals, settings: config.Settings) -> Probes:
    _tell_build(settings)
    return Probes(process, vitals, settings.probes)


def _tell_build(settings: config.Settings) -> None:
    db = "sqlite" if settings.db_url.startswith("sqlite") else "postgresql"
    metrics.tell_build("embedded" if settings.embedded_bus else "rabbitmq", db)


def patience_of(settings: config.Settings, work_seconds: float = 0) -> float:
    """How long one turn of a loop may rightly take: its work, and statements that each wait for a lock and then run.

    A claim, what is asked meanwhile, and what came of it are four of them at most.
    """
    return max(STALE_SECONDS, work_seconds + 4 * (settings.db.statement_seconds + settings.db.lock_seconds))


def _served(vitals: Vitals) -> None:
    vitals.beat("serve")
    vitals.through("serve")


def _telling(engine: Engine, settings: config.Settings, stop: threading.Event) -> Loop:
    """Whoever has something to tell people sees to it that they are told."""

    def tell() -> bool:
        return bool(queue.deliver(engine, settings.notify, clock.monotonic() + _TELL_SECONDS))

    return Loop("tell", tell, lambda _turns: stop.wait(_REST_SECONDS))


def _pause(turns: int, longest: float) -> float:
    return min(FIRST_PAUSE * 2.0 ** min(turns, 20), longest)


def _sleep(receiver: Receiver, handover: Handover | None, policy: groups.Consumer) -> None:
    if handover:
        handover.wait(policy.poll_seconds)
        return
    receiver.arrived.wait(policy.poll_seconds)
    receiver.arrived.clear()
