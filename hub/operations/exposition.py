"""What waits for people, and how retention stands, for Prometheus.

Each is answered from an index, however much has been settled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from sqlalchemy import Connection, func, literal_column, select

from hub.database import is_postgres, present
from hub.exposition import gauge
from hub.migrations import partitions
from hub.oms import last_done
from hub.operations.maintenance import LEASE
from hub.tables import PARTITIONED, dead_letters


def of_dead_letters(connection: Connection, systems: Mapping[str, str]) -> Iterator[Metric]:
    """Open dead letters of each system; `systems` names the system of each queue."""
    # As a literal, so that the database sees that its index of open ones has them all.
    is_open = dead_letters.c.state == literal_column("'open'")
    grouped = select(dead_letters.c.queue, func.count(), func.min(dead_letters.c.recorded_at)).where(is_open)
    moment, rows = present(connection), connection.execute(grouped.group_by(dead_letters.c.queue)).all()
    counts, ages = dict.fromkeys(systems.values(), 0), dict.fromkeys(systems.values(), 0.0)
    for queue, number, oldest in rows:
        if (system := systems.get(queue)) is not None:
            counts[system] += number
            ages[system] = max(ages[system], (moment - oldest).total_seconds())
    opened = GaugeMetricFamily("hub_dead_letters_open", "Dead letters that nobody has settled", labels=["system"])
    oldest_age = GaugeMetricFamily(
        "hub_dead_letters_oldest_age_seconds",
        "Age of the oldest dead letter that nobody has settled",
        labels=["system"],
    )
    for system, number in counts.items():
        opened.add_metric([system], number)
        oldest_age.add_metric([system], ages[system])
    yield from (opened, oldest_age)


def of_upkeep(connection: Connection) -> Iterator[Metric]:
    """When retention last ran to its end, and on PostgreSQL for how long partitions stand ready."""
    done = last_done.at(connection, LEASE)
    yield gauge(
        "hub_maintenance_last_success_timestamp_seconds",
        "When retention last ran to its end; 0 where it never did",
        done.timestamp() if done else 0,
    )
    if is_postgres(connection):
        ahead = GaugeMetricFamily(
            "hub_partitions_ahead_seconds", "How long from now day partitions stand ready", labels=["table"]
        )
        for table in PARTITIONED:
            ahead.add_metric([table], partitions.seconds_ahead(connection, table))
        yield ahead
