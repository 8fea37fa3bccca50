"""From the commit to the system that shows it, at a hundred events a second: the hub, and a relay that polls."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import quantiles

from benchmarks.stand import CONSUMERS, RELAY, ROOT, Plan, Site, Stand, progress
from benchmarks.table import Row
from benchmarks.writer import ACTOR
from hub import config
from hub.bus.topology import queue_name

WORK = "commit -> applied, 100 events/s"
RATE, WARM_UP_SECONDS = 100.0, 5.0
MOST_MS = 100.0
KEPT = 95.0
"""Where the writer does not keep up, it is another rate that was measured."""
ENDLESS = 10**9

_UNDER_WAY = f"""
    SELECT (SELECT count(*) FROM order_history WHERE actor = '{ACTOR}') * {len(config.SYSTEMS)}
    - (SELECT count(*) FROM journal JOIN order_history USING (order_no, version)
       WHERE actor = '{ACTOR}' AND what IN ('applied', 'superseded'))
"""
# An event tells when it was written, a moment before its commit; its row of the history was written then too.
_TOOK = f"""
    WITH begun AS (SELECT min(recorded_at) AS moment FROM order_history WHERE actor = '{ACTOR}')
    SELECT extract(epoch FROM journal.recorded_at - happened.recorded_at) * 1000
    FROM journal JOIN order_history AS happened USING (order_no, version), begun
    WHERE happened.actor = '{ACTOR}' AND journal.what IN ('applied', 'superseded')
    AND happened.recorded_at > begun.moment + make_interval(secs => :warm_up)
"""


@dataclass(frozen=True)
class Took:
    """Milliseconds until an event was applied, and the commits a second that the writer kept up."""

    p50: float
    p99: float
    rate: float


def measured(stand: Stand, plan: Plan) -> list[Row]:
    """One run each: the figures of all systems' events together, in milliseconds."""
    ours, polling = _hub(stand, plan.seconds), _polling(stand, plan.seconds)
    progress(f"latency: hub p50 {ours.p50:.1f} p99 {ours.p99:.1f}, polling p50 {polling.p50:.1f} p99 {polling.p99:.1f}")
    p50, p99, other = f"{WORK}, p50", f"{WORK}, p99", "polling every 100 ms"
    return [
        Row("latency.p50", p50, f"{other}, p50", "ms", ours.p50, polling.p50, ours.p50),
        Row("latency.p99", p99, f"{other}, p99", "ms", ours.p99, polling.p99, ours.p99, "<", MOST_MS),
        Row("latency.beside", p99, f"{other}, p50", "ms", ours.p99, polling.p50, ours.p99 / polling.p50, "<", 1.0),
        Row("latency.rate", "commits meanwhile", other, "events/s", ours.rate, polling.rate, ours.rate, ">=", KEPT),
    ]


def _hub(stand: Stand, seconds: float) -> Took:
    with stand.site() as site, site.daemons(RELAY, *CONSUMERS) as daemons:
        rate = write(site, RATE, WARM_UP_SECONDS + seconds)
        site.until(lambda: site.value(_UNDER_WAY) == 0, daemons)
        return _took(site, rate)


def _polling(stand: Stand, seconds: float) -> Took:
    with stand.site() as site, ExitStack() as stack:
        for name in config.SYSTEMS:
            told = {"system": name, "queue": queue_name(name), "events": ENDLESS}
            stack.enter_context(stand.peer("psycopg2_consumer", site, **told))
        stack.enter_context(stand.peer("polling_relay", site))
        rate = write(site, RATE, WARM_UP_SECONDS + seconds)
        site.until(lambda: site.value(_UNDER_WAY) == 0, [])
        return _took(site, rate)


def write(site: Site, rate: float, seconds: float) -> float:
    """Let a writer commit at a rate for so long; the rate that it kept."""
    command = [sys.executable, "-m", "benchmarks.writer", str(rate), str(seconds)]
    environment = site.machine.environment()
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    kept: float = json.loads(done.stdout)["per_second"]
    return kept


def _took(site: Site, rate: float) -> Took:
    site.analyze()
    took = [float(row[0]) for row in site.rows(_TOOK, warm_up=WARM_UP_SECONDS)]
    cut = quantiles(took, n=100)
    return Took(cut[49], cut[98], rate)
