"""From the queue into a system's interface tables: the hub, a transaction for each message, FastStream with asyncpg."""

from __future__ import annotations

from benchmarks import events, rates
from benchmarks.relay import beside, in_turn
from benchmarks.stand import Plan, Site, Stand
from benchmarks.table import Row
from hub.bus.topology import queue_name

SYSTEM = "erp"
WORK = "consume + ledger + apply"
LEAST = {"psycopg2": 8.0, "faststream": 10.0}
BESIDE = {"psycopg2": "psycopg2, a transaction a message", "faststream": "FastStream + asyncpg"}


def measured(stand: Stand, plan: Plan) -> list[Row]:
    """Orders that are each changed once, which count, and then events in the order in which they happened."""
    once = _runs(stand, plan, plan.rounds, distinct=True)
    lived = _runs(stand, plan, max(1, plan.rounds - 1), distinct=False)
    counted = [beside(f"consume.{name}", WORK, BESIDE[name], once, name, LEAST[name]) for name in LEAST]
    told = [beside(f"backlog.{name}", f"{WORK}, as it happened", BESIDE[name], lived, name, None) for name in LEAST]
    return counted + told


def _runs(stand: Stand, plan: Plan, rounds: int, *, distinct: bool) -> dict[str, list[float]]:
    contenders = {
        "hub": lambda: _hub(stand, plan.part(0.2, 1200), distinct=distinct),
        "psycopg2": lambda: _peer(stand, "psycopg2_consumer", plan.part(0.03), distinct=distinct),
        "faststream": lambda: _peer(stand, "faststream_consumer", plan.part(0.03), distinct=distinct),
    }
    return in_turn("consume" if distinct else "consume as it happened", contenders, rounds)


def _hub(stand: Stand, count: int, *, distinct: bool) -> float:
    with stand.site() as site:
        filled = _fill(stand, site, count, distinct=distinct)
        with site.daemons(("consume", SYSTEM)) as daemons:
            site.until(lambda: rates.has_brought(site.engine, filled, [SYSTEM]), daemons)
        return rates.consumed(site, SYSTEM)


def _peer(stand: Stand, name: str, count: int, *, distinct: bool) -> float:
    with stand.site() as site:
        filled = _fill(stand, site, count, distinct=distinct)
        return stand.ran(name, site, system=SYSTEM, queue=queue_name(SYSTEM), events=filled).rate


def _fill(stand: Stand, site: Site, count: int, *, distinct: bool) -> int:
    """Publish events to the queue of one system; how many."""
    filled = events.load(site.engine, count, distinct=distinct)
    told = {"exchange": "", "routing_key": queue_name(SYSTEM), "mirrored": True}
    stand.ran("pika_pipelined", site, events=filled, **told)
    with site.engine.begin() as connection:
        connection.exec_driver_sql("TRUNCATE outbox")
    return filled
