"""The whole way, outbox to every system: one relay and four consumers, beside a naive relay and naive consumers."""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks import events, rates
from benchmarks.relay import beside, in_turn
from benchmarks.stand import CONSUMERS, RELAY, Plan, Site, Stand
from benchmarks.table import Row
from hub import config
from hub.bus.topology import queue_name
from hub.database import present, reading

WORK = "whole pipeline, 1 relay + 4 consumers"
LEAST = 5.0
MOST_ROUNDS = 2


def measured(stand: Stand, plan: Plan) -> list[Row]:
    """Everything waits in the outbox; counted is the time from the first published to the last applied anywhere."""
    contenders = {"hub": lambda: _hub(stand, plan.events), "naive": lambda: _naive(stand, plan.part(0.03))}
    runs = in_turn("pipeline", contenders, min(plan.rounds, MOST_ROUNDS))
    return [beside("pipeline.naive", WORK, "naive relay + naive consumers", runs, "naive", LEAST)]


def through(site: Site, count: int) -> float:
    """Events a second that relay and consumers bring from the outbox, where so many wait, to all systems."""
    with reading(site.engine) as connection:
        since = present(connection)
    with site.daemons(*CONSUMERS) as consumers, site.daemons(RELAY) as relay:
        site.until(lambda: rates.is_through(site.engine, count, since), [*consumers, *relay])
    return rates.piped(site.engine, since)


def _hub(stand: Stand, count: int) -> float:
    with stand.site() as site:
        return through(site, events.load(site.engine, count))


def _naive(stand: Stand, count: int) -> float:
    with stand.site() as site, ExitStack() as stack:
        count = events.load(site.engine, count)
        told = [{"system": name, "queue": queue_name(name), "events": count} for name in config.SYSTEMS]
        consumers = [stack.enter_context(stand.peer("psycopg2_consumer", site, **each)) for each in told]
        relay = stand.ran("naive_relay", site, events=count)
        return count / (max(consumer.told().ended for consumer in consumers) - relay.began)
